/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest leaves at its end: any bytes for its log, any lines on its console. Whatever is
 * taken from them is within bounds.
 *
 * Input: the newest record's id, then the log.
 */
#include <stdlib.h>
#include <string.h>

#include "userspace/host/guest/ending.h"
#include "userspace/host/guest/klog.h"
#include "userspace/host/guest_console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const struct guest_main app = { .there = true, .pid = 7, .comm = "app" };

static void check(const struct ending *e)
{
	if (e->code < 0 || e->code > UINT16_MAX || e->signal < 0 || e->signal > UINT16_MAX)
		abort();
	if (e->from == ENDING_NOTHING && (e->code != 0 || e->signal != 0))
		abort();
}

static void note(void *ctx, struct str text)
{
	if (text.len > KLOG_TEXT_MAX || memchr(text.p, '\n', text.len))
		abort();
	ending_note_line(ctx, text, &app);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct console_pattern *pattern;
	struct ending of_log = ENDING_INIT, of_console = ENDING_INIT;
	struct str text = { (const char *)data, bytes };
	uint64_t newest = 0;

	if (!pattern &&
	    console_pattern_new(&pattern, "code: (?P<code>[0-9]+)(?P<signal>SIG[A-Z]+)?", NULL) < 0)
		abort();
	memcpy(&newest, data, bytes < 8 ? bytes : 8);
	klog_each(str_skip(text, 8), newest, note, &of_log);
	ending_finish(&of_log, true, true);
	check(&of_log);
	console_note_text(pattern, text, &app, &of_console);
	check(&of_console);
	return 0;
}
