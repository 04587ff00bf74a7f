/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that lies: memory of a real one (an image, guest/image.h), in which pointers and numbers
 * are changed before each sample. Whatever is in there, a sample ends within its budgets, and what
 * it gives is within bounds. Built with sanitizers, which see what else could go wrong.
 *
 *	liar PROFILE IMAGE ROUNDS SEED
 *
 * Changed are words that a sample reads: pointers mostly, to other places that exist,
 * to themselves, to the end of a page, to nowhere; some bits; some numbers.
 */
#include "tests/guest/guest_tool.h"

#include "userspace/base/buf.h"
#include "userspace/base/file.h"
#include "userspace/base/rng.h"
#include "userspace/host/guest/image.h"

#define HEAD_BYTES    16u /* of an image: docs/format/guest-image.md */
#define SEG_BYTES     16u
#define PAGE_ENTRY    (8u + MEM_PAGE_BYTES)
#define CHANGES_MAX   8u
#define WORDS_OF_PAGE (MEM_PAGE_BYTES / 8)
#define WORDS_OF_LINE (MEM_LINE_BYTES / 8)

struct liar {
	struct rng rng;
	char *pages; /* of the image: a page number each, then its bytes */
	uint32_t n_pages;
	char **words, **pointers; /* pointers: words that hold kernel addresses */
	uint32_t n_words, n_pointers;
	struct {
		char *at;
		uint64_t was;
	} undo[CHANGES_MAX];
	uint32_t n_undo;
};

static uint64_t word_at(const char *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static char *word_of(const struct liar *l, uint32_t page, uint32_t word)
{
	return l->pages + (size_t)page * PAGE_ENTRY + 8 + (size_t)word * 8;
}

static uint32_t page_of(const struct liar *l, uint64_t pfn)
{
	for (uint32_t page = 0; page < l->n_pages; page++) {
		if (word_at(word_of(l, page, 0) - 8) == pfn)
			return page;
	}
	tool_fail("image", "a page is missing");
	return 0;
}

/* The lines that the last sample has used, by what is remembered for the next one. */
static void find_words(struct liar *l, const struct mem *m)
{
	l->words = tool_alloc((size_t)m->n_list * WORDS_OF_PAGE, sizeof(*l->words));
	l->pointers = tool_alloc((size_t)m->n_list * WORDS_OF_PAGE, sizeof(*l->pointers));
	for (uint32_t i = 0; i < m->n_list; i++) {
		uint32_t page = page_of(l, m->list[i] >> 12);
		uint32_t first = (uint32_t)(m->list[i] >> 6 & 63) * WORDS_OF_LINE;
		uint32_t last = (uint32_t)(m->list[i] & 63) * WORDS_OF_LINE + WORDS_OF_LINE - 1;

		for (uint32_t word = first; word <= last; word++) {
			char *at = word_of(l, page, word);

			l->words[l->n_words++] = at;
			if (word_at(at) >> 48 == 0xffff || word_at(at) >> 56 == 0xff)
				l->pointers[l->n_pointers++] = at;
		}
	}
	if (l->n_pointers == 0)
		tool_fail("image", "no pointers in it");
}

static uint64_t some_pointer(struct liar *l)
{
	return word_at(l->pointers[rng_below(&l->rng, l->n_pointers)]);
}

static uint64_t some_lie(struct liar *l, uint64_t was)
{
	switch (rng_below(&l->rng, 9)) {
	case 0:
		return some_pointer(l);
	case 1:
		return (some_pointer(l) | (MEM_PAGE_BYTES - 1)) - rng_below(&l->rng, 16);
	case 2:
		return was ^ (uint64_t)1 << rng_below(&l->rng, 64);
	case 3:
		return was + 8 * rng_below(&l->rng, 64) - 256;
	case 4:
		return 0;
	case 5:
		return UINT64_MAX - rng_below(&l->rng, 4096);
	case 6:
		return rng_below(&l->rng, 4096);
	case 7:
		return was & ~(uint64_t)0xffff; /* perhaps the head of what it was in */
	default:
		return rng_u64(&l->rng);
	}
}

static void lie(struct liar *l)
{
	uint32_t n = 1 + rng_below(&l->rng, CHANGES_MAX);

	for (l->n_undo = 0; l->n_undo < n; l->n_undo++) {
		char *at = rng_below(&l->rng, 4) > 0
		                   ? l->pointers[rng_below(&l->rng, l->n_pointers)]
		                   : l->words[rng_below(&l->rng, l->n_words)];
		uint64_t was = word_at(at), now = some_lie(l, was);

		l->undo[l->n_undo].at = at;
		l->undo[l->n_undo].was = was;
		memcpy(at, &now, sizeof(now));
	}
}

static void tell_the_truth(struct liar *l)
{
	while (l->n_undo > 0) {
		l->n_undo--;
		memcpy(l->undo[l->n_undo].at, &l->undo[l->n_undo].was, 8);
	}
}

static struct guest *attach(const struct profile *p, struct buf *image, struct mem_cache *cache)
{
	struct err e = ERR_INIT;
	struct guest *g;
	struct mem m;

	if (image_open(&m, buf_str(image), &e) < 0)
		tool_fail("image", e.msg);
	if (guest_attach(&g, p, &m, cache, NO_KERNEL) < 0)
		tool_fail("image", "not of this kernel");
	return g;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		tool_fail("usage", "liar PROFILE IMAGE ROUNDS SEED");
	const struct profile *p = tool_profile(argv[1]);
	struct mem_cache *cache = tool_alloc(1, sizeof(*cache));
	struct guest_sample *s = tool_alloc(1, sizeof(*s));
	struct liar l = { .rng = { .s = strtoull(argv[4], NULL, 10) } };
	const unsigned long n = strtoul(argv[3], NULL, 10);
	unsigned long n_whole = 0, n_refused = 0;
	uint32_t pages_max = 0, steps_max = 0, n_segs;
	struct buf image = BUF_INIT;

	if (file_read(argv[2], &image, IMAGE_BYTES_MAX) < 0)
		tool_fail(argv[2], "cannot be read");
	struct guest *g = attach(p, &image, cache);

	memcpy(&n_segs, image.p + 8, 4);
	memcpy(&l.n_pages, image.p + 12, 4);
	l.pages = image.p + HEAD_BYTES + (size_t)n_segs * SEG_BYTES;
	if (guest_sample(g, cache, ~0u, 1, s) < 0)
		tool_fail("image", "no sample of it");
	find_words(&l, guest_mem(g));
	for (unsigned long i = 0; i < n; i++) {
		uint64_t end;

		lie(&l);
		int r = guest_sample(g, cache, ~0u, 1000000000ull * (i + 1), s);
		const char *broken = tool_broken_bound(s, guest_counts(g));

		if (broken)
			tool_fail("a lie was believed", broken);
		pages_max = MAX(pages_max, guest_counts(g)->n_pages);
		steps_max = MAX(steps_max, guest_counts(g)->n_steps);
		n_refused += r < 0;
		n_whole += r == 0 && s->valid == guest_features_families(p);
		if (i % 64 == 0) {
			(void)guest_memory_end(g, cache, &end);
			if (guest_find_again(g, cache) < 0) { /* now it is nowhere: begin anew */
				tell_the_truth(&l);
				guest_detach(g);
				/* The checksum is of the truth. */
				g = attach(p, &image, cache);
			}
		}
		tell_the_truth(&l);
		if (guest_find_again(g, cache) < 0)
			tool_fail("the truth", "is not found again");
	}
	printf("%lu lies: %lu samples whole, %lu refused, at most %u pages and %u steps\n", n,
	       n_whole, n_refused, pages_max, steps_max);
	guest_detach(g);
	buf_done(&image);
	free(l.pointers);
	free(l.words);
	free(s);
	free(cache);
	free((void *)(uintptr_t)p);
	return 0;
}
