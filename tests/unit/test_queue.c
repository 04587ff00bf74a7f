/* SPDX-License-Identifier: BSD-2-Clause */
/* The bounded queue: order, the two ways of being full, closing, and many threads at once. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "userspace/base/queue.h"

static int items[8];

static void test_order_and_limit(void **state)
{
	struct queue *q;
	void *item;

	(void)state;
	assert_int_equal(0, queue_new(&q, 2));
	assert_int_equal(-EAGAIN, queue_pop(q, 0, &item));
	assert_int_equal(0, queue_push(q, &items[0]));
	assert_int_equal(0, queue_push(q, &items[1]));
	assert_int_equal(-ENOSPC, queue_push(q, &items[2]));
	assert_int_equal(0, queue_push_drop(q, &items[3], &item));
	assert_ptr_equal(&items[0], item); /* the oldest made room */
	assert_int_equal(2, queue_n(q));
	assert_int_equal(0, queue_pop(q, 0, &item));
	assert_ptr_equal(&items[1], item);
	assert_int_equal(0, queue_push_drop(q, &items[4], &item));
	assert_null(item);
	queue_close(q);
	assert_int_equal(-EPIPE, queue_push(q, &items[5]));
	assert_int_equal(0, queue_pop(q, -1, &item));
	assert_ptr_equal(&items[3], item);
	assert_int_equal(0, queue_pop(q, -1, &item));
	assert_int_equal(-EPIPE, queue_pop(q, -1, &item));
	queue_free(q);
	assert_int_equal(-EINVAL, queue_new(&q, 0));
	assert_int_equal(-EINVAL, queue_new(&q, SIZE_MAX));
}

#define EACH 20000
static struct queue *shared;
static atomic_long sum, n_popped;

static void *pusher(void *ctx)
{
	for (long i = 1; i <= EACH; i++) {
		while (queue_push(shared, (void *)(uintptr_t)i) == -ENOSPC)
			(void)sched_yield();
	}
	return ctx;
}

static void *popper(void *ctx)
{
	void *item;

	while (queue_pop(shared, -1, &item) == 0) {
		atomic_fetch_add(&sum, (long)(uintptr_t)item);
		atomic_fetch_add(&n_popped, 1);
	}
	return ctx;
}

static void test_threads(void **state)
{
	pthread_t t[4];

	(void)state;
	assert_int_equal(0, queue_new(&shared, 64));
	for (int i = 0; i < 4; i++)
		assert_int_equal(0, pthread_create(&t[i], NULL, i < 2 ? pusher : popper, NULL));
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	queue_close(shared);
	pthread_join(t[2], NULL);
	pthread_join(t[3], NULL);
	assert_int_equal(2 * EACH, atomic_load(&n_popped));
	assert_true(atomic_load(&sum) == (long)EACH * (EACH + 1));
	queue_free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_limit),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
