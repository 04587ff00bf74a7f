/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest_exit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/host/guest/klog.h"
#include "userspace/host/guest_console.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/vm.h"

static struct metric ends_lost =
	METRIC_COUNTER("periscope_host_guest_ends_lost_total", "",
                       "Guests whose last words were lost: too many ended at one moment.");
METRIC_REGISTER(ends_lost);

struct guest_exits {
	struct guest_end *kernel; /* NULL: no help */
	struct console_pattern *pattern;
	struct guest_exit **all;
	size_t n, cap;
	uint64_t n_lost_seen;
};

DEFINE_CLEANUP(struct guest_exits *, guest_exits_free);

void guest_exits_free(struct guest_exits *x)
{
	if (!x)
		return;
	guest_end_close(x->kernel);
	console_pattern_free(x->pattern);
	free(x->all);
	free(x);
}

/* ---- last words ----------------------------------------------------------------------------- */

static const struct guest_main *main_of(const struct guest_exit *g)
{
	return g->main.there ? &g->main : NULL;
}

static void note_record(void *ctx, struct str text)
{
	struct guest_exit *g = ctx;

	ending_note_line(&g->ending, text, main_of(g));
}

/* The text that is there, up to the newest record and back to the first piece that is missing. */
static struct str text_of(const struct guest_end_rec *rec, uint64_t ring_bytes)
{
	size_t end = (GUEST_END_PIECES - 1) * (size_t)GUEST_END_PIECE +
	             (size_t)(rec->log_head % GUEST_END_PIECE);
	size_t start = ring_bytes < end ? end - ring_bytes : 0;

	for (uint32_t i = GUEST_END_PIECES; i-- > 0;) {
		if (!(rec->pieces >> i & 1)) {
			start = MAX(start, (size_t)(i + 1) * GUEST_END_PIECE);
			break;
		}
	}
	start = (start + 7) / 8 * 8;
	return start < end ? (struct str){ rec->text + start, end - start } : STR_NULL;
}

/* What is left of a process: of that very one, and only when it has ended. */
static void note_task(struct guest_exit *g, const struct guest_end_rec *rec)
{
	if (g->main.there && rec->task_pid == g->main.pid && rec->task_pid != 0 &&
	    rec->task_start == g->main.start_ns && (rec->task_state & GUEST_EXIT_STATES))
		ending_note_status(&g->ending, ENDING_PROCESS, rec->task_code);
}

static void on_end(void *ctx, const struct guest_end_rec *rec)
{
	struct guest_exits *x = ctx;

	for (size_t i = 0; i < x->n; i++) {
		struct guest_exit *g = x->all[i];

		if (g->vm->pid != (pid_t)rec->tgid)
			continue;
		klog_each(text_of(rec, g->where.log_bytes), rec->log_id, note_record, g);
		note_task(g, rec);
		return;
	}
}

/* ---- while it runs -------------------------------------------------------------------------- */

int guest_exits_new(struct guest_exits **ret, const struct host_conf *conf, struct err *e)
{
	_cleanup_(guest_exits_freep) struct guest_exits *x = mem_zalloc(1, sizeof(*x));
	struct err why = ERR_INIT;
	int r;

	if (!x)
		return -ENOMEM;
	r = console_pattern_new(&x->pattern, conf->exits_console_pattern, e);
	if (r < 0)
		return r;
	r = guest_end_open(&x->kernel, on_end, x, &why);
	if (r < 0)
		log_warn("guest: last words are not kept, only consoles tell how guests end",
		         STRV("why", why.msg[0] ? why.msg : strerror(-r)));
	*ret = TAKE_PTR(x);
	return 0;
}

int guest_exit_begin(struct guest_exits *x, struct guest_exit *g, const struct vm *vm)
{
	if (MEM_GROW(x->all, x->cap, x->n + 1) < 0)
		return -ENOMEM;
	*g = (struct guest_exit){ .vm = vm, .console_fd = console_open(vm), .ending = ENDING_INIT };
	x->all[x->n++] = g;
	return 0;
}

void guest_exit_forget(struct guest_exits *x, struct guest_exit *g)
{
	if (g->watched)
		guest_end_unwatch(x->kernel, g->vm->pid);
	g->watched = g->ooms_known = g->more_kills = false;
	g->main = g->candidate = (struct guest_main){ 0 };
	g->where = (struct guest_end_where){ 0 };
}

void guest_exit_done(struct guest_exits *x, struct guest_exit *g)
{
	guest_exit_forget(x, g);
	if (g->console_fd >= 0)
		(void)close(g->console_fd);
	g->console_fd = -1;
	for (size_t i = 0; i < x->n; i++) {
		if (x->all[i] == g)
			x->all[i] = x->all[--x->n];
	}
}

static void watch(struct guest_exits *x, struct guest_exit *g, const struct guest_log *log)
{
	const struct guest_end_where where = {
		.log_text = log->text_hva,
		.log_bytes = log->bytes,
		.log_head = log->text_hva ? log->head_hva : 0,
		.log_id = log->id_hva,
		.task_pid = g->main.pid_hva,
		.task_start = g->main.start_hva,
		.task_state = g->main.state_hva,
		.task_code = g->main.code_hva,
	};

	if (!x->kernel || (g->watched && memcmp(&where, &g->where, sizeof(where)) == 0))
		return;
	g->where = where;
	g->watched = guest_end_watch(x->kernel, g->vm->pid, &where) == 0;
}

static bool is_same(const struct guest_main *a, const struct guest_main *b)
{
	return a->there && a->pid == b->pid && a->start_ns == b->start_ns;
}

/*
 * What init runs in passing, while it boots or afterwards, is not what the guest is for: that was
 * there in two samples. It stays the main process when it is gone, until there is another.
 */
static void note_main(struct guest_exit *g, const struct guest_main *seen)
{
	if (is_same(&g->main, seen) || is_same(&g->candidate, seen))
		g->main = *seen;
	g->candidate = *seen;
}

void guest_exit_note(struct guest_exits *x, struct guest_exit *g, const struct guest_sample *s)
{
	if (s->valid >> GUEST_MAIN & 1 && s->main.there)
		note_main(g, &s->main);
	if (s->valid >> GUEST_OOM & 1) {
		g->more_kills = g->ooms_known && s->oom_kills > g->n_ooms;
		g->n_ooms = s->oom_kills;
		g->ooms_known = true;
	}
	if (s->valid >> GUEST_LOG & 1)
		watch(x, g, &s->log);
}

/* ---- at the end ----------------------------------------------------------------------------- */

static void count_lost(struct guest_exits *x)
{
	uint64_t n = guest_end_lost(x->kernel);

	metric_add(&ends_lost, (int64_t)(n - x->n_lost_seen));
	x->n_lost_seen = n;
}

void guest_exit_conclude(struct guest_exits *x, struct guest_exit *g, struct vm_exit *how)
{
	struct ending *e = &g->ending;

	if (x->kernel) {
		guest_end_take(x->kernel);
		count_lost(x);
	}
	console_note(x->pattern, g->vm, g->console_fd, main_of(g), e);
	if (g->main.there && g->main.exited) /* as the last sample saw it */
		ending_note_status(e, ENDING_PROCESS, g->main.exit_code);
	ending_finish(e, g->main.there, g->more_kills);
	how->guest = (struct vm_exit_guest){
		.code_known = e->from != ENDING_NOTHING,
		.code = e->code,
		.signal = e->signal,
		.oom = e->oom,
		.panicked = e->panicked,
		.code_from = ending_source_name(e->from),
	};
}
