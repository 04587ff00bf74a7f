/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/walk.h"

#include <errno.h>

#include "userspace/base/util.h"

/* Per-CPU variables below this are offsets, at or above it addresses of the template. */
#define KERNEL_IMAGE 0xffffffff80000000u

static const uint8_t *at(struct walk *w, uint64_t addr, uint32_t bytes)
{
	return mem_at(w->m, space_gpa(w->s, &w->tlb, w->m, addr), bytes);
}

uint64_t walk_number(struct walk *w, uint64_t addr, uint32_t bytes)
{
	const uint8_t *p = at(w, addr, bytes);
	uint64_t v = 0;

	memcpy(&v, p, MIN(bytes, (uint32_t)sizeof(v)));
	return v;
}

uint64_t walk_get(struct walk *w, uint64_t base, enum profile_field field)
{
	const struct profile_place *f = &w->p->fields[field];
	uint64_t v;

	if (!f->there || f->bytes == 0) {
		mem_fail(w->m, -ENODATA);
		return 0;
	}
	v = walk_number(w, base + f->offset, f->bytes);
	return f->bits ? (v >> f->bit) & (((uint64_t)1 << f->bits) - 1) : v;
}

void walk_copy(struct walk *w, uint64_t addr, void *dst, uint32_t n)
{
	uint8_t *to = dst;

	while (n > 0) {
		uint32_t part = MIN(n, MEM_PAGE_BYTES - (uint32_t)(addr % MEM_PAGE_BYTES));

		memcpy(to, at(w, addr, part), part);
		to += part;
		addr += part;
		n -= part;
	}
}

static char printable(uint8_t c)
{
	return c >= 0x20 && c < 0x7f ? (char)c : '?';
}

void walk_text(struct walk *w, uint64_t addr, char *dst, uint32_t cap)
{
	uint32_t n = 0;

	while (n + 1 < cap && !walk_failed(w)) {
		/* A line at a time, which never straddles pages. */
		uint32_t part =
			MIN(cap - 1 - n, MEM_LINE_BYTES - (uint32_t)(addr % MEM_LINE_BYTES));
		const uint8_t *text = at(w, addr, part);
		uint32_t len = (uint32_t)strnlen((const char *)text, part);

		for (uint32_t i = 0; i < len; i++)
			dst[n++] = printable(text[i]);
		if (len < part)
			break;
		addr += part;
	}
	dst[n] = '\0';
}

uint64_t walk_per_cpu(struct walk *w, uint64_t pointer, uint32_t cpu)
{
	return pointer + walk_u64(w, walk_symbol(w, S_PER_CPU_OFFSET) + cpu * 8);
}

uint64_t walk_per_cpu_symbol(struct walk *w, enum profile_symbol symbol, uint32_t cpu)
{
	uint64_t addr = w->p->symbols[symbol];

	if (addr >= KERNEL_IMAGE)
		addr += w->s->slide;
	return walk_per_cpu(w, addr, cpu);
}

uint32_t walk_next_cpu(const uint64_t mask[WALK_CPU_WORDS], uint32_t from)
{
	for (uint32_t word = from / 64; word < WALK_CPU_WORDS; word++) {
		uint64_t bits = mask[word];

		if (word == from / 64)
			bits &= ~(uint64_t)0 << from % 64;
		if (bits != 0)
			return word * 64 + (uint32_t)__builtin_ctzll(bits);
	}
	return UINT32_MAX;
}

struct walk_list walk_list_begin(uint64_t head, uint32_t offset, uint32_t max)
{
	return (struct walk_list){ .head = head, .at = head, .offset = offset, .left = max };
}

uint64_t walk_list_next(struct walk *w, struct walk_list *l)
{
	l->at = walk_u64(w, l->at);
	if (walk_failed(w) || l->at == l->head)
		return 0;
	if (l->left-- == 0) {
		mem_fail(w->m, -ELOOP);
		return 0;
	}
	return l->at - l->offset;
}

static void read_mask(struct walk *w, enum profile_symbol symbol, uint64_t mask[WALK_CPU_WORDS])
{
	uint32_t bytes =
		(uint32_t)MIN(walk_value(w, V_CPU_MASK_BYTES), (int64_t)WALK_CPU_WORDS * 8);

	walk_copy(w, walk_symbol(w, symbol), mask, bytes);
}

void walk_begin(struct walk *w)
{
	read_mask(w, S_CPUS_POSSIBLE, w->possible);
	read_mask(w, S_CPUS_ONLINE, w->online);
	if (!walk_failed(w) && w->possible[0] == 0)
		mem_fail(w->m, -EBADMSG); /* CPU 0 is always possible */
}
