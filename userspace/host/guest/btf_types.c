/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/btf_types.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/util.h"

#define NAME_CAP       128
#define UNNAMED_MAX    8 /* unnamed structs within unnamed ones */
#define BIT_FIELD_LOAD 8 /* bytes: no bit-field of the kernel is wider */

extern char **environ;

/* ---- opening -------------------------------------------------------------------------------- */

/* libbpf reports what it dislikes on stderr; our message says all that is needed. */
static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/*
 * libbpf 1.1 exports no function that takes split BTF from memory, so it is passed on as a file
 * without a name.
 */
static struct btf *parse_split(struct str bytes, struct btf *base)
{
	_cleanup_close_ int fd = memfd_create("btf", MFD_CLOEXEC);
	char path[32];

	if (fd < 0 || file_write_fd(fd, bytes.p, bytes.len) < 0)
		return NULL;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return btf__parse_raw_split(path, base);
}

static struct btf *parse_quietly(struct str bytes, struct btf *base)
{
	libbpf_print_fn_t before = libbpf_set_print(silent);
	struct btf *b = base ? parse_split(bytes, base) : btf__new(bytes.p, (__u32)bytes.len);

	(void)libbpf_set_print(before);
	return b;
}

static int run_pahole(const char *vmlinux, const char *out)
{
	char option[96];
	pid_t pid;
	int status = 0;

	(void)snprintf(option, sizeof(option), "--btf_encode_detached=%s", out);
	char *const argv[] = { (char *)(uintptr_t) "pahole", option, (char *)(uintptr_t)vmlinux,
		               NULL };
	int r = posix_spawnp(&pid, "pahole", NULL, NULL, argv, environ);

	if (r != 0)
		return -ENOENT;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return -EBADMSG;
	return 0;
}

/* Debug information of the kernel, by way of a temporary file. */
static int open_dwarf(struct btf_types *t, const char *path, struct err *e)
{
	char file[] = "/tmp/periscope-btf.XXXXXX";
	_cleanup_close_ int fd = mkostemp(file, O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_set(e, neg_errno(), "%s: %s", file, strerror(errno));
	r = run_pahole(path, file);
	if (r == 0) {
		t->base = btf__parse(file, NULL);
		r = t->base ? 0 : -EBADMSG;
	}
	(void)unlink(file);
	if (r == -ENOENT)
		return err_set(e, r, "%s: has no BTF; if it has DWARF, install pahole", path);
	if (r < 0)
		return err_set(e, r, "%s: has no BTF, and pahole made none of it", path);
	return 0;
}

int btf_types_open(struct btf_types *ret, const struct kernel_image *kernel, const char *path,
                   struct err *e)
{
	struct str bytes = kernel_image_section(kernel, ".BTF");
	struct btf_types t = { 0 };
	int r = 0;

	if (bytes.len > 0) {
		t.base = parse_quietly(bytes, NULL);
		if (!t.base)
			return err_set(e, neg_errno(), "%s: damaged BTF", path);
	} else {
		r = open_dwarf(&t, path, e);
	}
	if (r == 0)
		*ret = t;
	return r;
}

int btf_types_add_module(struct btf_types *t, const struct kernel_image *module, const char *path,
                         struct err *e)
{
	struct str bytes = kernel_image_section(module, ".BTF");
	struct btf *b;

	if (t->n_modules == BTF_TYPES_MODULES_MAX)
		return err_set(e, -ENOSPC, "more than %d modules", BTF_TYPES_MODULES_MAX);
	if (bytes.len == 0)
		return err_set(e, -ENOENT, "%s: has no BTF", path);
	b = parse_quietly(bytes, t->base);
	if (!b)
		return err_set(e, neg_errno(), "%s: its BTF does not belong to this kernel", path);
	t->modules[t->n_modules++] = b;
	return 0;
}

void btf_types_done(struct btf_types *t)
{
	for (uint32_t i = 0; i < t->n_modules; i++)
		btf__free(t->modules[i]);
	btf__free(t->base);
	*t = (struct btf_types){ 0 };
}

/* ---- looking up ----------------------------------------------------------------------------- */

static const struct btf *nth(const struct btf_types *t, uint32_t i)
{
	return i == 0 ? t->base : t->modules[i - 1];
}

static bool is_struct(const struct btf_type *type)
{
	return btf_is_struct(type) || btf_is_union(type);
}

/* Type number of a struct or union by name, or by the name of a typedef of it; 0 = none. */
static int find_struct(const struct btf *b, const char *name)
{
	static const __u32 kinds[] = { BTF_KIND_STRUCT, BTF_KIND_UNION, BTF_KIND_TYPEDEF };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int id = btf__find_by_name_kind(b, name, kinds[i]);

		id = id > 0 ? btf__resolve_type(b, (__u32)id) : 0;
		if (id > 0 && is_struct(btf__type_by_id(b, (__u32)id)))
			return id;
	}
	return 0;
}

struct search {
	const struct btf *b;
	const char *name;
	uint32_t at_bits;
	const struct btf_member *found;
	uint32_t found_bits, bitfield_bits;
	unsigned depth;
};

static void search_members(struct search *s, const struct btf_type *type);

static void search_unnamed(struct search *s, const struct btf_member *m, uint32_t at_bits)
{
	int id = btf__resolve_type(s->b, m->type);
	const struct btf_type *inner = id > 0 ? btf__type_by_id(s->b, (__u32)id) : NULL;
	uint32_t before = s->at_bits;

	if (!inner || !is_struct(inner) || s->depth >= UNNAMED_MAX)
		return;
	s->depth++;
	s->at_bits = at_bits;
	search_members(s, inner);
	s->at_bits = before;
	s->depth--;
}

static void search_members(struct search *s, const struct btf_type *type)
{
	const struct btf_member *m = btf_members(type);

	for (__u32 i = 0; i < btf_vlen(type) && !s->found; i++) {
		const char *name = btf__name_by_offset(s->b, m[i].name_off);
		uint32_t at = s->at_bits + btf_member_bit_offset(type, i);

		if (name && strcmp(name, s->name) == 0) {
			s->found = &m[i];
			s->found_bits = at;
			s->bitfield_bits = btf_member_bitfield_size(type, i);
		} else if (!name || name[0] == '\0') {
			search_unnamed(s, &m[i], at);
		}
	}
}

static bool take_name(const char **path, char dst[NAME_CAP])
{
	size_t n = strcspn(*path, ".");

	if (n == 0 || n >= NAME_CAP)
		return false;
	memcpy(dst, *path, n);
	dst[n] = '\0';
	*path += n + ((*path)[n] == '.');
	return true;
}

static void set_place(const struct search *s, struct btf_place *ret)
{
	__s64 bytes = btf__resolve_size(s->b, s->found->type);

	*ret = (struct btf_place){ .offset_bytes = s->found_bits / 8,
		                   .bytes = bytes > 0 ? (uint32_t)bytes : 0 };
	if (s->bitfield_bits == 0)
		return;
	ret->offset_bytes = s->found_bits / 64 * 8; /* aligned, so that it never straddles a page */
	ret->bytes = BIT_FIELD_LOAD;
	ret->bit = (uint8_t)(s->found_bits % 64);
	ret->bits = (uint8_t)s->bitfield_bits;
}

static int find_in(const struct btf *b, const char *path, struct btf_place *ret)
{
	struct search s = { .b = b };
	char name[NAME_CAP];
	int id = take_name(&path, name) ? find_struct(b, name) : 0;

	if (id == 0 || !*path)
		return -ENOENT;
	while (*path) {
		const struct btf_type *type = id > 0 ? btf__type_by_id(b, (__u32)id) : NULL;

		if (!type || !is_struct(type) || !take_name(&path, name))
			return -ENOENT;
		s.name = name;
		s.found = NULL;
		search_members(&s, type);
		if (!s.found)
			return -ENOENT;
		s.at_bits = s.found_bits;
		id = btf__resolve_type(b, s.found->type);
	}
	set_place(&s, ret);
	return 0;
}

int btf_types_find(const struct btf_types *t, const char *path, struct btf_place *ret)
{
	for (uint32_t i = 0; i <= t->n_modules; i++) {
		if (find_in(nth(t, i), path, ret) == 0)
			return 0;
	}
	return -ENOENT;
}

int btf_types_size(const struct btf_types *t, const char *name, uint32_t *ret_bytes)
{
	for (uint32_t i = 0; i <= t->n_modules; i++) {
		const struct btf *b = nth(t, i);
		int id = find_struct(b, name);

		if (id == 0)
			continue;
		*ret_bytes = btf__type_by_id(b, (__u32)id)->size;
		return 0;
	}
	return -ENOENT;
}

static bool enumerator_in(const struct btf *b, const struct btf_type *type, const char *name,
                          int64_t *ret)
{
	const struct btf_enum *v = btf_enum(type);

	for (__u32 i = 0; i < btf_vlen(type); i++) {
		const char *its = btf__name_by_offset(b, v[i].name_off);

		if (!its || strcmp(its, name) != 0)
			continue;
		*ret = btf_kflag(type) ? (int64_t)v[i].val : (int64_t)(uint32_t)v[i].val;
		return true;
	}
	return false;
}

int btf_types_enumerator(const struct btf_types *t, const char *name, int64_t *ret)
{
	for (uint32_t i = 0; i <= t->n_modules; i++) {
		const struct btf *b = nth(t, i);

		for (__u32 id = 1; id < btf__type_cnt(b); id++) {
			const struct btf_type *type = btf__type_by_id(b, id);

			if (btf_is_enum(type) && enumerator_in(b, type, name, ret))
				return 0;
		}
	}
	return -ENOENT;
}
