/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A kernel or a kernel module as the profile maker sees it: one ELF file in memory, found inside
 * whatever it came packed in (vmlinux, bzImage, .ko, .ko.xz, .ko.zst, .ko.gz).
 *
 * The bytes are an operator's file, not a guest's; they are checked all the same, and bounded.
 *
 * Threads  One owner. Memory: the unpacked image, or a mapping of a file that is not packed.
 */

#include <stddef.h>
#include <stdint.h>

#include <libelf.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/str.h"
#include "userspace/host/guest/build_id.h"

#define KERNEL_IMAGE_BYTES_MAX ((size_t)2 << 30)

struct kernel_image {
	struct str map;      /* the file, mapped */
	struct buf unpacked; /* empty when the file is the ELF itself */
	Elf *elf;
};

#define KERNEL_IMAGE_INIT ((struct kernel_image){ 0 })

/* 0, or -EINVAL (not x86-64, no ELF inside), -EBADMSG (damaged), -ENOENT … with @e. */
int kernel_image_open(struct kernel_image *ret, const char *path, struct err *e);
void kernel_image_done(struct kernel_image *k);

/* The ELF file itself, unpacked. */
struct str kernel_image_elf(const struct kernel_image *k);

/* Bytes of the section @name; empty when there is none, or it has no bytes in the file. */
struct str kernel_image_section(const struct kernel_image *k, const char *name);

/* From the link-time address @addr to the end of its section; empty when the file has it not. */
struct str kernel_image_from(const struct kernel_image *k, uint64_t addr);

/* The GNU build-id as lower-case hexadecimal; -ENOENT when there is none. */
int kernel_image_build_id(const struct kernel_image *k, char dst[BUILD_ID_CAP]);

/*
 * Calls @fn for every section with bytes in the file that is loaded into memory, or for every
 * entry of .symtab; stops at a negative result, which it returns.
 */
typedef int (*kernel_section_f)(void *ctx, const char *name, uint64_t addr, struct str bytes);
int kernel_image_each_section(const struct kernel_image *k, kernel_section_f fn, void *ctx);
typedef int (*kernel_symbol_f)(void *ctx, struct str name, uint64_t addr);
int kernel_image_each_symbol(const struct kernel_image *k, kernel_symbol_f fn, void *ctx);
