/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/trace.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/mql/parse.h"
#include "userspace/base/clock.h"
#include "userspace/base/json_text.h"
#include "userspace/base/util.h"

#define QUERY_TEXT_MAX 300u

struct trace_step {
	struct str message;
	uint64_t begin_ns, took_ns;
	struct trace_step *parent, *first, *last, *next; /* children, and the next of the parent */
};

struct trace_step *trace_begin(struct eval *ev)
{
	struct trace_step *parent = ev->trace_step, *step;

	if (!ev->q->trace)
		return NULL;
	step = ARENA_NEW(ev->arena, struct trace_step);
	if (!step)
		return NULL;
	step->parent = parent;
	step->begin_ns = clock_mono_ns();
	if (parent && parent->last)
		parent->last->next = step;
	else if (parent)
		parent->first = step;
	if (parent)
		parent->last = step;
	ev->trace_step = step;
	return step;
}

void trace_end(struct eval *ev, struct trace_step *step, const char *fmt, ...)
{
	char text[QUERY_TEXT_MAX + 256];
	va_list ap;

	if (!step)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	step->message = arena_str(ev->arena, str_from(text));
	step->took_ns = clock_mono_ns() - step->begin_ns;
	if (step->parent)
		ev->trace_step = step->parent;
}

void trace_end_expr(struct eval *ev, struct trace_step *step, const struct grid *g,
                    const struct ast *a, const struct series_set *set)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	if (!step)
		return;
	ast_print(a, &text);
	trace_end(ev, step,
	          "eval: query=%.*s%s, start=%lld, end=%lld, step=%lld ms: series=%zu, "
	          "points=%zu, points per series=%u",
	          (int)MIN(text.len, (size_t)QUERY_TEXT_MAX), buf_cstr(&text),
	          text.len > QUERY_TEXT_MAX ? "..." : "", (long long)g->start_ms,
	          (long long)g->end_ms, (long long)g->step_ms, set->n, set->n * g->n, g->n);
}

static void put_open(const struct trace_step *step, struct buf *out)
{
	buf_puts(out, "{\"duration_msec\":");
	buf_put_double(out, (double)(step->took_ns / 1000) / 1e3);
	buf_puts(out, ",\"message\":");
	json_put_str(out, step->message);
	if (step->first)
		buf_puts(out, ",\"children\":[");
}

/* Walks without recursion: a tree is as deep as a query may be. */
void trace_put_json(const struct trace_step *step, struct buf *out)
{
	const struct trace_step *top = step;

	while (step) {
		put_open(step, out);
		if (step->first) {
			step = step->first;
			continue;
		}
		buf_putc(out, '}');
		while (step != top && !step->next) {
			step = step->parent;
			buf_puts(out, "]}");
		}
		if (step == top)
			return;
		step = step->next;
		buf_putc(out, ',');
	}
}
