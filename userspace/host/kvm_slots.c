/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/kvm_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/kvm_slots.h"
#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/util.h"

#include "kvm_slots.skel.h"

#define RECORDS_MAX 512u

struct kvm_slots {
	struct kvm_slots_bpf *skel;
};

DEFINE_CLEANUP(struct kvm_slots *, kvm_slots_close);

void kvm_slots_close(struct kvm_slots *k)
{
	if (k)
		kvm_slots_bpf__destroy(k->skel);
	free(k);
}

int kvm_slots_open(struct kvm_slots **ret, struct err *e)
{
	_cleanup_(kvm_slots_closep) struct kvm_slots *k = mem_zalloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->skel = kvm_slots_bpf__open();
	if (!k->skel)
		return err_set(e, neg_errno(), "kvm_slots: cannot be opened: %s", strerror(errno));
	r = kvm_slots_bpf__load(k->skel);
	if (r < 0)
		return err_set(e, r, "kvm_slots: the kernel refused it: %s", strerror(-r));
	*ret = TAKE_PTR(k);
	return 0;
}

/* The iterator of one process's files; returns its descriptor. */
static int open_iterator(const struct kvm_slots *k, pid_t pid, struct err *e)
{
	union bpf_iter_link_info of = { .task = { .pid = (__u32)pid } };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &of, .link_info_len = sizeof(of));
	struct bpf_link *link = bpf_program__attach_iter(k->skel->progs.kvm_slots, &opts);
	int fd;

	if (!link)
		return err_set(e, neg_errno(), "kvm_slots: no iterator of process %d: %s", (int)pid,
		               strerror(errno));
	fd = bpf_iter_create(bpf_link__fd(link));
	bpf_link__destroy(link);
	return fd < 0 ? err_set(e, fd, "kvm_slots: no iterator: %s", strerror(-fd)) : fd;
}

static int read_all(int fd, struct kvm_slot_rec *recs, uint32_t *ret_n)
{
	size_t have = 0, cap = RECORDS_MAX * sizeof(*recs);
	ssize_t n = 1;

	while (n > 0 && have < cap) {
		n = read(fd, (char *)recs + have, cap - have);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			n = 1;
		else if (n > 0)
			have += (size_t)n;
	}
	if (n < 0)
		return neg_errno();
	*ret_n = (uint32_t)(have / sizeof(*recs));
	return 0;
}

static int larger_first(const void *a, const void *b)
{
	const struct kvm_slot_rec *x = a, *y = b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static int lower_first(const void *a, const void *b)
{
	const struct mem_seg *x = a, *y = b;

	return (x->gpa > y->gpa) - (x->gpa < y->gpa);
}

static bool meets_one(const struct kvm_slot_rec *rec, const struct mem_seg *segs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (rec->gpa < segs[i].gpa + segs[i].bytes && segs[i].gpa < rec->gpa + rec->bytes)
			return true;
	}
	return false;
}

int kvm_slots_read(struct kvm_slots *k, pid_t pid, struct mem_seg out[MEM_SEGS_MAX],
                   uint32_t *ret_n, struct err *e)
{
	_cleanup_free_ struct kvm_slot_rec *recs = mem_zalloc(RECORDS_MAX, sizeof(*recs));
	uint32_t n_recs = 0, n = 0;
	int fd, r;

	if (!recs)
		return -ENOMEM;
	fd = open_iterator(k, pid, e);
	if (fd < 0)
		return fd;
	r = read_all(fd, recs, &n_recs);
	(void)close(fd);
	if (r < 0)
		return err_set(e, r, "kvm_slots: process %d: %s", (int)pid, strerror(-r));
	qsort(recs, n_recs, sizeof(*recs), larger_first);
	for (uint32_t i = 0; i < n_recs && n < MEM_SEGS_MAX; i++) {
		if (!meets_one(&recs[i], out, n)) /* two in one process, or one that just moved */
			out[n++] = (struct mem_seg){ recs[i].gpa, recs[i].bytes, recs[i].hva };
	}
	qsort(out, n, sizeof(*out), lower_first);
	*ret_n = n;
	return 0;
}
