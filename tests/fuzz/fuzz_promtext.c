/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever parses, written out, parses again to the same text. */
#include <stdlib.h>

#include "userspace/wire/promtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int write_again(void *ctx, const struct promtext_sample *s)
{
	promtext_write_sample(ctx, s->labels, s->n_labels, s->value, s->has_ts ? &s->ts_ms : NULL);
	return 0;
}

static int skip(void *ctx, uint64_t line, const struct err *e)
{
	(void)ctx;
	return line == 0 || e->code == 0 ? -EINVAL : 0;
}

static int ignore(void *ctx, struct str name, struct str type, struct str help)
{
	(void)ctx;
	return name.len + type.len + help.len > SIZE_MAX / 2 ? -EINVAL : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const struct promtext_ops ops = { write_again, ignore, skip };
	_cleanup_(buf_done) struct buf once = BUF_INIT;
	_cleanup_(buf_done) struct buf twice = BUF_INIT;

	if (promtext_parse((struct str){ (const char *)data, bytes }, &ops, &once) < 0 ||
	    promtext_parse(buf_str(&once), &ops, &twice) < 0 ||
	    !str_eq(buf_str(&once), buf_str(&twice)))
		abort();
	return 0;
}
