/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope token inspect: what FlyV1 tokens say, as JSON, and whether a key has signed them. */
#include <sodium.h>
#include <string.h>

#include "userspace/base/json_text.h"
#include "userspace/base/util.h"
#include "userspace/ctl/token.h"

struct options {
	bool help;
	const char *key_file;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW("key-file", "FILE", STRING, key_file,
	    "check the signatures; exit with 1 when no token is good"),
	ROW("help", NULL, FLAG, help, "print this and exit"),
};
#undef ROW

static void put_one(struct buf *out, const struct macaroon *m)
{
	char uuid[MACAROON_UUID_TEXT_MAX], kid[129];

	buf_puts(out, "{\n  \"uuid\": ");
	if (macaroon_uuid(m, uuid) == 0)
		json_put_str(out, str_from(uuid));
	else
		buf_puts(out, "null");
	if (m->kid.len * 2 < sizeof(kid))
		buf_printf(out, ",\n  \"kid\": \"%s\"",
		           sodium_bin2hex(kid, sizeof(kid), (const uint8_t *)m->kid.p, m->kid.len));
	buf_puts(out, ",\n  \"location\": ");
	json_put_str(out, m->location);
	buf_printf(out, ",\n  \"proof\": %s,\n  \"caveats\": [", m->proof ? "true" : "false");
	for (uint32_t i = 0; i < m->caveats.n; i++) {
		buf_puts(out, i > 0 ? ",\n    " : "\n    ");
		caveat_put_json(out, &m->caveats.v[i]);
	}
	buf_puts(out, "\n  ]");
}

struct tokens {
	struct macaroon v[MACAROON_TOKENS_MAX];
	size_t n;
	struct arena arena;
};

static int read_all(struct tokens *t, struct err *e)
{
	struct str header, text;
	int r = token_read(&t->arena, &header, e);

	while (r == 0 && token_next(&header, &text)) {
		if (t->n == MACAROON_TOKENS_MAX)
			return err_set(e, -EINVAL, "more than %u tokens", MACAROON_TOKENS_MAX);
		r = token_parse(text, &t->arena, &t->v[t->n++], e);
	}
	return r;
}

/* A token counts with the discharges that stand beside it. */
static int put_all(struct tokens *t, const struct options *o, struct buf *out, size_t *ret_good,
                   struct err *e)
{
	const struct macaroon_discharges d = { t->v, t->n, NULL, 0 };
	struct str key = STR_NULL;
	int r = o->key_file ? token_read_key(o->key_file, &t->arena, &key, e) : 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		struct caveat_set left;
		struct err why = ERR_INIT;

		put_one(out, &t->v[i]);
		if (o->key_file && !t->v[i].proof) {
			bool good = macaroon_verify(&t->v[i], key, &d, &t->arena, &left, &why) == 0;

			*ret_good += good;
			buf_printf(out, ",\n  \"signed\": %s", good ? "true" : "false");
			if (!good) {
				buf_puts(out, ",\n  \"why\": ");
				json_put_str(out, str_from(why.msg));
			}
		}
		buf_puts(out, "\n}\n");
	}
	return r;
}

static enum exit_code run(int argc, char **argv)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct tokens t = { .arena = ARENA_INIT((size_t)1 << 20) };
	struct options o = { 0 };
	struct err e = ERR_INIT;
	enum exit_code code;
	size_t good = 0;

	if (!command_options(&token_inspect_command, rows, ARRAY_SIZE(rows), argc, argv, &o,
	                     &o.help, &code))
		return code;
	int r = macaroon_init();

	if (r == 0)
		r = read_all(&t, &e);
	if (r == 0)
		r = put_all(&t, &o, &out, &good, &e);
	if (r < 0)
		code = command_fail(r == -EINVAL ? EXIT_USAGE : EXIT_RUNTIME, r, &e);
	else
		code = command_print(&out);
	arena_done(&t.arena);
	return code == EXIT_DONE && o.key_file && good == 0 ? EXIT_RUNTIME : code;
}

const struct command token_inspect_command = {
	.group = "token",
	.name = "inspect",
	.about = "Print what FlyV1 tokens of standard input say",
	.run = run,
};
