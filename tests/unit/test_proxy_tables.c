/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The proxies' tables in user space: owners, names and connections, against simple models, at their
 * limits, and with allocations that fail.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/host/proxy/conns.h"
#include "userspace/host/proxy/names.h"
#include "userspace/host/proxy/owners.h"

/* ---- connections ---------------------------------------------------------------------------- */

#define MODEL 4096u

static bool is_odd(void *ctx, struct pconn *c)
{
	(void)ctx;
	return c->cookie % 2 == 1;
}

/* Cookies are made to collide: the low bits hash alike more often than chance has it. */
static uint64_t cookie_of(uint32_t i)
{
	return 1 + (uint64_t)i * 1024 + i % 3;
}

static void test_conns_against_a_model(void **state)
{
	static bool there[MODEL];
	struct rng rng = unit_rng();
	struct conns *t;
	size_t n = 0;

	(void)state;
	memset(there, 0, sizeof(there));
	assert_int_equal(0, conns_new(&t));
	for (int round = 0; round < 200000; round++) {
		uint32_t i = rng_below(&rng, MODEL);
		struct pconn *c = conns_find(t, cookie_of(i));

		assert_int_equal(there[i], c != NULL);
		if (c) {
			assert_int_equal(i, c->owner);
			conns_remove(t, c);
		} else {
			c = conns_add(t, cookie_of(i));
			assert_non_null(c);
			c->owner = i;
		}
		there[i] = !there[i];
		n = there[i] ? n + 1 : n - 1;
		assert_int_equal(n, conns_count(t));
	}
	conns_sweep(t, is_odd, NULL);
	for (uint32_t i = 0; i < MODEL; i++) {
		const struct pconn *c = conns_find(t, cookie_of(i));

		assert_int_equal(there[i] && cookie_of(i) % 2 == 0, c != NULL);
	}
	conns_free(t);
}

/* A flood is bounded, and its memory is given back afterwards. */
static void test_conns_flood(void **state)
{
	struct conns *t;
	size_t before;

	(void)state;
	assert_int_equal(0, conns_new(&t));
	before = conns_bytes(t);
	for (uint64_t i = 1; i <= CONNS_MAX; i++)
		assert_non_null(conns_add(t, i * 2 + 1));
	assert_null(conns_add(t, 2));
	assert_null(conns_add(t, 0));
	assert_true(conns_bytes(t) <= (size_t)CONNS_MAX * 2 * sizeof(struct pconn));
	for (int i = 0; i < 10; i++)
		conns_sweep(t, is_odd, NULL);
	assert_int_equal(0, conns_count(t));
	assert_int_equal(before, conns_bytes(t));
	conns_free(t);
}

/* ---- owners --------------------------------------------------------------------------------- */

static uint32_t take(struct owners *o, const char *app, const char *instance)
{
	uint32_t number = UINT32_MAX;

	assert_int_equal(0, owners_take(o, "acme", app, "ams", instance, &number));
	return number;
}

static void test_owners_are_found_again(void **state)
{
	struct owners *o;
	char app[16];

	(void)state;
	assert_int_equal(0, owners_new(&o, "acme", "ams"));
	assert_string_equal("unknown", owners_get(o, OWNER_NOBODY)->app);
	assert_string_equal("unknown", owners_get(o, 12345)->app);
	for (uint32_t i = 1; i <= 1000; i++) {
		(void)snprintf(app, sizeof(app), "app%u", i);
		assert_int_equal(i, take(o, app, i % 2 ? "i" : ""));
		assert_int_equal(i, take(o, app, i % 2 ? "i" : ""));
		assert_int_equal(2, owners_get(o, i)->n_refs);
	}
	assert_int_equal(1001, owners_count(o));
	/* Each of the four texts makes a difference. */
	assert_true(take(o, "app1", "") > 1000);
	owners_free(o);
}

/* Room is made by forgetting the one that has been unused for longest, and never one in use. */
static void test_owners_make_room(void **state)
{
	struct owners *o;
	char app[16];
	uint32_t number, kept, other = 0;

	(void)state;
	assert_int_equal(0, owners_new(&o, "acme", "ams"));
	kept = take(o, "kept", "");
	for (uint32_t i = 2; i < OWNERS_MAX; i++) {
		(void)snprintf(app, sizeof(app), "app%u", i);
		other = take(o, app, "");
	}
	assert_int_equal(-ENOSPC, owners_take(o, "acme", "more", "ams", "", &number));
	owners_release(o, other);
	assert_int_equal(other, take(o, "more", ""));
	assert_string_equal("more", owners_get(o, other)->app);
	assert_string_equal("kept", owners_get(o, kept)->app);
	assert_int_equal(-ENOSPC, owners_take(o, "acme", app, "ams", "", &number));
	owners_free(o);
}

/* ---- names ---------------------------------------------------------------------------------- */

static void test_hostnames(void **state)
{
	static const struct {
		const char *asked;
		uint32_t owner;
	} rows[] = {
		{ "www.example.com", 1 },
		{ "WWW.Example.COM", 1 },
		{ "www.example.com:443", 1 },
		{ "www.example.com.", 1 },
		{ "a.example.com", 2 },
		{ "b.a.example.com", OWNER_NOBODY },
		{ "example.com", OWNER_NOBODY },
		{ ".example.com", OWNER_NOBODY },
		{ "", OWNER_NOBODY },
		{ ":", OWNER_NOBODY },
		{ ".", OWNER_NOBODY },
		{ "*.example.com", 2 },
	};
	struct names *n;

	(void)state;
	assert_int_equal(0, names_new(&n));
	assert_int_equal(0, names_claim_host(n, "www.example.com", 1));
	assert_int_equal(0, names_claim_host(n, "*.example.com", 2));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str exact = unit_strdup(str_from(rows[i].asked));

		unit_note("%s", rows[i].asked);
		assert_int_equal(rows[i].owner, names_by_host(n, exact));
		free((void *)(uintptr_t)exact.p);
	}
	names_free(n);
}

/* The first claim wins; the next one inherits; a claim made twice is given back twice. */
static void test_claims(void **state)
{
	struct names *n;
	const struct net_endpoint at = { .port = 443 }, exact = { { { 1 } }, 443 };

	(void)state;
	assert_int_equal(0, names_new(&n));
	assert_int_equal(0, names_claim_host(n, "a", 1));
	assert_int_equal(0, names_claim_host(n, "a", 2));
	assert_int_equal(0, names_claim_host(n, "a", 1));
	names_release_host(n, "a", 1);
	assert_int_equal(1, names_by_host(n, STR("a")));
	names_release_host(n, "a", 1);
	assert_int_equal(2, names_by_host(n, STR("a")));
	names_release_host(n, "a", 1);
	names_release_host(n, "a", 2);
	assert_int_equal(OWNER_NOBODY, names_by_host(n, STR("a")));

	assert_int_equal(0, names_claim_listener(n, &at, 3));
	assert_int_equal(3, names_by_listener(n, &exact));
	assert_int_equal(0, names_claim_listener(n, &exact, 4));
	assert_int_equal(4, names_by_listener(n, &exact));
	assert_int_equal(0, names_claim_address(n, &exact.addr, 5));
	assert_int_equal(5, names_by_address(n, &exact.addr));
	names_free(n);
}

static void test_claims_survive_growth(void **state)
{
	struct names *n;
	char name[32];

	(void)state;
	assert_int_equal(0, names_new(&n));
	for (uint32_t i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example", i);
		assert_int_equal(0, names_claim_host(n, name, i + 1));
		assert_int_equal(0, names_claim_host(n, name, i + 2));
	}
	for (uint32_t i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example", i);
		assert_int_equal(i + 1, names_by_host(n, str_from(name)));
	}
	names_free(n);
}

/* ---- no memory ------------------------------------------------------------------------------ */

static int use_all(void)
{
	struct owners *o = NULL;
	struct names *n = NULL;
	struct conns *t = NULL;
	uint32_t number;
	int r = owners_new(&o, "acme", "ams");

	if (r == 0)
		r = names_new(&n);
	if (r == 0)
		r = conns_new(&t);
	for (uint32_t i = 0; r == 0 && i < 200; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%u", i);
		r = owners_take(o, "acme", name, "ams", "", &number);
		if (r == 0)
			r = names_claim_host(n, name, number);
	}
	for (uint64_t i = 1; r == 0 && i < 3000; i++)
		r = conns_add(t, i) ? 0 : -ENOMEM;
	conns_free(t);
	names_free(n);
	owners_free(o);
	return r;
}

static void test_no_memory(void **state)
{
	unsigned long at = 1;
	int r;

	(void)state;
	do {
		alloc_fail_at(at++);
		r = use_all();
		assert_true(r == 0 || r == -ENOMEM);
	} while (r != 0);
	alloc_fail_at(0);
	assert_true(at > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conns_against_a_model),
		cmocka_unit_test(test_conns_flood),
		cmocka_unit_test(test_owners_are_found_again),
		cmocka_unit_test(test_owners_make_room),
		cmocka_unit_test(test_hostnames),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_claims_survive_growth),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
