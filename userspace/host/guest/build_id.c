/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/build_id.h"

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "userspace/base/num.h"

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static bool is_build_id(const Elf64_Nhdr *head, const char *name)
{
	return head->n_type == NT_GNU_BUILD_ID && head->n_namesz == sizeof("GNU") &&
	       memcmp(name, "GNU", sizeof("GNU")) == 0 && head->n_descsz > 0 &&
	       head->n_descsz * 2 < BUILD_ID_CAP;
}

int build_id_of_notes(struct str notes, char dst[BUILD_ID_CAP])
{
	while (notes.len >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr head;

		memcpy(&head, notes.p, sizeof(head));
		size_t desc = sizeof(head) + padded(head.n_namesz);
		size_t end = desc + padded(head.n_descsz);

		if (end > notes.len)
			return -ENOENT;
		if (is_build_id(&head, notes.p + sizeof(head))) {
			for (size_t i = 0; i < head.n_descsz; i++)
				num_format_hex((uint8_t)notes.p[desc + i], 2, dst + 2 * i);
			return 0;
		}
		notes = str_skip(notes, end);
	}
	return -ENOENT;
}
