/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables, each aligned to 8 bytes, and to 4 in the newest layout:
 *
 *	num_syms      u32
 *	names         num_syms times: length, so many token numbers; above 127 in two bytes
 *	markers       u32, offset in names of every 256th symbol
 *	token_table   256 texts, NUL-terminated; a name is the texts of its tokens, the first
 *	              character of which is the symbol's type
 *	token_index   u16, offset in token_table of every token
 *	offsets       s32 for each symbol
 *
 * Up to 6.5 or so offsets and their base come before num_syms, since then behind token_index;
 * later the base is gone, and an offset counts from its own place.
 */
#include "userspace/host/guest/kallsyms.h"

#include <errno.h>
#include <string.h>

#include "userspace/base/util.h"

#define TOKENS      256u
#define MARK_EVERY  256u
#define SYMBOLS_MIN 2000u
#define BASE_BYTES  8u /* of the base, and what it is aligned to */
#define SYMBOLS_MAX 4000000u
#define TABLE_ALIGN 8u
#define BANNER      "linux_banner"
#define BANNER_TEXT "Linux version "
#define DIGITS \
	"0\0"  \
	"1\0"  \
	"2\0"  \
	"3\0"  \
	"4\0"  \
	"5\0"  \
	"6\0"  \
	"7\0"  \
	"8\0"  \
	"9"

struct tables {
	uint64_t addr; /* link-time address of @in */
	struct str in; /* the section that holds them */
	size_t align;  /* of every table */
	uint32_t n;    /* symbols */
	size_t num_at; /* offsets in @in: of num_syms */
	size_t names_at;
	size_t tokens_at, index_at;
};

static uint32_t u32_at(struct str s, size_t at)
{
	uint32_t v = 0;

	if (at <= s.len && s.len - at >= sizeof(v))
		memcpy(&v, s.p + at, sizeof(v));
	return v;
}

static uint16_t u16_at(struct str s, size_t at)
{
	uint16_t v = 0;

	if (at <= s.len && s.len - at >= sizeof(v))
		memcpy(&v, s.p + at, sizeof(v));
	return v;
}

static uint64_t u64_at(struct str s, size_t at)
{
	return u32_at(s, at) | (uint64_t)u32_at(s, at + 4) << 32;
}

static size_t align(size_t at, size_t to)
{
	return (at + to - 1) / to * to;
}

/* ---- finding the tables --------------------------------------------------------------------- */

/* The index must name the start of every text: that is what makes a find certain. */
static bool index_fits(struct str in, size_t tokens_at, size_t index_at)
{
	size_t at = tokens_at;

	for (uint32_t t = 0; t < TOKENS; t++) {
		const char *end = at < in.len ? memchr(in.p + at, '\0', in.len - at) : NULL;

		if (!end || u16_at(in, index_at + 2 * t) != at - tokens_at)
			return false;
		at = (size_t)(end - in.p) + 1;
	}
	return at <= index_at;
}

/* From the text of the token '0' back over those before it; their number is the character's. */
static bool tokens_from_digits(struct tables *t, size_t digits_at)
{
	size_t at = digits_at;

	for (uint32_t i = 0; i < '0'; i++) {
		do {
			if (at-- == 0)
				return false;
		} while (at > 0 && t->in.p[at - 1] != '\0');
	}
	size_t end = at;

	for (uint32_t i = 0; i < TOKENS; i++) {
		const char *nul = memchr(t->in.p + end, '\0', t->in.len - end);

		if (!nul)
			return false;
		end = (size_t)(nul - t->in.p) + 1;
	}
	t->tokens_at = at;
	t->index_at = align(end, t->align);
	return index_fits(t->in, t->tokens_at, t->index_at);
}

static bool find_tokens(struct tables *t)
{
	const char *from = t->in.p;
	size_t left = t->in.len;

	while (left > sizeof(DIGITS)) {
		const char *hit = memmem(from, left, DIGITS, sizeof(DIGITS));

		if (!hit)
			return false;
		if (tokens_from_digits(t, (size_t)(hit - t->in.p)))
			return true;
		left -= (size_t)(hit + 1 - from);
		from = hit + 1;
	}
	return false;
}

/* Steps over one name; false at the end of the section. */
static bool skip_name(struct str in, size_t *at, struct str *ret_tokens)
{
	size_t len, head = 1;

	if (*at >= in.len)
		return false;
	len = (uint8_t)in.p[*at];
	if (len & 0x80) {
		if (*at + 1 >= in.len)
			return false;
		len = (len & 0x7f) | (size_t)(uint8_t)in.p[*at + 1] << 7;
		head = 2;
	}
	if (len == 0 || len > in.len - *at - head)
		return false;
	*ret_tokens = (struct str){ in.p + *at + head, len };
	*at += head + len;
	return true;
}

static bool names_fit(const struct tables *t, size_t num_at, uint32_t n)
{
	size_t start = align(num_at + 4, t->align), at = start;
	struct str tokens;

	for (uint32_t i = 0; i < n; i++) {
		if (at >= t->tokens_at || !skip_name(t->in, &at, &tokens))
			return false;
	}
	at = align(at, t->align);
	for (size_t mark = start, i = 0; i < n; i++) {
		if (i % MARK_EVERY == 0 && u32_at(t->in, at + i / MARK_EVERY * 4) != mark - start)
			return false;
		(void)skip_name(t->in, &mark, &tokens);
	}
	return true;
}

/* Cheap refusal: what is padded with zeros, and how long so many names are at least. */
static bool may_be_count(const struct tables *t, size_t at)
{
	uint32_t n = u32_at(t->in, at);

	return n >= SYMBOLS_MIN && n <= SYMBOLS_MAX &&
	       (t->align == 4 || u32_at(t->in, at + 4) == 0) && t->tokens_at - at > (size_t)n * 2;
}

static bool find_names(struct tables *t)
{
	/* Downwards: the tables lie close before the tokens. */
	for (size_t at = t->tokens_at / t->align * t->align; at >= t->align;) {
		at -= t->align;
		uint32_t n = u32_at(t->in, at);

		if (!may_be_count(t, at) || !names_fit(t, at, n))
			continue;
		t->num_at = at;
		t->names_at = align(at + 4, t->align);
		t->n = n;
		return true;
	}
	return false;
}

static int look_in_section(void *ctx, const char *name, uint64_t addr, struct str bytes)
{
	static const size_t aligns[] = { 8, 4 };
	struct tables *t = ctx;

	(void)name;
	t->addr = addr;
	t->in = bytes;
	for (size_t i = 0; i < ARRAY_SIZE(aligns); i++) {
		t->align = aligns[i];
		if (find_tokens(t) && find_names(t))
			return 1;
	}
	return 0;
}

/* ---- decoding ------------------------------------------------------------------------------- */

/* The type's character is dropped: no caller wants it. */
static bool expand(const struct tables *t, struct str tokens, char *dst, size_t cap,
                   size_t *ret_len)
{
	size_t len = 0, skip = 1;

	for (size_t i = 0; i < tokens.len; i++) {
		size_t at = t->tokens_at +
		            u16_at(t->in, t->index_at + 2 * (size_t)(uint8_t)tokens.p[i]);

		for (; at < t->in.len && t->in.p[at] != '\0'; at++) {
			if (skip > 0) {
				skip--;
				continue;
			}
			if (len == cap)
				return false;
			dst[len++] = t->in.p[at];
		}
	}
	*ret_len = len;
	return len > 0;
}

/* An address of the @i-th symbol; @base is 0 where there is none. */
typedef uint64_t (*address_f)(const struct tables *t, size_t offsets_at, uint64_t base, uint32_t i);

/* Offsets from 0 on are absolute: per-CPU symbols. */
static uint64_t address_percpu(const struct tables *t, size_t offsets_at, uint64_t base, uint32_t i)
{
	int32_t offset = (int32_t)u32_at(t->in, offsets_at + 4 * (size_t)i);

	return offset >= 0 ? (uint64_t)offset : base - 1 - (uint64_t)(int64_t)offset;
}

static uint64_t address_relative(const struct tables *t, size_t offsets_at, uint64_t base,
                                 uint32_t i)
{
	return base + u32_at(t->in, offsets_at + 4 * (size_t)i);
}

static uint64_t address_of_place(const struct tables *t, size_t offsets_at, uint64_t base,
                                 uint32_t i)
{
	size_t at = offsets_at + 4 * (size_t)i;

	return base + t->addr + at + (uint64_t)(int64_t)(int32_t)u32_at(t->in, at);
}

struct layout {
	size_t offsets_at, base_at; /* base_at 0: no base */
	address_f address;
};

static size_t layouts_of(const struct tables *t, struct layout out[5])
{
	size_t bytes = align(4 * (size_t)t->n, BASE_BYTES);
	size_t behind = t->index_at + 2 * TOKENS; /* a multiple of what all are aligned to */
	size_t base_before = t->num_at - BASE_BYTES, n = 0;

	if (t->num_at > bytes + BASE_BYTES) {
		out[n++] = (struct layout){ base_before - bytes, base_before, address_percpu };
		out[n++] = (struct layout){ base_before - bytes, base_before, address_relative };
	}
	out[n++] = (struct layout){ behind, behind + bytes, address_percpu };
	out[n++] = (struct layout){ behind, behind + bytes, address_relative };
	out[n++] = (struct layout){ behind, 0, address_of_place };
	return n;
}

static int each(const struct tables *t, const struct layout *l, kernel_symbol_f fn, void *ctx)
{
	uint64_t base = l->base_at ? u64_at(t->in, l->base_at) : 0;
	char name[KALLSYMS_NAME_BYTES_MAX];
	size_t at = t->names_at, len;
	struct str tokens;
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < t->n && skip_name(t->in, &at, &tokens); i++) {
		if (expand(t, tokens, name, sizeof(name), &len))
			r = fn(ctx, (struct str){ name, len },
			       l->address(t, l->offsets_at, base, i));
	}
	return r < 0 ? r : 0;
}

struct banner {
	const struct kernel_image *k;
	bool found;
};

static int look_for_banner(void *ctx, struct str name, uint64_t addr)
{
	struct banner *b = ctx;

	if (!str_eqc(name, BANNER))
		return 0;
	b->found = str_starts(kernel_image_from(b->k, addr), STR(BANNER_TEXT));
	return -ECANCELED; /* seen: no need to go on */
}

static bool is_layout(const struct kernel_image *k, const struct tables *t, const struct layout *l)
{
	struct banner b = { .k = k };

	(void)each(t, l, look_for_banner, &b);
	return b.found;
}

int kallsyms_each(const struct kernel_image *k, kernel_symbol_f fn, void *ctx, struct err *e)
{
	struct layout layouts[5];
	struct tables t = { 0 };
	size_t n;

	(void)kernel_image_each_section(k, look_in_section, &t);
	if (t.n == 0)
		return err_set(e, -ENOENT, "no symbol table (kallsyms) found in the image");
	n = layouts_of(&t, layouts);
	for (size_t i = 0; i < n; i++) {
		if (is_layout(k, &t, &layouts[i]))
			return each(&t, &layouts[i], fn, ctx);
	}
	return err_set(e, -ENOENT,
	               "kallsyms is in a layout that is not known: no address leads to "
	               "the kernel's banner");
}
