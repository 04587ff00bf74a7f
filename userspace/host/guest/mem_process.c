/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of a running monitor. A read of anonymous memory that the guest never touched maps
 * the shared page of zeros and allocates nothing.
 *
 * Source: process_vm_readv(2): whole iovec elements are transferred; it stops at the first that
 * cannot be, so the rest is asked for again behind that one.
 */
#include "userspace/host/guest/mem.h"

#include <errno.h>
#include <sys/uio.h>

#include "userspace/base/util.h"

#define PIECES_OF_CALL 512u /* below IOV_MAX */
#define FAULTS_MAX     16u  /* pieces that fail before the rest is given up */

static pid_t pid_of(const void *ctx)
{
	return (pid_t)(uintptr_t)ctx;
}

/* How many of the @n pieces came, in order; those are marked. */
static uint32_t read_once(pid_t pid, struct mem_piece *pieces, uint32_t n)
{
	struct iovec local[PIECES_OF_CALL], remote[PIECES_OF_CALL];
	uint32_t done = 0;
	ssize_t got;

	for (uint32_t i = 0; i < n; i++) {
		local[i] = (struct iovec){ pieces[i].dst, pieces[i].bytes };
		remote[i] = (struct iovec){ (void *)(uintptr_t)pieces[i].hva, pieces[i].bytes };
	}
	got = process_vm_readv(pid, local, n, remote, n, 0);
	while (done < n && got >= (ssize_t)pieces[done].bytes) {
		got -= (ssize_t)pieces[done].bytes;
		pieces[done++].done = true;
	}
	return done;
}

static uint32_t process_read(void *ctx, struct mem_piece *pieces, uint32_t n)
{
	uint32_t at = 0, n_calls = 0, n_faults = 0;

	while (at < n && n_faults < FAULTS_MAX) {
		uint32_t want = MIN(n - at, PIECES_OF_CALL);
		uint32_t done = read_once(pid_of(ctx), pieces + at, want);

		n_calls++;
		n_faults += done < want;
		at += done + (done < want);
	}
	return n_calls;
}

static const struct mem_ops process_ops = { .read = process_read };

int mem_open_process(struct mem *m, int pid, const struct mem_seg *segs, uint32_t n_segs)
{
	return mem_open(m, &process_ops, (void *)(uintptr_t)pid, segs, n_segs);
}
