/* SPDX-License-Identifier: BSD-2-Clause */
/* Packed kernels and modules, and notes of kernels: no more comes out than is allowed. */
#include <stdlib.h>
#include <string.h>

#include "userspace/host/guest/build_id.h"
#include "userspace/host/guest/unpack.h"

#define OUT_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct str text = { (const char *)data, bytes };
	struct buf out = BUF_INIT;
	char id[BUILD_ID_CAP];

	if (unpack(text, OUT_MAX, &out, NULL) == 0 && out.len > OUT_MAX)
		abort();
	if (build_id_of_notes(text, id) == 0 &&
	    strspn(id, "0123456789abcdef") != strnlen(id, sizeof(id)))
		abort();
	buf_done(&out);
	return 0;
}
