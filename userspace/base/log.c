/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "userspace/base/buf.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define WINDOW_NS    10000000000u
#define LINE_MAX_LEN 4096

static const struct {
	const char *word;
	int priority; /* of syslog(3) */
} levels[] = { { "error", 3 }, { "warn", 4 }, { "info", 6 }, { "debug", 7 } };

static _Atomic int level_max = LOG_INFO_LEVEL;
static _Atomic bool level_is_pinned;

void log_set_level(enum log_level max)
{
	if (!level_is_pinned)
		level_max = (int)max;
}

void log_pin_level(enum log_level max)
{
	level_is_pinned = true;
	level_max = (int)max;
}

int log_parse_level(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(text, levels[i].word) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= level_max;
}

/* Whether this line may go out; *@ret_dropped is how many the last window swallowed. */
static bool site_admits(struct log_site *site, uint32_t *ret_dropped)
{
	uint64_t now_ns = clock_mono_ns(), start_ns = site->window_ns;

	*ret_dropped = 0;
	if ((start_ns == 0 || now_ns - start_ns > WINDOW_NS) &&
	    atomic_compare_exchange_strong(&site->window_ns, &start_ns, now_ns)) {
		uint32_t n = atomic_exchange(&site->n, 1);

		*ret_dropped = n > LOG_BURST ? n - LOG_BURST : 0;
		return true;
	}
	return atomic_fetch_add(&site->n, 1) < LOG_BURST;
}

/* logfmt: quotes when needed; control bytes become escapes, so that a line stays a line. */
static void put_value(struct buf *b, struct str s)
{
	bool plain = s.len > 0;

	for (size_t i = 0; i < s.len && plain; i++)
		plain = s.p[i] > ' ' && s.p[i] < 0x7f && !strchr("\"=\\", s.p[i]);
	if (plain) {
		buf_put_str(b, s);
		return;
	}
	buf_putc(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_printf(b, "\\x%02x", c);
		else
			buf_putc(b, (char)c);
	}
	buf_putc(b, '"');
}

static void put_pair(struct buf *b, const struct log_pair *pair)
{
	buf_printf(b, " %s=", pair->key);
	switch (pair->type) {
	case LOG_U64:
		buf_put_u64(b, pair->v.u);
		break;
	case LOG_I64:
		buf_put_i64(b, pair->v.i);
		break;
	case LOG_DOUBLE:
		buf_put_double(b, pair->v.d);
		break;
	case LOG_STR:
		put_value(b, pair->v.s);
		break;
	}
}

void log_line(struct log_site *site, enum log_level level, const char *msg,
              const struct log_pair *pairs, unsigned n)
{
	_cleanup_(buf_done) struct buf b = { .max = LINE_MAX_LEN };
	uint32_t dropped;

	if (!site_admits(site, &dropped))
		return;
	if (getenv("JOURNAL_STREAM"))
		buf_printf(&b, "<%d>", levels[level].priority);
	buf_printf(&b, "level=%s msg=", levels[level].word);
	put_value(&b, str_from(msg));
	for (unsigned i = 0; i < n; i++)
		put_pair(&b, &pairs[i]);
	if (dropped > 0)
		buf_printf(&b, " dropped_before=%u", dropped);
	b.max = 0; /* a line that was cut still ends */
	b.err = 0;
	buf_putc(&b, '\n');
	if (b.len > 0 && write(STDERR_FILENO, b.p, b.len) < 0)
		return; /* nowhere left to say so */
}
