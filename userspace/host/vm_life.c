/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * User-space half of bpf/vm_life.bpf.c: loads it, keeps its tables, hands its events on. Threads
 * end before their process does: what they had counted is kept until then.
 */
#include "userspace/host/vm_life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/vm_life.h"
#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/host/pidns.h"

#include "vm_life.skel.h"

#define ENDED_THREADS_MAX 16384

struct vm_life {
	struct vm_life_bpf *skel;
	struct ring_buffer *ring;
	vm_life_f fn;
	void *ctx;
	uint32_t n_comms;
	struct vm_task_rec *ended; /* threads of watched processes that still run */
	size_t n_ended, ended_cap;
};

void vm_life_close(struct vm_life *l)
{
	if (!l)
		return;
	ring_buffer__free(l->ring);
	vm_life_bpf__destroy(l->skel);
	free(l->ended);
	free(l);
}

DEFINE_CLEANUP(struct vm_life *, vm_life_close);

/* A monitor with a lot of short-lived threads may fill the room: then the oldest go. */
static void keep_thread(struct vm_life *l, const struct vm_task_rec *thread)
{
	if (l->n_ended == ENDED_THREADS_MAX) {
		l->n_ended /= 2;
		memmove(l->ended, l->ended + l->n_ended, l->n_ended * sizeof(*l->ended));
	}
	if (MEM_GROW(l->ended, l->ended_cap, l->n_ended + 1) == 0)
		l->ended[l->n_ended++] = *thread;
}

/* Moves the threads of @tgid behind all others, and takes them off the list; returns how many. */
static size_t take_threads(struct vm_life *l, __u32 tgid)
{
	size_t end = l->n_ended;

	for (size_t i = l->n_ended; i-- > 0;) {
		if (l->ended[i].tgid != tgid)
			continue;
		struct vm_task_rec swap = l->ended[--l->n_ended];

		l->ended[l->n_ended] = l->ended[i];
		l->ended[i] = swap;
	}
	return end - l->n_ended;
}

static void on_process(struct vm_life *l, const struct vm_life_rec *rec)
{
	struct vm_life_event ev = { .what = VM_LIFE_EXEC,
		                    .pid = (pid_t)rec->tgid,
		                    .mono_ns = rec->mono_ns };

	memcpy(ev.comm, rec->comm, sizeof(ev.comm));
	ev.comm[sizeof(ev.comm) - 1] = '\0';
	if (rec->what == VM_LIFE_REC_EXIT) {
		ev.what = VM_LIFE_EXIT;
		ev.exec_ns = rec->exec_ns;
		ev.exit = (struct vm_exit){
			.status_known = true,
			.oom_killed = rec->oom_killed != 0,
			.wait_status = rec->wait_status,
			.n_threads = take_threads(l, rec->tgid),
		};
		ev.exit.threads = ev.exit.n_threads > 0 ? l->ended + l->n_ended : NULL;
	}
	l->fn(l->ctx, &ev);
}

static int on_record(void *ctx, void *data, size_t bytes)
{
	struct vm_life *l = ctx;
	const struct vm_life_thread *thread = data;
	__u32 what;

	if (bytes < sizeof(what))
		return 0;
	memcpy(&what, data, sizeof(what));
	if (what == VM_LIFE_REC_THREAD && bytes >= sizeof(*thread))
		keep_thread(l, &thread->task);
	else if (what != VM_LIFE_REC_THREAD && bytes >= sizeof(struct vm_life_rec))
		on_process(l, data);
	return 0;
}

static int load(struct vm_life *l, struct err *e)
{
	int r;

	l->skel = vm_life_bpf__open();
	if (!l->skel)
		return err_set(e, neg_errno(), "vm_life: cannot be opened: %s", strerror(errno));
	l->skel->rodata->pidns_ino = pidns_ino_of_ours();
	r = vm_life_bpf__load(l->skel);
	if (r < 0)
		return err_set(e, r, "vm_life: the kernel refused it: %s", strerror(-r));
	r = vm_life_bpf__attach(l->skel);
	if (r < 0)
		return err_set(e, r, "vm_life: cannot attach to exec and exit: %s", strerror(-r));
	l->ring = ring_buffer__new(bpf_map__fd(l->skel->maps.vm_life_ring), on_record, l, NULL);
	if (!l->ring)
		return err_set(e, neg_errno(), "vm_life: no ring buffer: %s", strerror(errno));
	return 0;
}

int vm_life_open(struct vm_life **ret, vm_life_f fn, void *ctx, struct err *e)
{
	_cleanup_(vm_life_closep) struct vm_life *l = mem_zalloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->fn = fn;
	l->ctx = ctx;
	r = load(l, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(l);
	return 0;
}

int vm_life_want_comm(struct vm_life *l, const char *comm)
{
	struct vm_life_comm want = { .len = (__u32)strnlen(comm, sizeof(want.text) - 1) };

	if (want.len == 0)
		return -EINVAL;
	if (l->n_comms == VM_LIFE_COMMS_MAX)
		return -ENOSPC;
	memcpy(want.text, comm, want.len);
	int r = bpf_map_update_elem(bpf_map__fd(l->skel->maps.vm_comms), &l->n_comms, &want,
	                            BPF_ANY);

	if (r == 0)
		l->n_comms++;
	return r;
}

int vm_life_watch(struct vm_life *l, pid_t tgid)
{
	__u32 key = (__u32)tgid, one = 1;

	return bpf_map_update_elem(bpf_map__fd(l->skel->maps.vm_watched), &key, &one, BPF_ANY);
}

void vm_life_unwatch(struct vm_life *l, pid_t tgid)
{
	__u32 key = (__u32)tgid;

	(void)bpf_map_delete_elem(bpf_map__fd(l->skel->maps.vm_watched), &key);
	(void)take_threads(l, key);
}

int vm_life_fd(const struct vm_life *l)
{
	return ring_buffer__epoll_fd(l->ring);
}

int vm_life_dispatch(struct vm_life *l)
{
	return ring_buffer__consume(l->ring);
}

uint64_t vm_life_lost(const struct vm_life *l)
{
	return __atomic_load_n(&l->skel->bss->lost, __ATOMIC_RELAXED);
}
