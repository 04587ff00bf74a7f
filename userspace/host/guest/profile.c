/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define HEAD_LINE "periscope-guest-profile 1"

#define SYMBOL(id, names, need)       { #id, names, PROFILE_SYMBOL, NEED_##need, S_##id, 0 },
#define FIELD(id, names, bytes, need) { #id, names, PROFILE_FIELD, NEED_##need, F_##id, bytes },
#define FLAG(id, names, need)         { #id, names, PROFILE_FLAG, NEED_##need, F_##id, 0 },
#define PLACE(id, names, need)        { #id, names, PROFILE_PLACE, NEED_##need, F_##id, 0 },
#define SIZE(id, name, need)          { #id, name, PROFILE_SIZE, NEED_##need, V_##id##_BYTES, 0 },
#define CONSTANT(id, name, need)      { #id, name, PROFILE_CONSTANT, NEED_##need, V_##id, 0 },
#define RULE(id, need)                { #id, "", PROFILE_RULE, NEED_##need, V_##id, 0 },
const struct profile_row profile_rows[] = {
#include "userspace/host/guest/items.def"
};
#undef SYMBOL
#undef FIELD
#undef FLAG
#undef PLACE
#undef SIZE
#undef CONSTANT
#undef RULE
const size_t profile_n_rows = ARRAY_SIZE(profile_rows);

static const char *const kinds[] = {
	[PROFILE_SYMBOL] = "symbol", [PROFILE_FIELD] = "field", [PROFILE_FLAG] = "flag",
	[PROFILE_PLACE] = "place",   [PROFILE_SIZE] = "size",   [PROFILE_CONSTANT] = "constant",
	[PROFILE_RULE] = "rule",
};

static const char *const needs[] = {
	[NEED_BASE] = "base",   [NEED_CLOCK] = "clock",   [NEED_MEMORY] = "memory",
	[NEED_LOAD] = "load",   [NEED_CPU] = "cpu",       [NEED_PRESSURE] = "pressure",
	[NEED_DISK] = "disk",   [NEED_NET] = "net",       [NEED_VIRTIO_NET] = "virtio_net",
	[NEED_FILES] = "files", [NEED_MOUNTS] = "mounts", [NEED_EXT4] = "ext4",
	[NEED_XFS] = "xfs",     [NEED_BTRFS] = "btrfs",   [NEED_OVERLAY] = "overlay",
	[NEED_OOM] = "oom",     [NEED_LOG] = "log",       [NEED_TASKS] = "tasks",
	[NEED_ANY] = "any",
};

const char *profile_need_name(enum profile_need need)
{
	return needs[need];
}

bool profile_row_is_there(const struct profile *p, const struct profile_row *row)
{
	switch (row->kind) {
	case PROFILE_SYMBOL:
		return p->symbols_there[row->index];
	case PROFILE_FIELD:
	case PROFILE_FLAG:
	case PROFILE_PLACE:
		return p->fields[row->index].there;
	case PROFILE_SIZE:
	case PROFILE_CONSTANT:
	case PROFILE_RULE:
		return p->values_there[row->index];
	}
	return false;
}

void profile_finish(struct profile *p)
{
	p->features = (1u << NEEDS) - 1;
	for (size_t i = 0; i < profile_n_rows; i++) {
		const struct profile_row *row = &profile_rows[i];

		if (row->need < NEEDS && !profile_row_is_there(p, row))
			p->features &= ~(1u << row->need);
	}
}

/* ---- writing -------------------------------------------------------------------------------- */

static void write_place(const struct profile_place *f, bool flag, struct buf *out)
{
	buf_printf(out, "%u %u", f->offset, f->bytes);
	if (flag)
		buf_printf(out, " %u %u", f->bit, f->bits);
	buf_putc(out, '\n');
}

static void write_row(const struct profile *p, const struct profile_row *row, struct buf *out)
{
	buf_printf(out, "%s %s ", kinds[row->kind], row->id);
	if (row->kind == PROFILE_SYMBOL)
		buf_printf(out, "%016llx\n", (unsigned long long)p->symbols[row->index]);
	else if (row->kind >= PROFILE_SIZE)
		buf_printf(out, "%lld\n", (long long)p->values[row->index]);
	else
		write_place(&p->fields[row->index], row->kind == PROFILE_FLAG, out);
}

void profile_write(const struct profile *p, struct buf *out)
{
	size_t start = out->len;

	buf_puts(out, HEAD_LINE "\n");
	buf_printf(out, "build-id %s\nrelease %s\nbanner %s\n", p->build_id, p->release, p->banner);
	for (size_t i = 0; i < profile_n_rows; i++) {
		if (profile_row_is_there(p, &profile_rows[i]))
			write_row(p, &profile_rows[i], out);
	}
	if (out->err == 0)
		buf_printf(out, "crc32c %08x\n", crc32c(0, out->p + start, out->len - start));
}

/* ---- reading -------------------------------------------------------------------------------- */

#define NUMBERS_MAX 4

struct line {
	struct str kind, id;
	uint64_t v[NUMBERS_MAX];
	uint32_t n;
};

static int parse_number(enum profile_kind kind, struct str word, uint64_t *ret)
{
	int64_t v = 0;
	int r;

	if (kind == PROFILE_SYMBOL)
		return num_parse_hex(word, ret);
	if (kind == PROFILE_FIELD || kind == PROFILE_FLAG || kind == PROFILE_PLACE)
		return num_parse_u64(word, ret);
	r = num_parse_i64(word, &v);
	if (r == 0)
		*ret = (uint64_t)v;
	return r;
}

static int set_symbol(struct profile *p, const struct profile_row *row, const uint64_t *v)
{
	p->symbols[row->index] = v[0];
	p->symbols_there[row->index] = true;
	return 0;
}

static bool is_scalar(uint64_t bytes)
{
	return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

/* Every number is checked here, so that those who use a place need not. */
static int set_place(struct profile *p, const struct profile_row *row, const uint64_t *v)
{
	bool flag = row->kind == PROFILE_FLAG;

	if (v[0] >= PROFILE_OFFSET_MAX)
		return -ERANGE;
	if (row->kind == PROFILE_PLACE ? v[1] != 0 : !is_scalar(v[1]))
		return -ERANGE;
	if (row->bytes != 0 && row->bytes != v[1])
		return -ERANGE;
	if (flag && (v[3] == 0 || v[2] >= 8 * v[1] || v[3] > 8 * v[1] - v[2] || v[3] > 32))
		return -ERANGE;
	p->fields[row->index] = (struct profile_place){ .offset = (uint32_t)v[0],
		                                        .bytes = (uint8_t)v[1],
		                                        .bit = flag ? (uint8_t)v[2] : 0,
		                                        .bits = flag ? (uint8_t)v[3] : 0,
		                                        .there = true };
	return 0;
}

static int set_value(struct profile *p, const struct profile_row *row, const uint64_t *v)
{
	int64_t value = (int64_t)v[0];

	if (value < 0 || value > PROFILE_VALUE_MAX)
		return -ERANGE;
	p->values[row->index] = value;
	p->values_there[row->index] = true;
	return 0;
}

static const struct {
	uint32_t n; /* numbers on the line */
	int (*set)(struct profile *p, const struct profile_row *row, const uint64_t *v);
} setters[] = {
	[PROFILE_SYMBOL] = { 1, set_symbol }, [PROFILE_FIELD] = { 2, set_place },
	[PROFILE_FLAG] = { 4, set_place },    [PROFILE_PLACE] = { 2, set_place },
	[PROFILE_SIZE] = { 1, set_value },    [PROFILE_CONSTANT] = { 1, set_value },
	[PROFILE_RULE] = { 1, set_value },
};

static const struct profile_row *find_row(struct str kind, struct str id)
{
	for (size_t i = 0; i < profile_n_rows; i++) {
		if (str_eqc(kind, kinds[profile_rows[i].kind]) && str_eqc(id, profile_rows[i].id))
			return &profile_rows[i];
	}
	return NULL;
}

static int read_row(struct profile *p, struct str kind, struct str rest)
{
	uint64_t v[NUMBERS_MAX] = { 0 };
	const struct profile_row *row;
	struct str id, word;
	uint32_t n = 0;

	(void)str_cut(rest, ' ', &id, &rest);
	row = find_row(kind, id);
	if (!row)
		return 0; /* of a newer version of the tool */
	while (rest.len > 0) {
		(void)str_cut(rest, ' ', &word, &rest);
		if (n == setters[row->kind].n || parse_number(row->kind, word, &v[n++]) < 0)
			return -EINVAL;
	}
	return n == setters[row->kind].n ? setters[row->kind].set(p, row, v) : -EINVAL;
}

static int read_text(struct str value, char *dst, size_t cap)
{
	if (value.len == 0 || value.len >= cap)
		return -ERANGE;
	memcpy(dst, value.p, value.len);
	dst[value.len] = '\0';
	return 0;
}

static int read_line(struct profile *p, struct str line)
{
	struct str kind, rest;

	(void)str_cut(line, ' ', &kind, &rest);
	if (str_eqc(kind, "build-id"))
		return read_text(rest, p->build_id, sizeof(p->build_id));
	if (str_eqc(kind, "release"))
		return read_text(rest, p->release, sizeof(p->release));
	if (str_eqc(kind, "banner"))
		return read_text(rest, p->banner, sizeof(p->banner));
	return read_row(p, kind, rest);
}

/* Cuts the last line, with the checksum of all before it, off @text. */
static bool check_crc(struct str *text)
{
	struct str t = *text, kind, digits;
	uint64_t want;

	if (t.len == 0 || t.p[t.len - 1] != '\n')
		return false;
	t.len--;
	while (t.len > 0 && t.p[t.len - 1] != '\n')
		t.len--;
	struct str last = str_trim(str_skip(*text, t.len));

	(void)str_cut(last, ' ', &kind, &digits);
	if (!str_eqc(kind, "crc32c") || num_parse_hex(digits, &want) < 0)
		return false;
	*text = t;
	return crc32c(0, t.p, t.len) == want;
}

static int check_base(const char *name, const struct profile *p, struct err *e)
{
	if (!p->build_id[0] || !p->banner[0] || !p->release[0])
		return err_set(e, -EINVAL, "%s: has no build-id, release or banner", name);
	for (size_t i = 0; i < profile_n_rows; i++) {
		const struct profile_row *row = &profile_rows[i];

		if (row->need == NEED_BASE && !profile_row_is_there(p, row))
			return err_set(e, -EINVAL, "%s: lacks %s %s", name, kinds[row->kind],
			               row->id);
	}
	return 0;
}

int profile_read(const char *name, struct str text, struct profile *ret, struct err *e)
{
	struct profile p = { 0 };
	struct str line, rest;
	uint32_t n = 1;
	int r;

	if (!str_starts(text, STR(HEAD_LINE "\n")))
		return err_set(e, -EINVAL, "%s: does not begin with \"" HEAD_LINE "\"", name);
	if (!check_crc(&text))
		return err_set(e, -EINVAL, "%s: damaged, or not complete (checksum)", name);
	(void)str_cut(text, '\n', &line, &rest);
	while (rest.len > 0) {
		(void)str_cut(rest, '\n', &line, &rest);
		n++;
		if (read_line(&p, line) < 0)
			return err_set(e, -EINVAL, "%s: line %u: not as expected: %.*s", name, n,
			               STR_FMT(line));
	}
	r = check_base(name, &p, e);
	if (r < 0)
		return r;
	profile_finish(&p);
	*ret = p;
	return 0;
}

int profile_load(const char *path, struct profile *ret, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	int r = file_read_regular_at(AT_FDCWD, path, &text, PROFILE_BYTES_MAX);

	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	return profile_read(path, buf_str(&text), ret, e);
}
