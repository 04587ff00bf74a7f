/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of monitors about a guest's memory: whole, in pieces, of a liar. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/host/balloon.h"

#define GREETING "{\"QMP\": {\"version\": {}}}\r\n{\"return\": {}}\r\n"
#define LISTS                                                                                    \
	"{\"return\": [{\"name\": \"x\", \"type\": \"child<virtio-net>\"}], \"id\": 0}\r\n"      \
	"{\"return\": [{\"name\": \"device[1]\", \"type\": \"child<virtio-balloon-device>\"}], " \
	"\"id\": 1}\r\n"
#define STATS(when, free)                                                                         \
	"{\"return\": {\"stats\": {\"stat-total-memory\": 491511808, \"stat-free-memory\": " free \
	", \"stat-available-memory\": 456892416, \"stat-swap-in\": 18446744073709551615}, "       \
	"\"last-update\": " when "}, \"id\": 9}\r\n"

static int read_qmp(const char *text, char device[BALLOON_PATH_CAP], struct balloon_memory *m)
{
	struct str copy = unit_strdup(str_from(text));
	int r = balloon_read_qmp(copy, device, m);

	free((void *)(uintptr_t)copy.p);
	return r;
}

static void test_qmp(void **state)
{
	static const char whole[] = GREETING STATS("1764000000", "451137536");
	char device[BALLOON_PATH_CAP] = "";
	struct balloon_memory m = { 0 };
	struct buf piece = BUF_INIT;

	(void)state;
	assert_int_equal(-EAGAIN, read_qmp("", device, &m));
	assert_int_equal(-EAGAIN, read_qmp(GREETING LISTS, device, &m)); /* the next tick asks */
	assert_string_equal("/machine/peripheral-anon/device[1]", device);
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		buf_clear(&piece);
		buf_put(&piece, whole, n);
		assert_int_equal(-EAGAIN, read_qmp(buf_cstr(&piece), device, &m));
	}
	buf_done(&piece);
	assert_int_equal(0, read_qmp(whole, device, &m));
	assert_true(m.total == 491511808 && m.free == 451137536 && m.available == 456892416);
}

static void test_qmp_says_nothing(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ GREETING STATS("0", "1"), -ENODATA }, /* the driver is not there yet */
		{ GREETING STATS("5", "18446744073709551615"), -ENODATA }, /* it does not know */
		{ GREETING STATS("5", "-1"), -ENODATA },
		{ GREETING STATS("5", "\"1\""), -ENODATA },
		{ GREETING "{\"error\": {}, \"id\": 9}\n", -ENODATA },
		{ GREETING "{\"return\": [], \"id\": 0}\n{\"return\": [], \"id\": 1}\n", -ENODATA },
		{ "SSH-2.0\n", -EBADMSG },
		{ "[]\n[]\n", -EAGAIN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char device[BALLOON_PATH_CAP] = "";
		struct balloon_memory m;

		unit_note("%s", rows[i].text);
		assert_int_equal(rows[i].want, read_qmp(rows[i].text, device, &m));
		assert_string_equal("", device);
	}
}

/* A name goes into a request: one with quotes is not taken. */
static void test_names(void **state)
{
	char device[BALLOON_PATH_CAP] = "";
	struct balloon_memory m;

	(void)state;
	assert_int_equal(-ENODATA, read_qmp("{\"return\": [{\"name\": \"a\\\"b\", \"type\": "
	                                    "\"child<virtio-balloon-pci>\"}], \"id\": 1}\n",
	                                    device, &m));
	assert_string_equal("", device);
}

static void test_firecracker(void **state)
{
	static const char whole[] =
		"HTTP/1.1 200 \r\nServer: Firecracker API\r\nContent-Length: 99\r\n\r\n"
		"{\"target_pages\":0,\"free_memory\":3,\"total_memory\":9,\"available_memory\":5}";
	struct balloon_memory m = { 0 };

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		struct str piece = unit_strdup((struct str){ whole, n });

		assert_int_equal(-EAGAIN, balloon_read_firecracker(piece, &m));
		free((void *)(uintptr_t)piece.p);
	}
	assert_int_equal(0, balloon_read_firecracker(str_from(whole), &m));
	assert_true(m.total == 9 && m.free == 3 && m.available == 5);
	assert_int_equal(-ENODATA, balloon_read_firecracker(STR("HTTP/1.1 400 \r\n\r\n{}"), &m));
	assert_int_equal(-ENODATA, balloon_read_firecracker(STR("HTTP/1.1 200 \r\n\r\n{}"), &m));
	assert_int_equal(-EBADMSG, balloon_read_firecracker(STR("+OK\r\n\r\n"), &m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qmp),
		cmocka_unit_test(test_qmp_says_nothing),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_firecracker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
