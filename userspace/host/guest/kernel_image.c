/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source: Documentation/arch/x86/boot.rst (setup header of a bzImage: payload_offset and
 * payload_length say exactly where the packed kernel lies, so nothing is searched for).
 */
#include "userspace/host/guest/kernel_image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "userspace/base/cleanup.h"
#include "userspace/host/guest/unpack.h"

#define BOOT_HEADER_AT      0x202
#define BOOT_HEADER_MAGIC   "HdrS"
#define BOOT_SECTORS_AT     0x1f1
#define BOOT_SECTORS_OLD    4 /* what 0 stands for */
#define BOOT_SECTOR_BYTES   512
#define BOOT_PAYLOAD_AT     0x248
#define BOOT_PAYLOAD_LEN_AT 0x24c
#define BOOT_HEADER_END     0x250

static uint32_t le32(struct str s, size_t at)
{
	uint32_t v;

	memcpy(&v, s.p + at, sizeof(v)); /* this host is little-endian, as every guest of ours */
	return v;
}

static int map_file(const char *path, struct str *ret, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, neg_errno(), "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return err_set(e, -EINVAL, "%s: not a regular file, or empty", path);
	if ((uint64_t)st.st_size > KERNEL_IMAGE_BYTES_MAX)
		return err_set(e, -EFBIG, "%s: larger than any kernel", path);
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return err_set(e, neg_errno(), "%s: %s", path, strerror(errno));
	*ret = (struct str){ p, (size_t)st.st_size };
	return 0;
}

static bool is_bzimage(struct str f)
{
	return f.len >= BOOT_HEADER_END && memcmp(f.p + BOOT_HEADER_AT, BOOT_HEADER_MAGIC, 4) == 0;
}

static int payload_of(struct str f, struct str *ret, struct err *e)
{
	uint8_t sectors = (uint8_t)f.p[BOOT_SECTORS_AT];
	size_t setup = ((size_t)(sectors ? sectors : BOOT_SECTORS_OLD) + 1) * BOOT_SECTOR_BYTES;
	size_t at = setup + le32(f, BOOT_PAYLOAD_AT), len = le32(f, BOOT_PAYLOAD_LEN_AT);

	if (at > f.len || len > f.len - at)
		return err_set(e, -EBADMSG, "boot header: the payload ends behind the file");
	*ret = (struct str){ f.p + at, len };
	return 0;
}

/* The ELF inside @f: itself, or unpacked into @k. */
static int find_elf(struct kernel_image *k, struct str *elf, struct err *e)
{
	struct str in = k->map;
	int r = is_bzimage(in) ? payload_of(in, &in, e) : 0;

	if (r == 0 && unpack_is_packed(in)) {
		r = unpack(in, KERNEL_IMAGE_BYTES_MAX, &k->unpacked, e);
		in = buf_str(&k->unpacked);
	}
	if (r == 0)
		*elf = in;
	return r;
}

static int open_elf(struct kernel_image *k, struct str bytes, struct err *e)
{
	const Elf64_Ehdr *head;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return err_set(e, -ENOTSUP, "libelf is too old");
	/* libelf takes a pointer to non-const, and writes only when asked to update. */
	k->elf = elf_memory((char *)(uintptr_t)bytes.p, bytes.len);
	head = k->elf && elf_kind(k->elf) == ELF_K_ELF ? elf64_getehdr(k->elf) : NULL;
	if (!head)
		return err_set(e, -EINVAL, "neither a kernel image nor a kernel module");
	if (head->e_machine != EM_X86_64 || head->e_ident[EI_DATA] != ELFDATA2LSB)
		return err_set(e, -EINVAL, "not for x86-64");
	return 0;
}

int kernel_image_open(struct kernel_image *ret, const char *path, struct err *e)
{
	struct kernel_image k = KERNEL_IMAGE_INIT;
	struct err why = ERR_INIT;
	struct str elf = STR_NULL;
	int r = map_file(path, &k.map, e);

	if (r < 0)
		return r;
	r = find_elf(&k, &elf, &why);
	if (r == 0)
		r = open_elf(&k, elf, &why);
	if (r < 0) {
		kernel_image_done(&k);
		return err_set(e, r, "%s: %s", path, why.msg);
	}
	*ret = k;
	return 0;
}

void kernel_image_done(struct kernel_image *k)
{
	if (k->elf)
		(void)elf_end(k->elf);
	buf_done(&k->unpacked);
	if (k->map.p)
		(void)munmap((void *)(uintptr_t)k->map.p, k->map.len);
	*k = KERNEL_IMAGE_INIT;
}

struct str kernel_image_elf(const struct kernel_image *k)
{
	size_t bytes = 0;
	const char *p = elf_rawfile(k->elf, &bytes);

	return (struct str){ p, bytes };
}

/* ---- sections ------------------------------------------------------------------------------- */

static const char *section_name(const struct kernel_image *k, const Elf64_Shdr *head)
{
	size_t names;
	const char *name = elf_getshdrstrndx(k->elf, &names) == 0
	                           ? elf_strptr(k->elf, names, head->sh_name)
	                           : NULL;

	return name ? name : "";
}

static struct str section_bytes(Elf_Scn *s, const Elf64_Shdr *head)
{
	const Elf_Data *d = head->sh_type != SHT_NOBITS ? elf_rawdata(s, NULL) : NULL;

	return d && d->d_buf ? (struct str){ d->d_buf, d->d_size } : STR_NULL;
}

struct str kernel_image_section(const struct kernel_image *k, const char *name)
{
	for (Elf_Scn *s = elf_nextscn(k->elf, NULL); s; s = elf_nextscn(k->elf, s)) {
		const Elf64_Shdr *head = elf64_getshdr(s);

		if (head && strcmp(section_name(k, head), name) == 0)
			return section_bytes(s, head);
	}
	return STR_NULL;
}

int kernel_image_each_section(const struct kernel_image *k, kernel_section_f fn, void *ctx)
{
	int r = 0;

	for (Elf_Scn *s = elf_nextscn(k->elf, NULL); s && r == 0; s = elf_nextscn(k->elf, s)) {
		const Elf64_Shdr *head = elf64_getshdr(s);
		struct str bytes =
			head && (head->sh_flags & SHF_ALLOC) ? section_bytes(s, head) : STR_NULL;

		if (bytes.len > 0)
			r = fn(ctx, section_name(k, head), head->sh_addr, bytes);
	}
	return r < 0 ? r : 0;
}

struct place {
	uint64_t addr;
	struct str found;
};

static int look_in_section(void *ctx, const char *name, uint64_t addr, struct str bytes)
{
	struct place *p = ctx;

	(void)name;
	if (p->addr < addr || p->addr - addr >= bytes.len)
		return 0;
	p->found = str_skip(bytes, (size_t)(p->addr - addr));
	return 1;
}

struct str kernel_image_from(const struct kernel_image *k, uint64_t addr)
{
	struct place p = { .addr = addr };

	(void)kernel_image_each_section(k, look_in_section, &p);
	return p.found;
}

int kernel_image_build_id(const struct kernel_image *k, char dst[BUILD_ID_CAP])
{
	struct str notes = kernel_image_section(k, ".notes");

	if (notes.len == 0)
		notes = kernel_image_section(k, ".note.gnu.build-id");
	return build_id_of_notes(notes, dst);
}

/* ---- .symtab -------------------------------------------------------------------------------- */

static int each_in_table(const struct kernel_image *k, Elf_Scn *s, const Elf64_Shdr *head,
                         kernel_symbol_f fn, void *ctx)
{
	struct str table = section_bytes(s, head);
	int r = 0;

	for (size_t at = 0; r == 0 && at + sizeof(Elf64_Sym) <= table.len;
	     at += sizeof(Elf64_Sym)) {
		Elf64_Sym sym;

		memcpy(&sym, table.p + at, sizeof(sym));
		const char *name = elf_strptr(k->elf, head->sh_link, sym.st_name);

		if (name && name[0] && sym.st_shndx != SHN_UNDEF)
			r = fn(ctx, str_from(name), sym.st_value);
	}
	return r;
}

int kernel_image_each_symbol(const struct kernel_image *k, kernel_symbol_f fn, void *ctx)
{
	for (Elf_Scn *s = elf_nextscn(k->elf, NULL); s; s = elf_nextscn(k->elf, s)) {
		const Elf64_Shdr *head = elf64_getshdr(s);

		if (head && head->sh_type == SHT_SYMTAB)
			return each_in_table(k, s, head, fn, ctx);
	}
	return 0;
}
