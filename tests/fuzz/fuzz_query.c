/* SPDX-License-Identifier: BSD-2-Clause */
/* What parses prints, and its print parses to the same print; folding it never crashes. */
#include "api/mql/parse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int format(struct str text, struct buf *out)
{
	struct arena arena = ARENA_INIT((size_t)64 << 20);
	struct ast *a = NULL;
	struct err e = ERR_INIT;
	int fold_err = 0, r = parse_query(text, &arena, &a, &e);

	if (r == 0) {
		ast_print(a, out);
		(void)ast_fold(a, &arena, &fold_err);
	} else if (e.msg[0] == '\0' || e.pos > (int)text.len) {
		abort(); /* a refusal says why and where */
	}
	arena_done(&arena);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;

	if (bytes <= 4096 && format((struct str){ (const char *)data, bytes }, &once) == 0) {
		if (format(buf_str(&once), &twice) < 0 || !str_eq(buf_str(&once), buf_str(&twice)))
			abort();
	}
	buf_done(&once);
	buf_done(&twice);
	return 0;
}
