/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients that hang up, and connections that say nothing, on socket pairs. */
#include "tests/unit/unit.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api/http/watch.h"

static bool becomes_true(const _Atomic bool *flag)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (int i = 0; i < 5000 && !atomic_load(flag); i++)
		(void)nanosleep(&nap, NULL);
	return atomic_load(flag);
}

static void pair(int *ret)
{
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ret));
}

static void test_hang_up(void **state)
{
	_Atomic bool stays_gone = false, leaves_gone = false, early_gone = false;
	int stays[2], leaves[2], early[2];
	struct watch *w;

	(void)state;
	pair(stays);
	pair(leaves);
	pair(early);
	assert_int_equal(0, watch_new(&w, 60000));
	close(early[1]); /* before it is watched */
	struct watch_ticket s = watch_client(w, stays[0], &stays_gone);
	struct watch_ticket l = watch_client(w, leaves[0], &leaves_gone);
	struct watch_ticket e = watch_client(w, early[0], &early_gone);

	assert_true(s.valid && l.valid && e.valid);
	assert_int_equal(1, write(stays[1], "x", 1)); /* more bytes are no hanging up */
	close(leaves[1]);
	assert_true(becomes_true(&leaves_gone));
	assert_true(becomes_true(&early_gone));
	assert_false(stays_gone);
	watch_client_done(w, stays[0], s);
	watch_client_done(w, leaves[0], l);
	watch_client_done(w, early[0], e);
	/* What is not watched any more is left alone, also by who takes its slot. */
	early_gone = false;
	struct watch_ticket again = watch_client(w, early[0], &early_gone);

	close(stays[1]);
	assert_true(becomes_true(&early_gone));
	assert_false(stays_gone);
	watch_client_done(w, early[0], again);
	watch_free(w);
	close(stays[0]);
	close(leaves[0]);
	close(early[0]);
}

static void test_not_a_socket(void **state)
{
	_Atomic bool gone = false;
	struct watch *w;

	(void)state;
	assert_int_equal(0, watch_new(&w, 60000));
	struct watch_ticket t = watch_client(w, -1, &gone);

	assert_false(t.valid);
	watch_client_done(w, -1, t);
	watch_free(w);
}

static void test_stop(void **state)
{
	_Atomic bool gone = false;
	struct watch *w;
	int fds[2];

	(void)state;
	pair(fds);
	assert_int_equal(0, watch_new(&w, 60000));
	struct watch_ticket t = watch_client(w, fds[0], &gone);

	watch_all_gone(w);
	assert_true(gone);
	watch_client_done(w, fds[0], t);
	watch_free(w);
	close(fds[0]);
	close(fds[1]);
}

/* One that dribbles is closed, one that has its request is not. */
static void test_slow(void **state)
{
	struct watch_conn slow = { 0 }, quick = { 0 };
	int slow_fds[2], quick_fds[2];
	struct watch *w;

	(void)state;
	pair(slow_fds);
	pair(quick_fds);
	assert_int_equal(0, watch_new(&w, 200));
	watch_conn_add(w, &quick, quick_fds[0]);
	watch_conn_has_request(&quick, true);
	watch_conn_add(w, &slow, slow_fds[0]);
	struct pollfd p[2] = { { slow_fds[1], POLLIN, 0 }, { quick_fds[1], POLLIN, 0 } };

	assert_int_equal(1, poll(p, 2, 5000));
	assert_true(p[0].revents & POLLIN); /* the end */
	assert_int_equal(1, watch_slow_closed(w));
	watch_conn_del(w, &quick);
	watch_conn_del(w, &slow);
	watch_free(w);
	for (int i = 0; i < 2; i++) {
		close(slow_fds[i]);
		close(quick_fds[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hang_up),
		cmocka_unit_test(test_not_a_socket),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
