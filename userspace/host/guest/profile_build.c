/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/profile_build.h"

#include <errno.h>
#include <string.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/guest/btf_types.h"
#include "userspace/host/guest/kallsyms.h"
#include "userspace/host/guest/kernel_image.h"
#include "userspace/host/guest/rules.h"

#define SYSTEM_MAP_BYTES_MAX ((size_t)64 << 20)
#define NAME_CAP             192

struct build {
	struct profile *p;
	struct buf *notes;
	bool ambiguous[S_N];
	bool preferred[S_N]; /* by the first of its names */
	uint32_t n_symbols;
};

/* ---- names: "first|second:3" ---------------------------------------------------------------- */

/* The next of @names into @dst, as a C string; @ret_bit is -1 when it names no bit. */
static bool next_name(struct str *names, char dst[NAME_CAP], int *ret_bit)
{
	struct str one, name, bit;

	if (names->len == 0)
		return false;
	(void)str_cut(*names, '|', &one, names);
	*ret_bit = str_cut(one, ':', &name, &bit) ? bit.p[0] - '0' : -1;
	memcpy(dst, name.p, MIN(name.len, (size_t)NAME_CAP - 1));
	dst[MIN(name.len, (size_t)NAME_CAP - 1)] = '\0';
	return true;
}

/* ---- symbols -------------------------------------------------------------------------------- */

static void take_symbol(struct build *b, const struct profile_row *row, uint64_t addr, bool first)
{
	uint32_t i = row->index;

	if (b->p->symbols_there[i] && b->preferred[i] == first && b->p->symbols[i] != addr)
		b->ambiguous[i] = true;
	if (b->p->symbols_there[i] && b->preferred[i] && !first)
		return;
	b->p->symbols[i] = addr;
	b->p->symbols_there[i] = true;
	b->preferred[i] = first;
}

static int on_symbol(void *ctx, struct str name, uint64_t addr)
{
	struct build *b = ctx;

	b->n_symbols++;
	for (size_t i = 0; i < profile_n_rows; i++) {
		const struct profile_row *row = &profile_rows[i];
		struct str names = str_from(row->names), one;

		if (row->kind != PROFILE_SYMBOL)
			continue;
		for (bool first = true; names.len > 0; first = false) {
			(void)str_cut(names, '|', &one, &names);
			if (str_eq(name, one))
				take_symbol(b, row, addr, first);
		}
	}
	return 0;
}

/* "ffffffff81000000 T _text" */
static int take_map_line(struct build *b, struct str line)
{
	struct str digits, type, name;
	uint64_t addr;

	if (!str_cut(line, ' ', &digits, &line) || !str_cut(line, ' ', &type, &name) ||
	    type.len != 1 || name.len == 0)
		return -EINVAL;
	return num_parse_hex(digits, &addr) == 0 ? on_symbol(b, name, addr) : -EINVAL;
}

static int read_system_map(struct build *b, const char *path, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	int r = file_read(path, &text, SYSTEM_MAP_BYTES_MAX);
	struct str rest, line;
	uint32_t n = 0;

	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	for (rest = buf_str(&text); rest.len > 0;) {
		(void)str_cut(rest, '\n', &line, &rest);
		n++;
		if (take_map_line(b, line) < 0)
			return err_set(e, -EINVAL, "%s: line %u: expected address, type and name",
			               path, n);
	}
	return 0;
}

static int read_symbols(struct build *b, const struct profile_inputs *in,
                        const struct kernel_image *k, struct err *e)
{
	int r = in->system_map ? read_system_map(b, in->system_map, e)
	                       : kernel_image_each_symbol(k, on_symbol, b);

	if (r == 0 && b->n_symbols == 0)
		r = kallsyms_each(k, on_symbol, b, e);
	for (size_t i = 0; r == 0 && i < S_N; i++) {
		if (b->ambiguous[i])
			b->p->symbols_there[i] = false;
	}
	return r;
}

/* ---- types ---------------------------------------------------------------------------------- */

static bool is_scalar(uint32_t bytes)
{
	return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

static bool fits(const struct profile_row *row, const struct btf_place *place, int bit)
{
	if (row->kind == PROFILE_PLACE)
		return place->bits == 0;
	if (row->kind == PROFILE_FLAG)
		return is_scalar(place->bytes) && (bit >= 0) == (place->bits == 0);
	return place->bits == 0 && is_scalar(place->bytes) &&
	       (row->bytes == 0 || row->bytes == place->bytes);
}

static void find_field(struct build *b, const struct btf_types *types,
                       const struct profile_row *row)
{
	struct profile_place *f = &b->p->fields[row->index];
	struct str names = str_from(row->names);
	struct btf_place place;
	char name[NAME_CAP];
	int bit;

	while (!f->there && next_name(&names, name, &bit)) {
		if (btf_types_find(types, name, &place) < 0)
			continue;
		if (!fits(row, &place, bit) || place.offset_bytes >= PROFILE_OFFSET_MAX) {
			buf_printf(b->notes, "%s: of another size (%u bytes, %u bits)\n", name,
			           place.bytes, place.bits);
			continue;
		}
		*f = (struct profile_place){ .offset = place.offset_bytes, .there = true };
		if (row->kind != PROFILE_PLACE)
			f->bytes = (uint8_t)place.bytes;
		if (row->kind == PROFILE_FLAG) {
			f->bit = bit >= 0 ? (uint8_t)bit : place.bit;
			f->bits = bit >= 0 ? 1 : place.bits;
		}
	}
}

static void find_value(struct build *b, const struct btf_types *types,
                       const struct profile_row *row)
{
	uint32_t bytes = 0;
	int64_t v = 0;
	int r = -ENOENT;

	if (row->kind == PROFILE_SIZE) {
		r = btf_types_size(types, row->names, &bytes);
		v = bytes;
	} else if (row->kind == PROFILE_CONSTANT) {
		r = btf_types_enumerator(types, row->names, &v);
	}
	if (r < 0 || v < 0 || v > PROFILE_VALUE_MAX)
		return;
	b->p->values[row->index] = v;
	b->p->values_there[row->index] = true;
}

static void find_types(struct build *b, const struct btf_types *types)
{
	for (size_t i = 0; i < profile_n_rows; i++) {
		const struct profile_row *row = &profile_rows[i];

		if (row->kind == PROFILE_FIELD || row->kind == PROFILE_FLAG ||
		    row->kind == PROFILE_PLACE)
			find_field(b, types, row);
		else if (row->kind == PROFILE_SIZE || row->kind == PROFILE_CONSTANT)
			find_value(b, types, row);
	}
	rules_apply(types, b->p);
}

static int add_module(struct btf_types *types, const char *path, struct build *b, struct err *e)
{
	_cleanup_(kernel_image_done) struct kernel_image module = KERNEL_IMAGE_INIT;
	struct err why = ERR_INIT;
	int r = kernel_image_open(&module, path, e);

	if (r == 0)
		r = btf_types_add_module(types, &module, path, &why);
	if (r != -ENOENT || why.code == 0)
		return r == 0 || why.code == 0 ? r : err_set(e, r, "%s", why.msg);
	buf_printf(b->notes, "%s\n", why.msg);
	return 0;
}

static int read_types(struct build *b, const struct profile_inputs *in,
                      const struct kernel_image *k, struct err *e)
{
	_cleanup_(btf_types_done) struct btf_types types = { 0 };
	int r = btf_types_open(&types, k, in->kernel, e);

	for (size_t i = 0; r == 0 && i < in->n_modules; i++)
		r = add_module(&types, in->modules[i], b, e);
	if (r == 0)
		find_types(b, &types);
	return r;
}

/* ---- identity ------------------------------------------------------------------------------- */

/* "Linux version RELEASE (builder) ...\n" at the address of linux_banner. */
static int read_banner(struct profile *p, const struct kernel_image *k, struct err *e)
{
	struct str text = kernel_image_from(k, p->symbols[S_BANNER]), line, rest, release;

	if (!str_cut(text, '\n', &line, &rest) || line.len >= sizeof(p->banner) ||
	    !str_starts(line, STR("Linux version ")))
		return err_set(e, -EINVAL, "the image has no banner where its symbols say");
	memcpy(p->banner, line.p, line.len);
	(void)str_cut(str_skip(line, strlen("Linux version ")), ' ', &release, &rest);
	if (release.len == 0 || release.len >= sizeof(p->release))
		return err_set(e, -EINVAL, "the image's banner names no release");
	memcpy(p->release, release.p, release.len);
	return 0;
}

static void note_absent(const struct build *b)
{
	for (size_t i = 0; i < profile_n_rows; i++) {
		const struct profile_row *row = &profile_rows[i];
		const char *why = "absent";

		if (row->need == NEED_ANY || profile_row_is_there(b->p, row))
			continue;
		if (row->kind == PROFILE_SYMBOL && b->ambiguous[row->index])
			why = "several symbols of that name";
		buf_printf(b->notes, "%s %s: %s; %s cannot be read\n", row->id, row->names, why,
		           profile_need_name(row->need));
	}
}

static int build(struct build *b, const struct profile_inputs *in, const struct kernel_image *k,
                 struct err *e)
{
	int r = read_symbols(b, in, k, e);

	if (r == 0)
		r = read_banner(b->p, k, e);
	if (r == 0 && kernel_image_build_id(k, b->p->build_id) < 0)
		r = err_set(e, -ENOENT, "%s: has no build-id", in->kernel);
	if (r == 0)
		r = read_types(b, in, k, e);
	if (r < 0)
		return r;
	profile_finish(b->p);
	note_absent(b);
	if (!profile_has(b->p, NEED_BASE))
		return err_set(e, -EINVAL, "%s: lacks what everything else needs", in->kernel);
	return b->notes->err;
}

int profile_build(const struct profile_inputs *in, struct profile *ret, struct buf *notes,
                  struct err *e)
{
	_cleanup_(kernel_image_done) struct kernel_image k = KERNEL_IMAGE_INIT;
	struct profile p = { 0 };
	struct build b = { .p = &p, .notes = notes };
	int r = kernel_image_open(&k, in->kernel, e);

	if (r == 0)
		r = build(&b, in, &k, e);
	if (r == 0)
		*ret = p;
	return r;
}
