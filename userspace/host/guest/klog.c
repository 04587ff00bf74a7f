/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/klog.h"

#include <string.h>

#include "userspace/base/util.h"

#define ID_BYTES     8u
#define WITHOUT_TEXT 64u /* records in a row that may have none */

static struct str text_of(struct str bytes)
{
	size_t n = 0;

	bytes.len = MIN(bytes.len, (size_t)KLOG_TEXT_MAX);
	while (n < bytes.len && bytes.p[n] != '\0' && bytes.p[n] != '\n')
		n++;
	return (struct str){ bytes.p, n };
}

void klog_each(struct str bytes, uint64_t newest_id, klog_f fn, void *ctx)
{
	size_t end = bytes.len, at = bytes.len / ID_BYTES * ID_BYTES;
	uint64_t want = newest_id, id;

	while (at >= ID_BYTES) {
		at -= ID_BYTES;
		memcpy(&id, bytes.p + at, sizeof(id));
		if (id == want + 1 && want != newest_id) {
			end = at; /* the record behind did not fit before the ring's end */
		} else if (want - id < WITHOUT_TEXT) {
			fn(ctx,
			   text_of((struct str){ bytes.p + at + ID_BYTES, end - at - ID_BYTES }));
			end = at;
			want = id - 1;
		}
	}
}
