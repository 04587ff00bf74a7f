/* SPDX-License-Identifier: BSD-2-Clause */
/* Texts of /proc/PID/maps and smaps: every guess at a guest's memory is one that can be opened. */
#include <stdlib.h>

#include "userspace/host/guest/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint32_t no_read(void *ctx, struct mem_piece *pieces, uint32_t n)
{
	(void)ctx;
	(void)pieces;
	(void)n;
	return 0;
}

static const struct mem_ops no_memory = { .read = no_read };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct layout out[LAYOUTS_MAX];
	struct str text = { (const char *)data, bytes };
	uint32_t n = layouts_of_maps(text, bytes % 3 * ((uint64_t)1 << 30), out);
	struct mem m;

	if (n > LAYOUTS_MAX)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		if (mem_open(&m, &no_memory, NULL, out[i].segs, out[i].n_segs) < 0)
			abort();
		mem_close(&m);
		(void)layout_access_of_smaps(text, out[i].segs, out[i].n_segs);
	}
	return 0;
}
