/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of monitors about a guest's memory: what is taken is a number, or nothing. */
#include <stdlib.h>
#include <string.h>

#include "userspace/host/balloon.h"

#define BYTES_MAX ((uint64_t)1 << 53)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(int r, const struct balloon_memory *m)
{
	if (r == 0 && (m->total == 0 || m->total >= BYTES_MAX || m->free >= BYTES_MAX ||
	               m->available >= BYTES_MAX))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct str text = { (const char *)data, bytes };
	char device[BALLOON_PATH_CAP] = "";
	struct balloon_memory m;
	struct buf request = BUF_INIT;

	check(balloon_read_firecracker(text, &m), &m);
	check(balloon_read_qmp(text, device, &m), &m);
	balloon_ask_qmp(device, 15, &request);
	if (strnlen(device, sizeof(device)) == sizeof(device) || strpbrk(device, "\"\\\n"))
		abort();
	buf_done(&request);
	return 0;
}
