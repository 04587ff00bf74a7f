/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A kernel image made up for tests: an ELF file with text, banner, notes, types and a symbol table
 * of its own kind, small, but in the layouts that real ones have.
 */

#include <elf.h>

#include <bpf/btf.h>

#include "tests/unit/unit.h"
#include "userspace/base/buf.h"

#define FAKE_TEXT    0xffffffff81000000u
#define FAKE_RODATA  0xffffffff82000000u
#define FAKE_NOTES   0xffffffff82800000u
#define FAKE_DATA    0xffffffff82900000u /* where made-up variables are */
#define FAKE_END     0xffffffff83000000u
#define FAKE_PERCPU  0x20040u
#define FAKE_FILLERS 2100u /* symbols besides: a table of less is none */
#define FAKE_RELEASE "6.1.0-99-fake"
#define FAKE_BANNER  "Linux version " FAKE_RELEASE " (builder) (gcc) #1 SMP"
#define FAKE_ID      "000102030405060708090a0b0c0d0e0f10111213"

enum fake_layout {
	FAKE_KALLSYMS_BEFORE,   /* offsets before the names; per-CPU symbols absolute: 6.1 */
	FAKE_KALLSYMS_BEHIND,   /* offsets behind the tokens: 6.12 */
	FAKE_KALLSYMS_RELATIVE, /* and no symbol absolute */
	FAKE_KALLSYMS_PLACE,    /* every offset from its own place: 7.2 */
	FAKE_SYMTAB,            /* none of these, but .symtab */
	FAKE_NO_SYMBOLS,
};

struct fake_symbol {
	const char *name;
	uint64_t addr;
};

struct fake_kernel {
	enum fake_layout layout;
	const struct fake_symbol *symbols;
	size_t n_symbols;
	struct str btf; /* empty: none */
	bool no_build_id, wrong_banner, not_x86;
};

/* ---- .BTF ----------------------------------------------------------------------------------- */

/* struct @name of @bytes, empty; fields follow by btf__add_field(). */
static inline void fake_struct(struct btf *b, const char *name, uint32_t bytes)
{
	assert_true(btf__add_struct(b, name, bytes) > 0);
}

static inline void fake_field(struct btf *b, const char *name, int type, uint32_t at_bytes)
{
	assert_int_equal(0, btf__add_field(b, name, type, at_bytes * 8, 0));
}

/* ---- kallsyms ------------------------------------------------------------------------------- */

#define FAKE_TOKEN_FIL 0x80
#define FAKE_TOKEN_LER 0x81

static inline void fake_align(struct buf *b, size_t to)
{
	while (b->len % to != 0)
		buf_putc(b, '\0');
}

static inline void fake_put_u32(struct buf *b, uint64_t v)
{
	uint32_t low = (uint32_t)v;

	buf_put(b, &low, sizeof(low));
}

/* Characters stand for themselves; two of the other tokens are used. */
static inline void fake_put_tokens(struct buf *b, size_t align)
{
	uint16_t index[256];
	size_t start = b->len;

	for (unsigned t = 0; t < 256; t++) {
		index[t] = (uint16_t)(b->len - start);
		if (t == FAKE_TOKEN_FIL)
			buf_puts(b, "fil");
		else if (t == FAKE_TOKEN_LER)
			buf_puts(b, "ler_");
		else if (t > 0x20 && t < 0x7f)
			buf_putc(b, (char)t);
		else
			buf_printf(b, "unused%u", t);
		buf_putc(b, '\0');
	}
	fake_align(b, align);
	buf_put(b, index, sizeof(index));
}

static inline void fake_put_name(struct buf *b, const char *tokens, size_t len)
{
	if (len > 127) {
		buf_putc(b, (char)((len & 0x7f) | 0x80));
		buf_putc(b, (char)(len >> 7));
	} else {
		buf_putc(b, (char)len);
	}
	buf_put(b, tokens, len);
}

/* Fillers first, then what was asked for, then one of a long name. */
static inline void fake_put_names(struct buf *b, const struct fake_kernel *k, uint32_t n,
                                  size_t align)
{
	uint32_t *marks = calloc(n / 256 + 1, sizeof(*marks)), n_marks = 0;
	char text[400];
	size_t start;

	fake_put_u32(b, n);
	fake_align(b, align);
	start = b->len;
	for (uint32_t i = 0; i < n; i++) {
		int len;

		if (i % 256 == 0)
			marks[n_marks++] = (uint32_t)(b->len - start);
		if (i < FAKE_FILLERS)
			len = snprintf(text, sizeof(text), "t%c%c%u", FAKE_TOKEN_FIL,
			               FAKE_TOKEN_LER, i);
		else if (i < FAKE_FILLERS + k->n_symbols)
			len = snprintf(text, sizeof(text), "D%s",
			               k->symbols[i - FAKE_FILLERS].name);
		else
			len = snprintf(text, sizeof(text), "t%0200u", 7);
		fake_put_name(b, text, (size_t)len);
	}
	fake_align(b, align);
	buf_put(b, marks, n_marks * sizeof(*marks));
	fake_align(b, align);
	free(marks);
}

static inline uint64_t fake_addr(const struct fake_kernel *k, uint32_t i)
{
	if (i < FAKE_FILLERS)
		return FAKE_TEXT + 0x100 + i * 16;
	return i < FAKE_FILLERS + k->n_symbols ? k->symbols[i - FAKE_FILLERS].addr : FAKE_END;
}

static inline void fake_put_offsets(struct buf *b, const struct fake_kernel *k, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr = fake_addr(k, i), here = FAKE_RODATA + b->len;

		if (k->layout == FAKE_KALLSYMS_PLACE)
			fake_put_u32(b, addr - here);
		else if (k->layout == FAKE_KALLSYMS_RELATIVE)
			fake_put_u32(b, addr - FAKE_TEXT);
		else
			fake_put_u32(b, addr >= FAKE_TEXT ? FAKE_TEXT - 1 - addr : addr);
	}
	if (k->layout == FAKE_KALLSYMS_PLACE)
		return;
	fake_align(b, 8);
	fake_put_u32(b, FAKE_TEXT & UINT32_MAX);
	fake_put_u32(b, FAKE_TEXT >> 32);
}

static inline void fake_put_kallsyms(struct buf *b, const struct fake_kernel *k)
{
	uint32_t n = FAKE_FILLERS + (uint32_t)k->n_symbols + 1;
	size_t align = k->layout == FAKE_KALLSYMS_PLACE ? 4 : 8;

	fake_align(b, 8);
	if (k->layout == FAKE_KALLSYMS_BEFORE)
		fake_put_offsets(b, k, n);
	fake_put_names(b, k, n, align);
	if (k->layout == FAKE_KALLSYMS_BEFORE)
		for (uint32_t i = 0; i < n; i++) /* seqs_of_names, 3 bytes each */
			buf_put(b, "\1\2\3", 3);
	fake_align(b, align);
	fake_put_tokens(b, align);
	if (k->layout != FAKE_KALLSYMS_BEFORE)
		fake_put_offsets(b, k, n);
}

/* ---- the ELF file --------------------------------------------------------------------------- */

#define FAKE_SECTIONS_MAX 10

struct fake_elf {
	struct buf out, names;
	Elf64_Shdr heads[FAKE_SECTIONS_MAX];
	uint16_t n;
};

static inline void fake_section(struct fake_elf *f, const char *name, uint32_t type, uint64_t addr,
                                const struct buf *bytes)
{
	fake_align(&f->out, 16);
	f->heads[f->n++] = (Elf64_Shdr){ .sh_name = (uint32_t)f->names.len,
		                         .sh_type = type,
		                         .sh_flags = addr ? SHF_ALLOC : 0,
		                         .sh_addr = addr,
		                         .sh_offset = f->out.len,
		                         .sh_size = bytes->len,
		                         .sh_addralign = 1,
		                         .sh_entsize = type == SHT_SYMTAB ? sizeof(Elf64_Sym) : 0 };
	buf_puts(&f->names, name);
	buf_putc(&f->names, '\0');
	buf_put(&f->out, bytes->p, bytes->len);
}

static inline void fake_put_notes(struct buf *b, const struct fake_kernel *k)
{
	const Elf64_Nhdr other = { 4, 4, 1 }, id = { 4, 20, NT_GNU_BUILD_ID };

	buf_put(b, &other, sizeof(other));
	buf_put(b, "Xen\0abcd", 8);
	if (k->no_build_id)
		return;
	buf_put(b, &id, sizeof(id));
	buf_put(b, "GNU", 4);
	for (int i = 0; i < 20; i++)
		buf_putc(b, (char)i);
}

static inline void fake_put_symtab(struct fake_elf *f, const struct fake_kernel *k)
{
	_cleanup_(buf_done) struct buf table = BUF_INIT;
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	buf_putc(&text, '\0');
	for (size_t i = 0; i < k->n_symbols; i++) {
		Elf64_Sym sym = { .st_name = (uint32_t)text.len,
			          .st_shndx = 1,
			          .st_value = k->symbols[i].addr };

		buf_put(&table, &sym, sizeof(sym));
		buf_puts(&text, k->symbols[i].name);
		buf_putc(&text, '\0');
	}
	fake_section(f, ".strtab", SHT_STRTAB, 0, &text);
	fake_section(f, ".symtab", SHT_SYMTAB, 0, &table);
	f->heads[f->n - 1].sh_link = f->n - 2u;
}

static inline void fake_put_sections(struct fake_elf *f, const struct fake_kernel *k)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	_cleanup_(buf_done) struct buf data = BUF_INIT;
	_cleanup_(buf_done) struct buf notes = BUF_INIT;
	_cleanup_(buf_done) struct buf types = BUF_INIT;

	buf_printf(&text, "%4096s", "");
	fake_section(f, ".text", SHT_PROGBITS, FAKE_TEXT, &text);
	buf_puts(&data, k->wrong_banner ? "Banner of something else\n" : FAKE_BANNER "\n");
	buf_putc(&data, '\0');
	if (k->layout < FAKE_SYMTAB)
		fake_put_kallsyms(&data, k);
	fake_section(f, ".rodata", SHT_PROGBITS, FAKE_RODATA, &data);
	fake_put_notes(&notes, k);
	fake_section(f, ".notes", SHT_NOTE, FAKE_NOTES, &notes);
	buf_put_str(&types, k->btf);
	if (k->btf.len > 0)
		fake_section(f, ".BTF", SHT_PROGBITS, 0, &types);
	if (k->layout == FAKE_SYMTAB)
		fake_put_symtab(f, k);
}

/* Replaces @ret by the file's bytes. */
static inline void fake_kernel_make(const struct fake_kernel *k, struct buf *ret)
{
	struct fake_elf f = { .n = 1 };
	Elf64_Ehdr head = { .e_type = ET_EXEC,
		            .e_machine = k->not_x86 ? EM_AARCH64 : EM_X86_64,
		            .e_version = EV_CURRENT,
		            .e_ehsize = sizeof(head),
		            .e_shentsize = sizeof(Elf64_Shdr) };

	memcpy(head.e_ident, ELFMAG, SELFMAG);
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	head.e_ident[EI_VERSION] = EV_CURRENT;
	buf_put(&f.out, &head, sizeof(head));
	buf_putc(&f.names, '\0');
	fake_put_sections(&f, k);
	struct buf names = f.names; /* its own name is in it, too */

	f.names = BUF_INIT;
	buf_put(&f.names, names.p, names.len);
	buf_puts(&names, ".shstrtab");
	buf_putc(&names, '\0');
	fake_section(&f, ".shstrtab", SHT_STRTAB, 0, &names);
	fake_align(&f.out, 16);
	head.e_shoff = f.out.len;
	head.e_shnum = f.n;
	head.e_shstrndx = (uint16_t)(f.n - 1u);
	buf_put(&f.out, f.heads, f.n * sizeof(f.heads[0]));
	memcpy(f.out.p, &head, sizeof(head));
	buf_done(&names);
	buf_done(&f.names);
	buf_done(ret);
	*ret = f.out;
}
