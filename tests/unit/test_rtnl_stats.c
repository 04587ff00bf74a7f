/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser of RTM_GETSTATS answers: good ones, the kernel's errors, and lengths that lie. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "userspace/host/rtnl_stats.h"

#define SEQ 7

struct seen {
	uint32_t ifindex;
	struct rtnl_link_stats64 stats;
	int n;
};

static int on_stats(void *ctx, uint32_t ifindex, const struct rtnl_link_stats64 *stats)
{
	struct seen *s = ctx;

	s->ifindex = ifindex;
	s->stats = *stats;
	s->n++;
	return 0;
}

struct answer {
	struct nlmsghdr h;
	struct if_stats_msg msg;
	struct rtattr a;
	struct rtnl_link_stats64 stats;
};

static struct answer good_answer(void)
{
	struct answer m = {
		.h = { .nlmsg_len = sizeof(m), .nlmsg_type = RTM_NEWSTATS, .nlmsg_seq = SEQ },
		.msg = { .ifindex = 5 },
		.a = { .rta_len = (unsigned short)(RTA_LENGTH(0) + sizeof(m.stats)),
		       .rta_type = IFLA_STATS_LINK_64 },
		.stats = { .rx_packets = 11, .tx_bytes = 22 },
	};

	return m;
}

static int parse(const void *data, size_t bytes, struct seen *s)
{
	void *copy = unit_memdup(data, bytes);
	int r = rtnl_stats_parse(copy, bytes, SEQ, on_stats, s);

	free(copy);
	return r;
}

static void test_good(void **state)
{
	struct {
		struct answer a, b;
		struct nlmsghdr done;
	} all = { good_answer(),
		  good_answer(),
		  { .nlmsg_len = sizeof(all.done), .nlmsg_type = NLMSG_DONE, .nlmsg_seq = SEQ } };
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(0, parse(&all.a, sizeof(all.a), &s));
	assert_int_equal(1, s.n);
	assert_int_equal(5, s.ifindex);
	assert_int_equal(11, s.stats.rx_packets);
	assert_int_equal(22, s.stats.tx_bytes);
	assert_int_equal(1, parse(&all, sizeof(all), &s));
	assert_int_equal(3, s.n);
}

static void test_fewer_columns(void **state)
{
	struct answer m = good_answer();
	struct seen s = { 0 };

	(void)state;
	m.a.rta_len = (unsigned short)(RTA_LENGTH(0) + 8); /* rx_packets only */
	m.h.nlmsg_len = (uint32_t)(offsetof(struct answer, stats) + 8);
	assert_int_equal(0, parse(&m, m.h.nlmsg_len, &s));
	assert_int_equal(1, s.n);
	assert_int_equal(11, s.stats.rx_packets);
	assert_int_equal(0, s.stats.tx_bytes);
}

static void test_strangers_are_ignored(void **state)
{
	struct answer m = good_answer();
	struct seen s = { 0 };

	(void)state;
	m.h.nlmsg_seq = SEQ + 1; /* the answer to somebody else's question */
	assert_int_equal(0, parse(&m, sizeof(m), &s));
	m = good_answer();
	m.a.rta_type = IFLA_STATS_LINK_64 + 1;
	assert_int_equal(0, parse(&m, sizeof(m), &s));
	assert_int_equal(0, s.n);
}

static void test_kernel_error(void **state)
{
	struct {
		struct nlmsghdr h;
		int code;
	} m = { { .nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_ERROR, .nlmsg_seq = SEQ }, -EPERM };
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(-EPERM, parse(&m, sizeof(m), &s));
	m.h.nlmsg_len = sizeof(m.h);
	assert_int_equal(-EBADMSG, parse(&m, sizeof(m.h), &s));
}

static void test_lengths_that_lie(void **state)
{
	struct seen s = { 0 };
	struct answer m;

	(void)state;
	m = good_answer();
	m.h.nlmsg_len = sizeof(m) + 4;
	assert_int_equal(-EBADMSG, parse(&m, sizeof(m), &s));
	m.h.nlmsg_len = 3;
	assert_int_equal(-EBADMSG, parse(&m, sizeof(m), &s));
	m = good_answer();
	m.a.rta_len = (unsigned short)(m.a.rta_len + 4);
	assert_int_equal(-EBADMSG, parse(&m, sizeof(m), &s));
	m.a.rta_len = 2;
	assert_int_equal(-EBADMSG, parse(&m, sizeof(m), &s));
	m = good_answer();
	m.h.nlmsg_len = sizeof(m.h) + 4; /* cut inside if_stats_msg */
	assert_int_equal(-EBADMSG, parse(&m, m.h.nlmsg_len, &s));
	assert_int_equal(0, s.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_fewer_columns),
		cmocka_unit_test(test_strangers_are_ignored),
		cmocka_unit_test(test_kernel_error),
		cmocka_unit_test(test_lengths_that_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
