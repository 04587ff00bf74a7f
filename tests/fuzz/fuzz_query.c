/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What parses prints, and its print parses to the same print; so do the printed lines of the query
 * as it is written. What is evaluated in the end (folded, with filters pushed) prints as a query.
 */
#include "api/mql/mql.h"
#include "api/mql/parse.h"
#include "api/mql/pushdown.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void must(bool yes)
{
	if (!yes)
		abort();
}

static int format(struct str text, struct buf *out)
{
	struct arena arena = ARENA_INIT((size_t)64 << 20);
	struct ast *a = NULL;
	struct err e = ERR_INIT;
	int r = parse_query(text, &arena, &a, &e);

	if (r == 0)
		ast_print(a, out);
	else /* a refusal says why and where */
		must(e.msg[0] != '\0' && e.pos <= (int)text.len);
	arena_done(&arena);
	return r;
}

static int expand(struct str text, struct buf *out)
{
	struct arena arena = ARENA_INIT((size_t)64 << 20);
	struct ast *a = NULL;
	struct err e = ERR_INIT;
	int r = parse_query(text, &arena, &a, &e);

	if (r == 0)
		a = ast_fold(a, &arena, &r);
	if (r == 0)
		a = pushdown(a, &arena, &r);
	if (r == 0)
		ast_print(a, out);
	arena_done(&arena);
	return r;
}

static int pretty(struct str text, struct buf *out)
{
	struct arena arena = ARENA_INIT((size_t)64 << 20);
	struct ast *a = NULL;
	struct err e = ERR_INIT;
	int r = parse_as_written(text, &arena, &a, &e);

	if (r == 0)
		ast_print_pretty(a, out);
	arena_done(&arena);
	return r;
}

typedef int (*text_f)(struct str text, struct buf *out);

/* Is the text of the text the same text? */
static void check_stable(text_f f, struct str text)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;

	if (f(text, &once) == 0) {
		must(f(buf_str(&once), &twice) == 0);
		must(str_eq(buf_str(&once), buf_str(&twice)));
	}
	buf_done(&once);
	buf_done(&twice);
}

static void check_expanded(struct str text)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;

	if (expand(text, &once) == 0)
		must(format(buf_str(&once), &twice) == 0);
	buf_done(&once);
	buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct str text = { (const char *)data, bytes };

	if (bytes > 4096)
		return 0;
	check_stable(format, text);
	check_stable(pretty, text);
	check_expanded(text);
	return 0;
}
