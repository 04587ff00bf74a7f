/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The disk queue against a simple model: what was committed and not settled is there after any
 * crash, once, as it was; nothing else is. Then the order of what goes, the limits, and a disk that
 * is full, broken or damaged.
 */
#include "tests/unit/unit.h"

#include "tests/unit/simfs.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/crc32c.h"
#include "userspace/host/delivery/spool.h"
#include "userspace/host/delivery/spool_format.h"

#define DIR        "/q"
#define SAMPLES    10u
#define BLOCKS_CAP 4096

static const struct spool_limits roomy = { .bytes_max = 64 << 20,
	                                   .memory_bytes_max = 1 << 20,
	                                   .sync = true };
static const struct spool_want all = { INT64_MAX, true };
static struct drops drops;

static int64_t now_ms = 1700000000000;
static uint64_t now_ns = 1000000000000;

static int64_t fake_unix_ms(void)
{
	return now_ms;
}

static uint64_t fake_mono_ns(void)
{
	return now_ns;
}

static void pass(int64_t ms)
{
	now_ms += ms;
	now_ns += (uint64_t)ms * 1000000;
}

static int setup(void **state)
{
	static const struct clock_ops ops = { fake_unix_ms, fake_mono_ns };

	(void)state;
	clock_set(&ops);
	vfs_set(&simfs_vfs);
	simfs_clear();
	memset(&drops, 0, sizeof(drops));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	simfs_clear();
	vfs_set(NULL);
	clock_set(NULL);
	return 0;
}

static struct spool *open_spool(const struct spool_limits *limits)
{
	struct spool *s = NULL;
	struct err e = ERR_INIT;

	if (spool_open(&s, DIR, limits, &drops, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

/* A block that says its number, padded to @bytes. */
static void append_to(struct spool *s, uint32_t number, size_t bytes, uint8_t lane, uint8_t lanes)
{
	char *text = calloc(1, bytes + 16);

	assert_non_null(text);
	(void)snprintf(text, 16, "%u", number);
	spool_append(s, (struct str){ text, MAX(bytes, strlen(text) + 1) }, SAMPLES, lane, lanes);
	free(text);
}

/* kill -9 of the process that has @s. */
static void crash(struct spool *s)
{
	simfs_kill();
	spool_close(s);
	simfs_boot();
}

static void append(struct spool *s, uint32_t number)
{
	append_to(s, number, 40, 0, 1);
}

static uint64_t n_samples(struct spool *s)
{
	struct spool_stats stats;

	spool_stats(s, &stats);
	return stats.n_samples;
}

static uint32_t number_of(const struct buf *payload)
{
	assert_true(payload->len > 0);
	assert_non_null(memchr(payload->p, '\0', payload->len));
	return (uint32_t)strtoul(payload->p, NULL, 10);
}

/* The number of the next block, or -1; it is then under way as *@ret. */
static int64_t take(struct spool *s, const struct spool_want *want, struct spool_item *ret)
{
	_cleanup_(buf_done) struct buf payload = BUF_INIT;
	int r = spool_take(s, want, ret, &payload);

	if (r == -EAGAIN)
		return -1;
	assert_int_equal(0, r);
	assert_int_equal(SAMPLES, ret->n_samples);
	return number_of(&payload);
}

static void assert_next(struct spool *s, int64_t number)
{
	struct spool_item item;

	assert_int_equal(number, take(s, &all, &item));
	if (number >= 0)
		spool_settle(s, &item);
}

static void test_order_and_settling(void **state)
{
	struct spool *s = open_spool(&roomy);
	struct spool_item item;

	(void)state;
	assert_next(s, -1);
	for (uint32_t i = 1; i <= 5; i++)
		append(s, i);
	spool_commit(s);
	assert_int_equal(5 * SAMPLES, n_samples(s));
	assert_next(s, 1);
	assert_int_equal(2, take(s, &all, &item));
	assert_int_equal(4 * SAMPLES, n_samples(s)); /* what is under way counts */
	spool_return(s, &item);
	assert_next(s, 2);
	spool_close(s);
	s = open_spool(&roomy); /* a clean end keeps what waits */
	assert_int_equal(3 * SAMPLES, n_samples(s));
	append(s, 6);
	for (uint32_t i = 3; i <= 6; i++)
		assert_next(s, i);
	assert_next(s, -1);
	spool_close(s);
	assert_int_equal(0, simfs_used()); /* no file stays behind */
}

/* One block of a lane is under way at a time; another number of lanes waits for those before. */
static void test_lanes(void **state)
{
	struct spool *s = open_spool(&roomy);
	struct spool_item a, b, c;

	(void)state;
	append_to(s, 1, 0, 0, 2);
	append_to(s, 2, 0, 0, 2);
	append_to(s, 3, 0, 1, 2);
	append_to(s, 4, 0, 1, 2);
	append_to(s, 5, 0, 0, 1);
	append_to(s, 6, 0, 3, 4);
	spool_commit(s);
	assert_int_equal(1, take(s, &all, &a));
	assert_int_equal(3, take(s, &all, &b));
	assert_int_equal(-1, take(s, &all, &c));
	spool_settle(s, &b);
	assert_int_equal(4, take(s, &all, &b));
	spool_return(s, &a);
	assert_int_equal(1, take(s, &all, &a));
	spool_settle(s, &a);
	assert_int_equal(2, take(s, &all, &a));
	spool_settle(s, &a);
	assert_int_equal(-1, take(s, &all, &a)); /* 4 is still under way, in two lanes */
	spool_settle(s, &b);
	assert_int_equal(5, take(s, &all, &a));
	assert_int_equal(-1, take(s, &all, &b));
	spool_settle(s, &a);
	assert_next(s, 6);
	spool_close(s);
}

static void test_live_goes_first(void **state)
{
	const struct spool_want live = { 60000, false }, both = { 60000, true };
	struct spool *s = open_spool(&roomy);
	struct spool_item a, b, c;

	(void)state;
	append(s, 1);
	append(s, 2);
	pass(100000);
	append(s, 3);
	append(s, 4);
	assert_int_equal(3, take(s, &live, &a));
	assert_false(a.is_backlog);
	assert_int_equal(-1, take(s, &live, &b)); /* the same lane */
	assert_int_equal(1, take(s, &both, &b));  /* the backlog has lanes of its own */
	assert_true(b.is_backlog);
	assert_int_equal(-1, take(s, &both, &c));
	spool_settle(s, &a);
	assert_int_equal(4, take(s, &both, &a));
	spool_settle(s, &a);
	assert_int_equal(-1, take(s, &live, &c));
	spool_settle(s, &b);
	assert_int_equal(2, take(s, &both, &b));
	spool_settle(s, &b);
	append(s, 5);
	pass(100000);
	append(s, 6);
	assert_next(s, 5); /* without a difference between the two: in order */
	spool_close(s);
}

static void test_limit_of_bytes(void **state)
{
	const struct spool_limits tight = { .bytes_max = 1 << 20, .memory_bytes_max = 1 << 20 };
	struct spool *s = open_spool(&tight);
	struct spool_item first, item;
	struct spool_stats stats;
	int64_t n = 0, oldest;

	(void)state;
	append_to(s, 1, 10000, 0, 1);
	assert_int_equal(1, take(s, &all, &first));
	for (uint32_t i = 2; i <= 300; i++)
		append_to(s, i, 10000, 0, 1);
	spool_commit(s);
	spool_stats(s, &stats);
	assert_true(stats.file_bytes <= tight.bytes_max);
	assert_true(stats.file_bytes >= tight.bytes_max * 8 / 10);
	assert_true(simfs_used() == stats.file_bytes);
	int64_t dropped = drops_get(&drops, DROP_QUEUE_FULL);

	spool_return(s, &first); /* was dropped while it was under way: counted only now */
	assert_int_equal(dropped + SAMPLES, drops_get(&drops, DROP_QUEUE_FULL));
	oldest = take(s, &all, &item);
	assert_int_equal(oldest, dropped / SAMPLES + 2); /* the oldest went, no other */
	spool_settle(s, &item);
	while ((n = take(s, &all, &item)) >= 0) {
		assert_int_equal(++oldest, n);
		spool_settle(s, &item);
	}
	assert_int_equal(300, oldest);
	assert_int_equal(0, n_samples(s));
	spool_close(s);
	assert_int_equal(0, simfs_used());
}

/* One that arrives although its file is gone is no loss. */
static void test_dropped_but_arrived(void **state)
{
	const struct spool_limits tight = { .bytes_max = 1 << 20, .memory_bytes_max = 1 << 20 };
	struct spool *s = open_spool(&tight);
	struct spool_item first;

	(void)state;
	append_to(s, 1, 10000, 0, 1);
	assert_int_equal(1, take(s, &all, &first));
	for (uint32_t i = 2; i <= 150; i++)
		append_to(s, i, 10000, 0, 1);
	int64_t dropped = drops_get(&drops, DROP_QUEUE_FULL);

	assert_true(dropped > 0);
	spool_settle(s, &first);
	assert_int_equal(dropped, drops_get(&drops, DROP_QUEUE_FULL));
	assert_int_equal((150 - 1) * SAMPLES - (uint64_t)dropped, n_samples(s));
	spool_close(s);
}

static void test_limit_of_age(void **state)
{
	struct spool_limits limits = roomy;

	(void)state;
	limits.age_ms_max = 3600000;
	struct spool *s = open_spool(&limits);

	append(s, 1);
	pass(2000000);
	append(s, 2);
	spool_commit(s);
	pass(1700000);
	spool_commit(s);
	assert_int_equal(SAMPLES, drops_get(&drops, DROP_TOO_OLD));
	now_ms += 86400000; /* the wall clock jumps: nothing of this run is older for it */
	spool_commit(s);
	assert_int_equal(SAMPLES, n_samples(s));
	spool_close(s);
	s = open_spool(&limits); /* a clock that is wrong after a boot is not believed at once */
	spool_commit(s);
	assert_int_equal(SAMPLES, n_samples(s));
	now_ms -= 86400000;
	pass(1000000);
	spool_commit(s);
	assert_int_equal(SAMPLES, n_samples(s));
	pass(1000000);
	spool_commit(s);
	assert_int_equal(0, n_samples(s));
	assert_int_equal(2 * SAMPLES, drops_get(&drops, DROP_TOO_OLD));
	spool_close(s);
}

/* A full disk: blocks wait in memory, in order; then they go to disk and nothing is lost. */
static void test_full_disk(void **state)
{
	struct spool *s = open_spool(&roomy);
	struct spool_stats stats;

	(void)state;
	for (uint32_t i = 1; i <= 10; i++)
		append_to(s, i, 1000, 0, 1);
	spool_commit(s);
	simfs.bytes_max = simfs_used() + 1500;
	for (uint32_t i = 11; i <= 30; i++)
		append_to(s, i, 1000, 0, 1);
	spool_commit(s);
	spool_stats(s, &stats);
	assert_false(stats.disk_works);
	assert_int_equal(19 * 1000, stats.memory_bytes);
	for (uint32_t i = 1; i <= 15; i++)
		assert_next(s, i); /* from disk and from memory alike */
	simfs.bytes_max = 0;
	pass(500);
	spool_commit(s);
	spool_stats(s, &stats);
	assert_false(stats.disk_works); /* not yet: it is tried once a second */
	pass(600);
	append_to(s, 31, 1000, 0, 1);
	spool_commit(s);
	spool_stats(s, &stats);
	assert_true(stats.disk_works);
	assert_int_equal(0, stats.memory_bytes);
	crash(s);
	for (unsigned i = 0; i < DROP_REASONS; i++)
		assert_int_equal(0, drops_get(&drops, (enum drop_reason)i));
	s = open_spool(&roomy);
	for (uint32_t i = 16; i <= 31; i++)
		assert_next(s, i);
	assert_next(s, -1);
	spool_close(s);
}

/* Full for long: memory is bounded, and what is oldest makes room on the disk. */
static void test_full_disk_for_long(void **state)
{
	struct spool_limits limits = roomy;
	struct spool_item item;

	(void)state;
	limits.memory_bytes_max = 10000;
	struct spool *s = open_spool(&limits);

	append_to(s, 1, 1000, 0, 1);
	append_to(s, 2, 1000, 0, 1);
	simfs.bytes_max = simfs_used();
	for (uint32_t i = 3; i <= 100; i++)
		append_to(s, i, 1000, 0, 1);
	int64_t n_dropped = drops_get(&drops, DROP_QUEUE_FULL) / SAMPLES;
	int64_t oldest = take(s, &all, &item);

	assert_true(oldest > 85 && oldest < 95);
	assert_int_equal(n_dropped + 1, oldest);
	spool_return(s, &item);
	simfs.bytes_max = 0;
	spool_close(s); /* takes what it can to disk */
	s = open_spool(&limits);
	for (int64_t i = oldest; i <= 100; i++)
		assert_next(s, i);
	assert_next(s, -1);
	spool_close(s);
}

static void test_memory_only(void **state)
{
	struct spool_limits limits = roomy;
	struct spool *s = NULL;

	(void)state;
	limits.memory_bytes_max = 3500;
	assert_int_equal(0, spool_open(&s, NULL, &limits, &drops, NULL));
	for (uint32_t i = 1; i <= 5; i++)
		append_to(s, i, 1000, 0, 1);
	assert_int_equal(2 * SAMPLES, drops_get(&drops, DROP_QUEUE_FULL));
	assert_next(s, 3);
	spool_close(s);
	assert_int_equal(2 * SAMPLES, drops_get(&drops, DROP_STOPPED));
	assert_int_equal(0, simfs.n_operations);
}

/*
 * Any one operation fails, at any time: no crash, nothing committed is lost, nothing comes twice.
 */
static void test_each_operation_fails(void **state)
{
	static const int codes[] = { -EIO, -ENOSPC };
	struct spool_limits limits = roomy;
	unsigned long n_last = 1;

	(void)state;
	limits.memory_bytes_max = (size_t)16 << 20;
	for (unsigned long n = 1; n <= n_last; n++) {
		simfs_clear();
		struct spool *s = open_spool(&limits);

		simfs.fail_at = n;
		simfs.fail_code = codes[n % 2];
		for (uint32_t i = 1; i <= 12; i++) {
			append_to(s, i, i == 5 ? 5000000 : 1000, 0, 1);
			if (i % 3 == 0)
				spool_commit(s);
			pass(400);
		}
		assert_next(s, 1);
		assert_next(s, 2);
		n_last = MAX(n_last, simfs.n_operations + 3);
		simfs.fail_at = 0;
		spool_close(s);
		s = open_spool(&limits);
		struct spool_item item;
		int64_t first = take(s, &all, &item), i;

		assert_true(first >= 1 && first <= 3); /* a mark that failed: sent again */
		for (spool_settle(s, &item), i = first == 3 ? 4 : first + 1; i <= 12; i++) {
			int64_t got = take(s, &all, &item);

			if (got != i && i < 3) /* only one of the two marks failed */
				i = 3;
			assert_int_equal(i, got);
			spool_settle(s, &item);
		}
		assert_next(s, -1);
		spool_close(s);
	}
	assert_true(n_last > 10);
}

static void test_damage(void **state)
{
	struct spool *s = open_spool(&roomy);

	(void)state;
	for (uint32_t i = 1; i <= 6; i++)
		append_to(s, i, 200000, 0, 1);
	spool_close(s);
	s = open_spool(&roomy);
	append(s, 7); /* a newer file: the first is no longer the one that a crash may have cut */
	spool_commit(s);
	crash(s);
	char *bytes = simfs.files[0]->now.p;
	const size_t each = 200000 + SPOOL_RECORD_HEADER_BYTES;

	bytes[SPOOL_FILE_HEADER_BYTES + each + 4] ^= 1;       /* 2: its header's checksum */
	bytes[SPOOL_FILE_HEADER_BYTES + 3 * each + 100000]++; /* 4: its payload */
	simfs.files[0]->now.len -= 1;                         /* 6: its last byte */
	s = open_spool(&roomy);
	assert_int_equal(5 * SAMPLES, n_samples(s));
	assert_next(s, 1);
	assert_next(s, 3);
	assert_next(s, 5);
	assert_int_equal(SAMPLES, drops_get(&drops, DROP_DAMAGED)); /* 4 */
	assert_next(s, 7);
	assert_next(s, -1);
	spool_close(s);
}

static void test_later_version(void **state)
{
	struct spool *s = open_spool(&roomy);
	struct err e = ERR_INIT;

	(void)state;
	append(s, 1);
	spool_close(s);
	char *head = simfs.files[0]->now.p;

	head[8] = 2; /* the version, its checksum not: damage, the record speaks for itself */
	s = open_spool(&roomy);
	spool_close(s);
	const uint32_t crc = crc32c(0, head, 12);

	memcpy(head + 12, &crc, sizeof(crc));
	assert_int_equal(-ENOTSUP, spool_open(&s, DIR, &roomy, &drops, &e));
	assert_non_null(strstr(e.msg, "0000000000000001.seg: written by a later version"));
	assert_true(simfs_used() > 0);
}

/* ---- against the model */

struct model {
	bool appended[BLOCKS_CAP], committed[BLOCKS_CAP], settled[BLOCKS_CAP];
	struct spool_item under_way[8];
	uint32_t number[8];
	size_t n_under_way;
	uint32_t last, last_of_earlier_lives;
};

static void act(struct model *m, struct spool *s, struct rng *rng)
{
	switch (rng_below(rng, 6)) {
	case 0:
	case 1:
		if (m->last + 1 < BLOCKS_CAP) {
			m->appended[++m->last] = true;
			append_to(s, m->last, rng_below(rng, 8) ? rng_below(rng, 300) : 300000,
			          (uint8_t)(m->last % 4), 4);
		}
		break;
	case 2:
		spool_commit(s);
		for (uint32_t i = m->last_of_earlier_lives + 1; i <= m->last; i++)
			m->committed[i] = true;
		break;
	case 3:
		if (m->n_under_way < 8) {
			int64_t n = take(s, &all, &m->under_way[m->n_under_way]);

			if (n >= 0)
				m->number[m->n_under_way++] = (uint32_t)n;
		}
		break;
	default:
		if (m->n_under_way == 0)
			break;
		size_t i = rng_below(rng, (uint32_t)m->n_under_way);

		if (rng_below(rng, 3) == 0) {
			spool_return(s, &m->under_way[i]);
		} else {
			spool_settle(s, &m->under_way[i]);
			m->settled[m->number[i]] = true;
		}
		m->under_way[i] = m->under_way[--m->n_under_way];
		m->number[i] = m->number[m->n_under_way];
	}
}

/* Everything that is there, each once; it stays in the queue. */
static void check_against(const struct model *m, struct spool *s, bool power_cut)
{
	static bool there[BLOCKS_CAP];
	static struct spool_item items[BLOCKS_CAP];
	size_t n = 0;
	int64_t number, last_of_lane[4] = { -1, -1, -1, -1 };

	memset(there, 0, sizeof(there));
	for (; (number = take(s, &all, &items[n])) >= 0; n++) {
		assert_true(number < BLOCKS_CAP);
		assert_true(m->appended[number]);
		assert_false(there[number]);
		there[number] = true;
		assert_true(last_of_lane[number % 4] < number);
		last_of_lane[number % 4] = number;
		spool_settle(s, &items[n]);
	}
	for (uint32_t i = 1; i <= m->last; i++) {
		bool must = (m->committed[i] || !power_cut) && !m->settled[i];

		if (must && !there[i])
			fail_msg("block %u of %u was committed and is not there", i, m->last);
		if (!power_cut && m->settled[i] && there[i])
			fail_msg("block %u was settled and is there", i);
	}
}

static void test_model(void **state)
{
	static struct model m;
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 150; round++) {
		bool power_cut = round % 2;

		simfs_clear();
		memset(&m, 0, sizeof(m));
		for (int life = 0; life < 3; life++) {
			struct spool *s = open_spool(&roomy);

			m.n_under_way = 0;
			m.last_of_earlier_lives = m.last;
			for (uint32_t n = rng_below(&rng, 120); n > 0; n--)
				act(&m, s, &rng);
			if (power_cut)
				simfs_power_cut(&rng);
			else
				simfs_kill();
			spool_close(s); /* frees its memory, and reaches nothing else */
			simfs_boot();
		}
		struct spool *s = open_spool(&roomy);

		check_against(&m, s, power_cut);
		spool_close(s);
	}
}

static void test_no_memory(void **state)
{
	struct spool_limits limits = roomy;

	(void)state;
	limits.sync = false;
	vfs_set(NULL); /* the one in memory would run out of it, too */
	for (unsigned long n = 1; n < 60; n++) {
		__attribute__((cleanup(tempdir_done))) struct tempdir dir = tempdir_make();
		struct spool *s = NULL;

		memset(&drops, 0, sizeof(drops));
		alloc_fail_at(n);
		int r = spool_open(&s, dir.path, &limits, &drops, NULL);

		alloc_fail_at(0);
		if (r < 0)
			assert_int_equal(-ENOMEM, r);
		if (r < 0)
			continue;
		append(s, 1);
		alloc_fail_at(n);
		append(s, 2);
		append(s, 3);
		alloc_fail_at(0);
		spool_commit(s);
		spool_close(s);
		assert_int_equal(0, spool_open(&s, dir.path, &limits, &drops, NULL));
		uint64_t lost = (uint64_t)drops_get(&drops, DROP_NO_MEMORY);

		assert_int_equal(3 * SAMPLES, n_samples(s) + lost);
		spool_close(s);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order_and_settling),
		TEST(test_lanes),
		TEST(test_live_goes_first),
		TEST(test_limit_of_bytes),
		TEST(test_dropped_but_arrived),
		TEST(test_limit_of_age),
		TEST(test_full_disk),
		TEST(test_full_disk_for_long),
		TEST(test_memory_only),
		TEST(test_each_operation_fails),
		TEST(test_damage),
		TEST(test_later_version),
		TEST(test_model),
		TEST(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
