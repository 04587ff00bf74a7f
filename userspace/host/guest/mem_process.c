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
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/err.h"
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

/* ---- carefully ------------------------------------------------------------------------------ */

struct careful {
	pid_t pid;
	int pagemap_fd;
};

#define ENTRY_PRESENT ((uint64_t)1 << 63)
#define ENTRY_SWAPPED ((uint64_t)1 << 62)

static uint64_t page_of(const struct mem_piece *piece)
{
	return piece->hva / MEM_PAGE_BYTES;
}

/* How many of the pieces, from the first on, are of pages one behind the other. */
static uint32_t run_of_pages(const struct mem_piece *pieces, uint32_t n)
{
	uint32_t len = 1;

	while (len < n && len < PIECES_OF_CALL && page_of(&pieces[len]) == page_of(pieces) + len)
		len++;
	return len;
}

static uint32_t look_up(const struct careful *c, const struct mem_piece *pieces, uint32_t n,
                        uint64_t entries[PIECES_OF_CALL])
{
	const ssize_t want = (ssize_t)(n * sizeof(entries[0]));
	ssize_t got = pread(c->pagemap_fd, entries, (size_t)want,
	                    (off_t)(page_of(pieces) * sizeof(entries[0])));

	for (uint32_t i = got > 0 ? (uint32_t)got / sizeof(entries[0]) : 0; i < n; i++)
		entries[i] = 0; /* not known: not there */
	return 1;
}

/* Of pages that are there; the rest is not touched. */
static uint32_t careful_read(void *ctx, struct mem_piece *pieces, uint32_t n)
{
	const struct careful *c = ctx;
	uint64_t entries[PIECES_OF_CALL];
	uint32_t n_calls = 0;

	for (uint32_t at = 0, len; at < n; at += len) {
		len = run_of_pages(pieces + at, n - at);
		n_calls += look_up(c, pieces + at, len, entries);
		for (uint32_t i = 0, k; i < len; i = k + 1) {
			k = i;
			while (k < len && entries[k] & (ENTRY_PRESENT | ENTRY_SWAPPED))
				k++;
			if (k > i)
				n_calls += process_read((void *)(uintptr_t)c->pid, pieces + at + i,
				                        k - i);
		}
	}
	return n_calls;
}

static void careful_close(void *ctx)
{
	struct careful *c = ctx;

	(void)close(c->pagemap_fd);
	free(c);
}

static const struct mem_ops careful_ops = { .read = careful_read, .close = careful_close };

static int open_careful(struct mem *m, int pid, const struct mem_seg *segs, uint32_t n_segs)
{
	struct careful *c = mem_zalloc(1, sizeof(*c));
	char path[64];
	int r;

	if (!c)
		return -ENOMEM;
	(void)snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	c->pid = pid;
	c->pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	r = c->pagemap_fd < 0 ? neg_errno() : mem_open(m, &careful_ops, c, segs, n_segs);
	if (r < 0) {
		if (c->pagemap_fd >= 0)
			(void)close(c->pagemap_fd);
		free(c);
	}
	return r;
}

int mem_open_process(struct mem *m, int pid, const struct mem_seg *segs, uint32_t n_segs,
                     bool careful)
{
	if (careful)
		return open_careful(m, pid, segs, n_segs);
	return mem_open(m, &process_ops, (void *)(uintptr_t)pid, segs, n_segs);
}
