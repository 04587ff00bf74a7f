/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The kernel's own symbol table, kallsyms, read out of a kernel image: a distribution's bzImage
 * carries no .symtab, but it carries this.
 *
 * Nothing in the image says where the tables are. What is searched for is what cannot be by
 * chance: a count, that many names, and behind them marks that point at every 256th of them. The
 * three layouts differ in the order of the tables and in how an address is written; which one it
 * is follows from an address that is known otherwise, that of the kernel's banner.
 *
 * Source: kallsyms.c of the kernel, which reads it, and the one of its build, which writes it; 6.1,
 * 6.12 and 7.2.
 */

#include "userspace/base/err.h"
#include "userspace/host/guest/kernel_image.h"

#define KALLSYMS_NAME_BYTES_MAX 512

/*
 * kallsyms_each() - calls @fn for every symbol of the image, with its link-time address.
 *
 * Returns 0, what @fn returned when negative, or -ENOENT when the image has no table that can be
 * read, with @e. Cost: one pass over the image's read-only data, about 50 ms.
 */
int kallsyms_each(const struct kernel_image *k, kernel_symbol_f fn, void *ctx, struct err *e);
