/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A guest's physical memory, read a little at a time from outside: by system call from the
 * monitor's address space, or out of an image file.
 *
 * The walk over a kernel's structures touches some hundred pages, nearly the same ones every time.
 * So the lines (64 bytes) that the last sample touched are remembered, the next one fetches all of
 * them with a single vectored read into a cache of pages, and then walks the cache. What is not in
 * there is fetched singly.
 *
 * Hostile guests  Every address is checked against the segments; a sample has a budget of pages
 *                 and of steps. The first error sticks: from then on reads give zeros, and loops
 *                 end because they look at mem_failed(). Nothing is ever written.
 * Threads         A struct mem and its cache have one user at a time. No allocation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEM_PAGE_BYTES 4096u
#define MEM_LINE_BYTES 64u
#define MEM_SEGS_MAX   16
#define MEM_PAGES_MAX  1024   /* of a sample */
#define MEM_STEPS_MAX  200000 /* of a sample: reads */
#define MEM_LIST_MAX   512    /* remembered pages; what is beyond is fetched singly */
#define MEM_AGAIN_MAX  512    /* bytes */

/* Guest memory that the monitor has at @hva; all three are multiples of a page. */
struct mem_seg {
	uint64_t gpa, bytes, hva;
};

struct mem_piece { /* within one page, and within one segment */
	uint64_t gpa, hva;
	uint32_t bytes;
	void *dst;
	bool done; /* set by read() */
};

struct mem_ops {
	/* Marks the pieces that it got as done. Returns how many system calls it made. */
	uint32_t (*read)(void *ctx, struct mem_piece *pieces, uint32_t n);
	void (*close)(void *ctx);
};

struct mem_page {
	uint64_t pfn;
	uint8_t have_first, have_last; /* lines that were fetched */
	uint8_t used_first, used_last; /* lines that were asked for; first > last: none */
};

/* Scratch of one thread, 4 MiB: content has no meaning between two samples. */
struct mem_cache {
	uint8_t bytes[MEM_PAGES_MAX][MEM_PAGE_BYTES];
	struct mem_page pages[MEM_PAGES_MAX];
	struct mem_piece pieces[MEM_PAGES_MAX + 1];
	uint16_t slots[MEM_PAGES_MAX * 2]; /* open addressing by pfn: index + 1, 0 = empty */
	uint32_t n;
};

struct mem_counts { /* of the last sample */
	uint32_t n_calls, n_pages, n_missed, n_steps;
	uint64_t n_bytes;
};

/* Bytes that are read a second time at the end of the vectored read: equal, they were not torn. */
struct mem_again {
	uint64_t gpa;
	uint32_t bytes; /* 0: none */
	bool done;
	uint8_t copy[MEM_AGAIN_MAX];
};

struct mem {
	const struct mem_ops *ops;
	void *ctx;
	struct mem_seg segs[MEM_SEGS_MAX];
	uint32_t n_segs, n_list;
	uint64_t list[MEM_LIST_MAX]; /* pfn << 12 | first line << 6 | last line */
	struct mem_cache *cache;     /* NULL: no sample is going on */
	struct mem_counts counts;
	struct mem_again again;
	/* For image.h: sees every whole page that is fetched. NULL: nobody looks. */
	void (*record)(void *ctx, uint64_t pfn, const uint8_t *bytes);
	void *record_ctx;
	int err;       /* of the part of the sample that is being read; sticky */
	int exhausted; /* a budget is: the whole sample is over */
};

/* -EINVAL: segments that overlap, are not whole pages, or too many. Takes over @ctx on success. */
int mem_open(struct mem *m, const struct mem_ops *ops, void *ctx, const struct mem_seg *segs,
             uint32_t n_segs);
void mem_close(struct mem *m);

/* A sample between the two has a consistent view of what it read more than once. */
void mem_begin(struct mem *m, struct mem_cache *cache);
void mem_end(struct mem *m);

/* Drops what is cached, so that a second attempt reads afresh. Budgets go on. */
void mem_forget(struct mem *m);

/*
 * mem_is_settled() - whether the bytes from @gpa on, up to MEM_AGAIN_MAX and within one page, were
 * the same at the begin and at the end of the vectored read. False also when that is not known:
 * they are then read a second time from the next sample on.
 */
bool mem_is_settled(struct mem *m, uint64_t gpa, uint32_t bytes);

/* The first error of this part of the sample; a budget that is exhausted lets no part begin. */
void mem_clear_error(struct mem *m);
void mem_fail(struct mem *m, int code);
static inline bool mem_failed(const struct mem *m)
{
	return m->err != 0;
}

/*
 * mem_at() - @bytes bytes at the guest-physical address @gpa, within one page.
 *
 * Never NULL: after an error, a page of zeros. Valid until mem_forget() or mem_end().
 * -EFAULT: no such memory, or across pages; -ENOSPC: a budget.
 */
const uint8_t *mem_at(struct mem *m, uint64_t gpa, uint32_t bytes);

/* Whether all of a range of addresses lies in one segment. */
bool mem_has(const struct mem *m, uint64_t gpa, uint64_t bytes);
uint64_t mem_hva(const struct mem *m, uint64_t gpa); /* 0 when there is none */

/*
 * ---- mem_process.c: of a running monitor, by process_vm_readv(2)
 *
 * @careful: every page is looked up in /proc/PID/pagemap first, and what is not there is not read.
 * A hole in shared memory would be filled by reading it, and a page that a userfaultfd handler has
 * to bring would make us wait for it. It costs a system call for each run of pages.
 * -EINVAL as of mem_open(); -ENOMEM, -EPERM, -ENOENT of @careful.
 */
int mem_open_process(struct mem *m, int pid, const struct mem_seg *segs, uint32_t n_segs,
                     bool careful);
