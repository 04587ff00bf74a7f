/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool: every piece is done once, by a worker that nobody else is at that time, whatever the
 * number of threads and of jobs at once. ThreadSanitizer watches in `make check-san`.
 */
#include "tests/unit/unit.h"
#include "userspace/base/pool.h"

#include <pthread.h>
#include <stdatomic.h>

#define PIECES      1000u
#define WORKERS_MAX 8u

struct work {
	_Atomic unsigned done[PIECES];
	_Atomic bool busy[WORKERS_MAX];
	_Atomic unsigned clashes, seen; /* seen: a bit for each worker */
	unsigned workers_max;
};

static void piece(void *ctx, unsigned worker, size_t i)
{
	struct work *w = ctx;

	if (worker >= w->workers_max || atomic_exchange(&w->busy[worker], true))
		atomic_fetch_add(&w->clashes, 1);
	atomic_fetch_or(&w->seen, 1u << worker);
	atomic_fetch_add(&w->done[i], 1);
	for (volatile unsigned k = 0; k < 200; k++)
		;
	atomic_store(&w->busy[worker], false);
}

static void run_once(struct pool *p, unsigned workers_max, size_t n)
{
	struct work w = { .workers_max = workers_max };

	pool_run(p, workers_max, n, piece, &w);
	assert_int_equal(0, w.clashes);
	for (size_t i = 0; i < PIECES; i++)
		assert_int_equal(i < n, w.done[i]);
	if (n > 0 && workers_max == 1)
		assert_int_equal(1, w.seen);
}

static void test_every_piece_once(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 7, PIECES };

	(void)state;
	for (unsigned threads = 0; threads < 4; threads++) {
		struct pool *p;

		assert_int_equal(0, pool_new(&p, threads));
		assert_int_equal(threads, pool_threads(p));
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			for (unsigned max = 1; max <= WORKERS_MAX; max *= 2)
				run_once(p, max, sizes[i]);
		}
		pool_free(p);
	}
	run_once(NULL, 4, 7);
	assert_int_equal(0, pool_threads(NULL));
	pool_free(NULL);
}

static void *run_many(void *ctx)
{
	for (int i = 0; i < 50; i++)
		run_once(ctx, 3, 100);
	return NULL;
}

static void test_jobs_at_once(void **state)
{
	pthread_t t[3];
	struct pool *p;

	(void)state;
	assert_int_equal(0, pool_new(&p, 2));
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(0, pthread_create(&t[i], NULL, run_many, p));
	(void)run_many(p);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(0, pthread_join(t[i], NULL));
	pool_free(p);
}

/* Two pieces that meet: only a second thread can make that happen. */
static void meet(void *ctx, unsigned worker, size_t i)
{
	(void)worker;
	(void)i;
	(void)pthread_barrier_wait(ctx);
}

static void test_helps(void **state)
{
	pthread_barrier_t both;
	struct pool *p;

	(void)state;
	assert_int_equal(0, pool_new(&p, 1));
	assert_int_equal(0, pthread_barrier_init(&both, NULL, 2));
	for (int i = 0; i < 100; i++)
		pool_run(p, 2, 2, meet, &both);
	(void)pthread_barrier_destroy(&both);
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_piece_once),
		cmocka_unit_test(test_jobs_at_once),
		cmocka_unit_test(test_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
