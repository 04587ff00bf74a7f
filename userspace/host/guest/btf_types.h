/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Where the members of the guest kernel's structures are: BTF of the kernel and of its modules.
 *
 * Three sources, by preference: the .BTF section of an image; a file of raw BTF; DWARF, turned
 * into BTF by pahole when that is installed.
 *
 * Threads  One owner. Memory: the types of the kernel, some 5 MB, while a profile is made.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/err.h"
#include "userspace/host/guest/kernel_image.h"

#define BTF_TYPES_MODULES_MAX 64

struct btf;

struct btf_types {
	struct btf *base;
	struct btf *modules[BTF_TYPES_MODULES_MAX]; /* in the order given: the first one wins */
	uint32_t n_modules;
};

struct btf_place {
	uint32_t offset_bytes;
	uint32_t bytes;    /* of the whole member; of a bit-field: of what is loaded to get at it */
	uint8_t bit, bits; /* bits 0: no bit-field */
};

/* @path names @kernel in messages and is what pahole reads. -ENOENT: neither BTF nor pahole. */
int btf_types_open(struct btf_types *ret, const struct kernel_image *kernel, const char *path,
                   struct err *e);
/* A module without BTF is -ENOENT. */
int btf_types_add_module(struct btf_types *t, const struct kernel_image *module, const char *path,
                         struct err *e);
void btf_types_done(struct btf_types *t);

/*
 * btf_types_find() - where the member @path is: "net_device.dev.parent", "device_driver.name".
 *
 * Members of unnamed structs and unions count as members of what holds them. 0 or -ENOENT.
 */
int btf_types_find(const struct btf_types *t, const char *path, struct btf_place *ret);

/* Size of a struct or union, value of an enumerator. 0 or -ENOENT. */
int btf_types_size(const struct btf_types *t, const char *name, uint32_t *ret_bytes);
int btf_types_enumerator(const struct btf_types *t, const char *name, int64_t *ret);
