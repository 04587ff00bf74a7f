/* SPDX-License-Identifier: BSD-2-Clause */
/* Turns, limits and the end of the queue that stands in front of the workers. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "api/http/fair_queue.h"
#include "userspace/base/buf.h"

struct work {
	struct fair_item item; /* first, so that the pointers are equal */
	char name;
};

static struct fair_queue *make(size_t all, size_t each, unsigned busy, unsigned open)
{
	const struct fair_limits limits = { all, each, busy, open };
	struct fair_queue *q;

	assert_int_equal(0, fair_queue_new(&q, &limits));
	return q;
}

static struct work *pop(struct fair_queue *q)
{
	struct fair_item *item = NULL;

	assert_int_equal(0, fair_pop(q, &item));
	return (struct work *)item;
}

/* One asks for ten, two others for one: they come second and third. */
static void test_turns(void **state)
{
	struct fair_queue *q = make(100, 100, 100, 100);
	_cleanup_(buf_done) struct buf order = BUF_INIT;
	struct work many[10], b = { .name = 'b' }, c = { .name = 'c' };

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		many[i].name = 'a';
		assert_int_equal(0, fair_push(q, STR("a"), &many[i].item));
	}
	assert_int_equal(0, fair_push(q, STR("b"), &b.item));
	assert_int_equal(0, fair_push(q, STR("c"), &c.item));
	for (size_t i = 0; i < 12; i++) {
		struct work *w = pop(q);

		buf_putc(&order, w->name);
		fair_idle(q, &w->item);
		fair_leave(q, &w->item);
	}
	assert_string_equal("abcaaaaaaaaa", buf_cstr(&order));
	struct fair_stats stats;

	fair_get_stats(q, &stats);
	assert_int_equal(0, stats.waiting);
	assert_int_equal(0, stats.parties);
	fair_queue_free(q);
}

/* What one began goes before what it wants anew, and needs no new place. */
static void test_more(void **state)
{
	struct fair_queue *q = make(100, 100, 100, 1);
	struct work first = { .name = '1' }, second = { .name = '2' };

	(void)state;
	assert_int_equal(0, fair_push(q, STR("a"), &first.item));
	assert_int_equal(0, fair_push(q, STR("a"), &second.item));
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(&first, pop(q));
		fair_idle(q, &first.item);
		assert_int_equal(0, fair_push_more(q, &first.item));
	}
	assert_ptr_equal(&first, pop(q));
	fair_idle(q, &first.item);
	fair_leave(q, &first.item);
	assert_ptr_equal(&second, pop(q));
	fair_idle(q, &second.item);
	fair_leave(q, &second.item);
	fair_queue_free(q);
}

/* A party that has all the workers it may have is passed over. */
static void test_busy(void **state)
{
	struct fair_queue *q = make(100, 100, 2, 100);
	struct work a[3] = { { .name = 'a' }, { .name = 'b' }, { .name = 'c' } };
	struct work other = { .name = 'o' };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(0, fair_push(q, STR("a"), &a[i].item));
	assert_int_equal(0, fair_push(q, STR("b"), &other.item));
	assert_ptr_equal(&a[0], pop(q));
	assert_ptr_equal(&other, pop(q));
	assert_ptr_equal(&a[1], pop(q));
	fair_idle(q, &a[0].item);
	fair_leave(q, &a[0].item);
	assert_ptr_equal(&a[2], pop(q));
	for (size_t i = 1; i < 3; i++) {
		fair_idle(q, &a[i].item);
		fair_leave(q, &a[i].item);
	}
	fair_idle(q, &other.item);
	fair_leave(q, &other.item);
	fair_queue_free(q);
}

static void test_full(void **state)
{
	struct fair_queue *q = make(3, 2, 1, 1);
	struct work w[5] = { 0 };

	(void)state;
	assert_int_equal(0, fair_push(q, STR("a"), &w[0].item));
	assert_int_equal(0, fair_push(q, STR("a"), &w[1].item));
	assert_int_equal(-EDQUOT, fair_push(q, STR("a"), &w[2].item));
	assert_int_equal(0, fair_push(q, STR(""), &w[2].item));
	assert_int_equal(-ENOSPC, fair_push(q, STR("c"), &w[3].item));
	fair_close(q);
	assert_int_equal(-EPIPE, fair_push(q, STR("c"), &w[3].item));
	for (int i = 0; i < 3; i++) { /* what waits is still done */
		struct work *one = pop(q);

		fair_idle(q, &one->item);
		fair_leave(q, &one->item);
	}
	struct fair_item *none = &w[0].item;

	assert_int_equal(-EPIPE, fair_push_more(q, none));
	assert_int_equal(-EPIPE, fair_pop(q, &none));
	fair_queue_free(q);
}

struct crowd {
	struct fair_queue *q;
	_Atomic unsigned done;
	_Atomic int busy[4], busy_max;
};

static void *worker(void *arg)
{
	struct crowd *c = arg;
	struct fair_item *item;

	while (fair_pop(c->q, &item) == 0) {
		struct work *w = (struct work *)item;
		int party = w->name % 4, busy = atomic_fetch_add(&c->busy[party], 1) + 1;
		int max = atomic_load(&c->busy_max);

		while (busy > max && !atomic_compare_exchange_weak(&c->busy_max, &max, busy))
			;
		atomic_fetch_sub(&c->busy[party], 1);
		fair_idle(c->q, item);
		if (w->name >= 8) { /* one more round, as long as there are any */
			w->name = (char)(w->name - 4);
			if (fair_push_more(c->q, item) == 0)
				continue;
		}
		fair_leave(c->q, item);
		free(w);
		atomic_fetch_add(&c->done, 1);
	}
	return NULL;
}

/* Many threads: everything is done once, nobody is busy more often than allowed. */
static void test_crowd(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct crowd c = { .q = make(100000, 100000, 2, 3) };
	pthread_t threads[6];
	const unsigned n = 20000;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(0, pthread_create(&threads[i], NULL, worker, &c));
	for (unsigned i = 0; i < n; i++) {
		struct work *w = calloc(1, sizeof(*w));

		w->name = (char)(4 + i % 16);
		assert_int_equal(0, fair_push(c.q, str_from(names[i % 4]), &w->item));
	}
	fair_close(c.q);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(0, pthread_join(threads[i], NULL));
	assert_int_equal(n, c.done);
	assert_true(c.busy_max <= 2);
	fair_queue_free(c.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns), cmocka_unit_test(test_more),
		cmocka_unit_test(test_busy),  cmocka_unit_test(test_full),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
