/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What reading many guests costs: processes that each hold a copy of a guest's pages (an image,
 * guest/image.h) at the places where a monitor would have them, all of which are sampled in turn,
 * so that caches are cold as on a full host.
 *
 *	crowd PROFILE IMAGE PROCESSES SWEEPS
 *
 * Prints one line: CPU time of a sample (of the sweeps behind the first one), and what share of a
 * CPU that is every 15 seconds.
 */
#include "tests/guest/guest_tool.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/base/buf.h"
#include "userspace/base/file.h"
#include "userspace/host/guest/image.h"

#define INTERVAL_NS 15e9
#define PAGE_ENTRY  (8u + MEM_PAGE_BYTES)

struct crowd {
	struct mem_seg segs[MEM_SEGS_MAX]; /* hva: the same in every process */
	uint32_t n_segs, n_pages;
	const char *pages;
	pid_t *pids;
};

static void parse(struct crowd *c, const struct buf *image)
{
	struct err e = ERR_INIT;
	struct mem m;

	if (image_open(&m, buf_str(image), &e) < 0)
		tool_fail("image", e.msg);
	memcpy(c->segs, m.segs, sizeof(c->segs));
	c->n_segs = m.n_segs;
	mem_close(&m);
	memcpy(&c->n_pages, image->p + 12, 4);
	c->pages = image->p + 16 + (size_t)c->n_segs * 16;
	for (uint32_t i = 0; i < c->n_segs; i++) {
		void *at = mmap(NULL, c->segs[i].bytes, PROT_READ | PROT_WRITE,
		                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (at == MAP_FAILED)
			tool_fail("memory", "not enough addresses");
		(void)madvise(at, c->segs[i].bytes, MADV_NOHUGEPAGE);
		c->segs[i].hva = (uintptr_t)at;
	}
}

/* In a child: its own copy of all pages. */
static void fill(const struct crowd *c)
{
	struct mem m = { .n_segs = c->n_segs };

	memcpy(m.segs, c->segs, sizeof(m.segs));
	for (uint32_t i = 0; i < c->n_pages; i++) {
		const char *entry = c->pages + (size_t)i * PAGE_ENTRY;
		uint64_t pfn;

		memcpy(&pfn, entry, 8);
		uint64_t hva = mem_hva(&m, pfn * MEM_PAGE_BYTES);

		if (hva != 0)
			memcpy((void *)(uintptr_t)hva, entry + 8, MEM_PAGE_BYTES);
	}
}

static pid_t start(const struct crowd *c)
{
	int ready[2];
	char byte = 0;

	if (pipe(ready) < 0)
		tool_fail("pipe", "none");
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fill(c);
		(void)!write(ready[1], &byte, 1);
		for (;;)
			(void)pause();
	}
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		tool_fail("fork", "failed");
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

static struct guest *attach(const struct crowd *c, pid_t pid, const struct profile *p,
                            struct mem_cache *cache)
{
	struct guest *g;
	struct mem m;

	if (mem_open_process(&m, pid, c->segs, c->n_segs, false) < 0 ||
	    guest_attach(&g, p, &m, cache, NO_KERNEL) < 0)
		tool_fail("a process", "its guest is not found");
	return g;
}

static uint64_t sweep(struct guest **all, uint32_t n, struct mem_cache *cache,
                      struct guest_sample *s, uint32_t wanted)
{
	uint64_t start_ns = tool_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (uint32_t i = 0; i < n; i++) {
		if (guest_sample(all[i], cache, ~0u, tool_clock_ns(CLOCK_MONOTONIC), s) < 0 ||
		    s->valid != wanted)
			tool_fail("a sample", "is not whole");
	}
	return tool_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		tool_fail("usage", "crowd PROFILE IMAGE PROCESSES SWEEPS");
	const struct profile *p = tool_profile(argv[1]);
	const uint32_t n = (uint32_t)strtoul(argv[3], NULL, 10);
	const uint32_t n_sweeps = (uint32_t)strtoul(argv[4], NULL, 10);
	struct mem_cache *cache = tool_alloc(1, sizeof(*cache));
	struct guest_sample *s = tool_alloc(1, sizeof(*s));
	struct guest **all = tool_alloc(n, sizeof(struct guest *));
	struct crowd c = { .pids = tool_alloc(n, sizeof(pid_t)) };
	struct buf image = BUF_INIT;
	uint64_t sum_ns = 0, best_ns = UINT64_MAX;

	if (file_read(argv[2], &image, IMAGE_BYTES_MAX) < 0)
		tool_fail(argv[2], "cannot be read");
	parse(&c, &image);
	for (uint32_t i = 0; i < n; i++)
		c.pids[i] = start(&c);
	for (uint32_t i = 0; i < n; i++)
		all[i] = attach(&c, c.pids[i], p, cache);
	(void)sweep(all, n, cache, s, guest_features_families(p));
	for (uint32_t i = 0; i < n_sweeps; i++) {
		uint64_t ns = sweep(all, n, cache, s, guest_features_families(p));

		sum_ns += ns;
		best_ns = MIN(best_ns, ns);
	}
	printf("{\"processes\": %u, \"sweeps\": %u, \"us_per_sample\": %.1f, "
	       "\"us_per_sample_best\": %.1f, "
	       "\"cpu_pct_every_15s\": %.3f, \"calls_per_sample\": %u, \"pages_per_sample\": %u, "
	       "\"bytes_per_sample\": %" PRIu64 "}\n",
	       n, n_sweeps, (double)sum_ns / n_sweeps / n / 1e3, (double)best_ns / n / 1e3,
	       (double)sum_ns / n_sweeps / INTERVAL_NS * 100, guest_counts(all[0])->n_calls,
	       guest_counts(all[0])->n_pages, guest_counts(all[0])->n_bytes);
	for (uint32_t i = 0; i < n; i++) {
		guest_detach(all[i]);
		(void)kill(c.pids[i], SIGKILL);
		(void)waitpid(c.pids[i], NULL, 0);
	}
	free(all);
	free(c.pids);
	free(s);
	free(cache);
	free((void *)(uintptr_t)p);
	buf_done(&image);
	return 0;
}
