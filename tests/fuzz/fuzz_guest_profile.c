/* SPDX-License-Identifier: BSD-2-Clause */
/* Profiles of guest kernels: what is taken is within bounds, and reads back when it is written. */
#include <stdlib.h>
#include <string.h>

#include "userspace/base/crc32c.h"
#include "userspace/host/guest/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(const struct profile *p)
{
	for (size_t i = 0; i < F_N; i++) {
		const struct profile_place *f = &p->fields[i];

		if (f->there && (f->offset >= PROFILE_OFFSET_MAX || f->bytes > 8 ||
		                 f->bit + f->bits > f->bytes * 8u))
			abort();
	}
	for (size_t i = 0; i < V_N; i++) {
		if (p->values_there[i] && (p->values[i] < 0 || p->values[i] > PROFILE_VALUE_MAX))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct profile p, again;
	struct buf text = BUF_INIT, out = BUF_INIT, twice = BUF_INIT;

	/* A good checksum, so that what is before it is looked at. */
	buf_put(&text, data, bytes);
	buf_printf(&text, "crc32c %08x\n", crc32c(0, text.p ? text.p : "", text.len));
	if (profile_read("fuzz", buf_str(&text), &p, NULL) == 0) {
		check(&p);
		profile_write(&p, &out);
		if (profile_read("again", buf_str(&out), &again, NULL) < 0)
			abort();
		profile_write(&again, &twice);
		if (!str_eq(buf_str(&out), buf_str(&twice)))
			abort();
	}
	buf_done(&text);
	buf_done(&out);
	buf_done(&twice);
	return 0;
}
