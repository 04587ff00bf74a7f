/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope token attenuate: FlyV1 tokens that may do less, made without any key. */
#include "userspace/base/util.h"
#include "userspace/ctl/token.h"

struct options {
	bool help;
	struct token_limits limits;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	TOKEN_LIMIT_ROWS(struct options, limits),
	ROW("help", NULL, FLAG, help, "print this and exit"),
};
#undef ROW

static int restrict_one(struct str text, const struct options *o, struct arena *arena,
                        struct buf *out, struct err *e)
{
	_cleanup_(buf_done) struct buf bytes = BUF_INIT;
	struct macaroon m;
	int r = token_parse(text, arena, &m, e);

	/* A discharge is final, and says nothing about what may be done. */
	if (r == 0 && !m.proof)
		r = token_restrict(&m, &o->limits, arena, e);
	if (r < 0)
		return r;
	macaroon_put(&bytes, &m);
	macaroon_text_put(out, buf_str(&bytes));
	return bytes.err < 0 ? bytes.err : out->err;
}

static int restrict_all(const struct options *o, struct buf *out, struct err *e)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT((size_t)1 << 20);
	struct str header, text;
	int r = token_read(&arena, &header, e);

	while (r == 0 && token_next(&header, &text)) {
		if (out->len > 0)
			buf_putc(out, ',');
		r = restrict_one(text, o, &arena, out, e);
	}
	buf_putc(out, '\n');
	return r;
}

static enum exit_code run(int argc, char **argv)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct options o = { 0 };
	const struct token_limits *l = &o.limits;
	struct err e = ERR_INIT;
	enum exit_code code;
	int r = 0;

	if (!command_options(&token_attenuate_command, rows, ARRAY_SIZE(rows), argc, argv, &o,
	                     &o.help, &code))
		return code;
	if (!l->org_id && l->app_ids.n == 0 && !l->action && !l->expires)
		r = err_set(&e, -EINVAL, "nothing is restricted (see --help)");
	if (r == 0)
		r = macaroon_init();
	if (r == 0)
		r = restrict_all(&o, &out, &e);
	if (r < 0)
		return command_fail(r == -EINVAL ? EXIT_USAGE : EXIT_RUNTIME, r, &e);
	return command_print(&out);
}

const struct command token_attenuate_command = {
	.group = "token",
	.name = "attenuate",
	.about = "Make FlyV1 tokens of standard input that may do less",
	.run = run,
};
