/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/ctl/guest_verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define WORDS_MAX 24
#define KEY_CAP   192

struct field {
	char key[KEY_CAP]; /* "stat cpu0 user" */
	struct str value;
};

struct fields {
	struct field *v;
	size_t n, cap;
	int err;
};

static void add(struct fields *f, const char *part, struct str object, const char *name,
                struct str value)
{
	if (MEM_GROW(f->v, f->cap, f->n + 1) < 0) {
		f->err = -ENOMEM;
		return;
	}
	(void)snprintf(f->v[f->n].key, KEY_CAP, "%s %.*s%s%s", part, STR_FMT(object),
	               object.len > 0 ? " " : "", name);
	f->v[f->n++].value = value;
}

static uint32_t split(struct str line, struct str words[WORDS_MAX])
{
	uint32_t n = 0;

	while (n < WORDS_MAX) {
		while (line.len > 0 && strchr(" \t:=", line.p[0]))
			line = str_skip(line, 1);
		if (line.len == 0)
			break;
		size_t len = 0;

		while (len < line.len && !strchr(" \t:=", line.p[len]))
			len++;
		words[n++] = (struct str){ line.p, len };
		line = str_skip(line, len);
	}
	return n;
}

/* ---- lines of each part --------------------------------------------------------------------- */

typedef void (*line_f)(struct fields *f, const char *part, const struct str *words, uint32_t n);

static void add_named(struct fields *f, const char *part, struct str object,
                      const struct str *words, const char *const *names, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		add(f, part, object, names[i], words[i]);
}

static void take_meminfo(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	static const char *const wanted[] = {
		"MemTotal", "MemFree",  "MemAvailable", "Buffers",     "Cached",       "SwapCached",
		"Active",   "Inactive", "SwapTotal",    "SwapFree",    "Dirty",        "Writeback",
		"Shmem",    "Slab",     "VmallocTotal", "VmallocUsed", "VmallocChunk",
	};

	for (size_t i = 0; n >= 2 && i < ARRAY_SIZE(wanted); i++) {
		if (str_eqc(words[0], wanted[i]))
			add(f, part, STR_NULL, wanted[i], words[1]);
	}
}

static void take_load(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	static const char *const names[] = { "1", "5", "15" };

	if (n >= ARRAY_SIZE(names))
		add_named(f, part, STR_NULL, words, names, ARRAY_SIZE(names));
}

static void take_cpu(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	static const char *const names[] = { "user", "nice",    "system", "idle",  "iowait",
		                             "irq",  "softirq", "steal",  "guest", "guest_nice" };

	if (n > ARRAY_SIZE(names) && str_starts(words[0], STR("cpu")) && words[0].len > 3)
		add_named(f, part, words[0], words + 1, names, ARRAY_SIZE(names));
}

static void take_disk(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	static const char *const names[] = { "reads",           "reads_merged", "sectors_read",
		                             "read_ms",         "writes",       "writes_merged",
		                             "sectors_written", "write_ms",     "in_flight",
		                             "busy_ms",         "weighted_ms" };

	if (n >= 3 + ARRAY_SIZE(names) && str_starts(words[2], STR("vd")))
		add_named(f, part, words[2], words + 3, names, ARRAY_SIZE(names));
}

static void take_net(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	static const char *const names[] = {
		"rx_bytes", "rx_packets", "rx_errs",       "rx_drop",
		"rx_fifo",  "rx_frame",   "rx_compressed", "rx_multicast",
		"tx_bytes", "tx_packets", "tx_errs",       "tx_drop",
		"tx_fifo",  "tx_colls",   "tx_carrier",    "tx_compressed",
	};

	if (n == 1 + ARRAY_SIZE(names) && !str_eqc(words[0], "lo"))
		add_named(f, part, words[0], words + 1, names, ARRAY_SIZE(names));
}

static void take_files(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	if (n != 3)
		return;
	add(f, part, STR_NULL, "open", words[0]);
	add(f, part, STR_NULL, "max", words[2]);
}

static void take_statfs(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	static const char *const names[] = { "block_size", "blocks", "free", "avail" };

	if (n == 1 + ARRAY_SIZE(names))
		add_named(f, part, words[0], words + 1, names, ARRAY_SIZE(names));
}

static void take_vmstat(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	if (n == 2 && str_eqc(words[0], "oom_kill"))
		add(f, part, STR_NULL, "oom_kill", words[1]);
}

static void take_pressure(struct fields *f, const char *part, const struct str *words, uint32_t n)
{
	static const char *const names[] = { "avg10", "avg60", "avg300", "total" };

	/* Every name stands before its number. */
	for (uint32_t i = 0; n == 1 + 2 * ARRAY_SIZE(names) && i < ARRAY_SIZE(names); i++)
		add(f, part, words[0], names[i], words[2 + 2 * i]);
}

static const struct {
	const char *name;
	line_f take;
} parts[] = {
	{ "meminfo", take_meminfo }, { "loadavg", take_load },  { "stat", take_cpu },
	{ "diskstats", take_disk },  { "net", take_net },       { "files", take_files },
	{ "statfs", take_statfs },   { "vmstat", take_vmstat }, { "pressure", take_pressure },
};

/* ---- texts ---------------------------------------------------------------------------------- */

/* The part that the line begins: its index, or that behind the last. */
static size_t part_of(struct str name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(parts) && !str_eqc(name, parts[i].name))
		i++;
	return i;
}

/* Fields of the parts "== NAME" into @f, those of "== after NAME" into @after. */
static int parse(struct str text, struct fields *f, struct fields *after)
{
	struct str line, words[WORDS_MAX];
	size_t part = ARRAY_SIZE(parts);
	struct fields *to = f;

	while (text.len > 0) {
		(void)str_cut(text, '\n', &line, &text);
		line = str_trim(line);
		if (str_starts(line, STR("== "))) {
			bool later = str_starts(line, STR("== after "));

			to = later ? after : f;
			part = part_of(str_skip(line, strlen(later ? "== after " : "== ")));
		} else if (part < ARRAY_SIZE(parts)) {
			uint32_t n = split(line, words);

			parts[part].take(to, parts[part].name, words, n);
		}
	}
	return f->err < 0 ? f->err : after->err;
}

static const struct field *find(const struct fields *f, const char *key)
{
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->v[i].key, key) == 0)
			return &f->v[i];
	}
	return NULL;
}

/* What goes up and down may have been anywhere while it moved. */
static bool is_unsteady(const char *key)
{
	size_t len = strlen(key), end = strlen("in_flight");

	return len > end && strcmp(key + len - end, "in_flight") == 0;
}

static bool is_between(struct str value, struct str one, struct str other)
{
	double v, a, b;

	return num_parse_double(value, &v) == 0 && num_parse_double(one, &a) == 0 &&
	       num_parse_double(other, &b) == 0 && MIN(a, b) <= v && v <= MAX(a, b);
}

static void compare_one(const struct field *said, const struct field *read,
                        const struct field *later, struct verify_result *ret, struct buf *out)
{
	bool moved = read && later &&
	             (is_between(read->value, said->value, later->value) ||
	              (is_unsteady(said->key) && !str_eq(said->value, later->value)));

	ret->n++;
	if (read && str_eq(said->value, read->value)) {
		ret->n_equal++;
		return;
	}
	ret->n_moved += moved;
	buf_printf(out, "%s %s: guest %.*s", moved ? "moved" : "DIFFERS", said->key,
	           STR_FMT(said->value));
	if (later)
		buf_printf(out, ", then %.*s", STR_FMT(later->value));
	buf_printf(out, "; read %.*s\n", STR_FMT(read ? read->value : STR("nothing")));
}

static void compare(const struct fields *said, const struct fields *later,
                    const struct fields *read, struct verify_result *ret, struct buf *out)
{
	for (size_t i = 0; i < said->n; i++) {
		const char *key = said->v[i].key;

		compare_one(&said->v[i], find(read, key), find(later, key), ret, out);
	}
	for (size_t i = 0; i < read->n; i++) {
		if (find(said, read->v[i].key))
			continue;
		ret->n++;
		buf_printf(out, "DIFFERS %s: guest nothing; read %.*s\n", read->v[i].key,
		           STR_FMT(read->v[i].value));
	}
}

int verify_compare(struct str guests, struct str ours, struct verify_result *ret, struct buf *out)
{
	struct fields said = { 0 }, later = { 0 }, read = { 0 }, none = { 0 };
	int r = parse(guests, &said, &later);

	*ret = (struct verify_result){ 0 };
	if (r == 0)
		r = parse(ours, &read, &none);
	if (r == 0) {
		compare(&said, &later, &read, ret, out);
		r = out->err;
	}
	free(said.v);
	free(later.v);
	free(read.v);
	free(none.v);
	return r;
}

uint64_t verify_clock_ns(struct str guests)
{
	struct str line;
	uint64_t ns = 0;

	while (guests.len > 0) {
		(void)str_cut(guests, '\n', &line, &guests);
		if (!str_eqc(str_trim(line), "== clock"))
			continue;
		(void)str_cut(guests, '\n', &line, &guests);
		(void)num_parse_u64(str_trim(line), &ns);
		return ns;
	}
	return 0;
}
