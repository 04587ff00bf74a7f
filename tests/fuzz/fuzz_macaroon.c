/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever parses writes the same bytes again, its caveats print as JSON, none of them lets an
 * access through that prohibits it in a set, and it is signed by nobody.
 */
#include <stdlib.h>

#include "userspace/wire/macaroon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void look(const struct macaroon *m, struct arena *arena)
{
	static const struct caveat_access access = { 7, true, 17, CAVEAT_READ, 1000000 };
	const struct macaroon_discharges d = { m, 1, NULL, 0 };
	_cleanup_(buf_done) struct buf json = BUF_INIT;
	enum caveat_verdict worst = CAVEAT_ALLOWS;
	struct caveat_set set;
	struct err why = ERR_INIT;

	for (uint32_t i = 0; i < m->caveats.n; i++) {
		const struct caveat *c = &m->caveats.v[i];
		enum caveat_verdict v = caveat_check(c, &access, &why);

		caveat_put_json(&json, c);
		if (!caveat_is_attestation(c->type) && v > worst)
			worst = v;
	}
	if (caveat_set_check(&m->caveats, &access, &why) != worst)
		abort();
	if (macaroon_verify(m, STR("key"), &d, arena, &set, &why) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT((size_t)1 << 22);
	_cleanup_(buf_done) struct buf again = BUF_INIT;
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct str body = { (const char *)data, bytes }, back;
	struct macaroon m;

	if (macaroon_text_decode(body, &arena, &back) == 0)
		body = back;
	if (macaroon_parse(body, &arena, &m, NULL) < 0)
		return 0;
	macaroon_put(&again, &m);
	macaroon_text_put(&text, buf_str(&again));
	if (!str_eq(body, buf_str(&again)))
		abort();
	if (text.len <= MACAROON_HEADER_BYTES_MAX &&
	    (macaroon_text_decode(buf_str(&text), &arena, &back) < 0 || !str_eq(back, body)))
		abort();
	look(&m, &arena);
	return 0;
}
