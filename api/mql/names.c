/* SPDX-License-Identifier: BSD-2-Clause */
/* Which metrics a query asks for by their names. */
#include "api/mql/mql.h"
#include "api/mql/parse.h"

#define NAMES_MEMORY_MAX ((size_t)64 << 20)

struct walk {
	mql_name_f fn;
	void *ctx;
};

static void visit(const struct walk *w, const struct ast *a)
{
	struct str name;

	switch (a->kind) {
	case AST_SELECTOR:
		name = ast_selector_name(a);
		if (name.len > 0)
			w->fn(w->ctx, name);
		break;
	case AST_ROLLUP:
		visit(w, a->rollup.expr);
		if (a->rollup.at)
			visit(w, a->rollup.at);
		break;
	case AST_CALL:
		for (uint32_t i = 0; i < a->call.n_args; i++)
			visit(w, a->call.args[i]);
		break;
	case AST_BINOP:
		visit(w, a->binop.left);
		visit(w, a->binop.right);
		break;
	case AST_NUMBER:
	case AST_STRING:
	case AST_DURATION:
	case AST_WITH:
		break;
	}
}

int mql_names(struct str text, mql_name_f fn, void *ctx)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(NAMES_MEMORY_MAX);
	const struct walk w = { fn, ctx };
	struct ast *root;
	int r = parse_query(text, &arena, &root, NULL);

	if (r == 0)
		visit(&w, root);
	return r;
}
