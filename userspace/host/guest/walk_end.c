/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the end of a guest will be told by: its main process, and where the kernel's log is.
 *
 * Source: kernel/printk/printk_ringbuffer.h, kernel/exit.c (release_task), include/linux/sched.h.
 */
#include <errno.h>

#include "userspace/host/guest/walk.h"

#define CHILDREN_MAX 256u /* that are looked at */
#define LOG_BITS_MIN 12u
#define LOG_BITS_MAX 25u /* 32 MiB, the most that log_buf_len= takes */

/* Where the monitor has the @bytes bytes at @addr: what the host can read without us. */
static uint64_t hva_of(struct walk *w, uint64_t addr, uint64_t bytes)
{
	uint64_t gpa = space_gpa(w->s, &w->tlb, w->m, addr);

	return mem_has(w->m, gpa, bytes) ? mem_hva(w->m, gpa) : 0;
}

static uint64_t hva_of_field(struct walk *w, uint64_t base, enum profile_field field)
{
	return hva_of(w, walk_place(w, base, field), w->p->fields[field].bytes);
}

static bool is_main(struct walk *w, uint64_t task)
{
	char comm[GUEST_COMM_CAP];

	if (w->main_comm == NULL || w->main_comm[0] == '\0')
		return true;
	walk_text(w, walk_place(w, task, F_TASK_COMM), comm, sizeof(comm));
	return strcmp(comm, w->main_comm) == 0;
}

static void note_main(struct walk *w, uint64_t task)
{
	struct guest_main *m = &w->out->main;

	m->pid = (uint32_t)walk_get(w, task, F_TASK_PID);
	m->start_ns = walk_get(w, task, F_TASK_START);
	m->exited = (walk_get(w, task, F_TASK_EXIT_STATE) & GUEST_EXIT_STATES) != 0;
	m->exit_code = (int32_t)walk_get(w, task, F_TASK_EXIT_CODE);
	walk_text(w, walk_place(w, task, F_TASK_COMM), m->comm, sizeof(m->comm));
	m->pid_hva = hva_of_field(w, task, F_TASK_PID);
	m->start_hva = hva_of_field(w, task, F_TASK_START);
	m->state_hva = hva_of_field(w, task, F_TASK_EXIT_STATE);
	m->code_hva = hva_of_field(w, task, F_TASK_EXIT_CODE);
	m->there = !walk_failed(w);
}

/* The first process's children are in the order in which they came. */
void walk_main(struct walk *w)
{
	uint64_t init = walk_get(w, walk_symbol(w, S_PID_NAMESPACE), F_REAPER), task;
	struct walk_list l;

	w->out->main = (struct guest_main){ 0 };
	if (init == 0)
		return; /* it begins or ends */
	l = walk_list_begin(walk_place(w, init, F_TASK_CHILDREN),
	                    w->p->fields[F_TASK_SIBLING].offset, CHILDREN_MAX);
	while (l.left > 0 && (task = walk_list_next(w, &l)) != 0) {
		if (is_main(w, task)) {
			note_main(w, task);
			return;
		}
	}
}

void walk_log(struct walk *w)
{
	struct guest_log *log = &w->out->log;
	uint64_t ring = walk_u64(w, walk_symbol(w, S_LOG)), text = walk_get(w, ring, F_LOG_TEXT);
	uint32_t bits = (uint32_t)walk_get(w, ring, F_LOG_BITS);

	*log = (struct guest_log){ 0 };
	if (bits < LOG_BITS_MIN || bits > LOG_BITS_MAX) {
		mem_fail(w->m, -EBADMSG);
		return;
	}
	log->bytes = (uint64_t)1 << bits;
	log->text_hva = hva_of(w, text, log->bytes);
	log->head_hva = hva_of_field(w, ring, F_LOG_HEAD);
	log->id_hva = hva_of_field(w, ring, F_LOG_ID);
}
