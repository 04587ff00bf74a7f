/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses as settings write them: what is taken, what it becomes, and what is refused. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/host/net_addr.h"

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *canonical; /* NULL: refused */
	} rows[] = {
		{ "10.0.0.7", "10.0.0.7" },
		{ "fdaa:0:0::3", "fdaa::3" },
		{ "::ffff:10.0.0.7", "10.0.0.7" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "10.0.0.7/8", NULL },
		{ "10.0.0", NULL },
		{ "localhost", NULL },
		{ "", NULL },
		{ "[::1]", NULL },
	};
	char text[NET_ENDPOINT_TEXT_CAP];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_addr a = { { 0xaa } }, before = a;

		unit_note("%s", rows[i].text);
		if (!rows[i].canonical) {
			assert_int_equal(-EINVAL, net_addr_parse(rows[i].text, &a));
			assert_memory_equal(&before, &a, sizeof(a));
			continue;
		}
		assert_int_equal(0, net_addr_parse(rows[i].text, &a));
		net_addr_format(&a, text);
		assert_string_equal(rows[i].canonical, text);
	}
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *text;
		uint16_t port; /* 0: refused */
		bool any;
	} rows[] = {
		{ "10.0.0.7:443", 443, false },
		{ "[fdaa::3]:80", 80, false },
		{ "*:65535", 65535, true },
		{ "0.0.0.0:1", 1, false },
		{ "10.0.0.7", 0, false },
		{ "10.0.0.7:0", 0, false },
		{ "10.0.0.7:65536", 0, false },
		{ "fdaa::3:80", 0, false },
		{ "[10.0.0.7]:80", 0, false },
		{ "[fdaa::3]", 0, false },
		{ ":80", 0, false },
		{ "10.0.0.7:", 0, false },
		{ "10.0.0.7:80 ", 0, false },
		{ "www.example.com:80", 0, false },
		{ "[fdaa::3%eth0]:80", 0, false },
	};
	struct net_endpoint e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].text);
		assert_int_equal(rows[i].port ? 0 : -EINVAL, net_endpoint_parse(rows[i].text, &e));
		if (rows[i].port == 0)
			continue;
		assert_int_equal(rows[i].port, e.port);
		assert_int_equal(rows[i].any, net_addr_is_any(&e.addr));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
