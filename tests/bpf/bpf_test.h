/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What tests against the live kernel share: skipping aloud, and children that do as they
 * are told.
 */

#include "tests/unit/unit.h"
#include "userspace/base/cleanup.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIP 77

static inline void skip_test(const char *why)
{
	printf("SKIP: %s\n", why);
	exit(EXIT_SKIP);
}

static inline void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip_test("needs root");
}

static inline uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) < 0) {
	}
}

/* By the thread's own CPU time: as much work on a busy machine as on an idle one. */
static inline void burn_own_ms(uint64_t ms)
{
	uint64_t until = now_ns(CLOCK_THREAD_CPUTIME_ID) + ms * 1000000;

	while (now_ns(CLOCK_THREAD_CPUTIME_ID) < until) {
	}
}

/*
 * A child that runs @fn each time it is told a byte, and answers with one; it dies with
 * the test.
 */
struct child {
	pid_t pid;
	int to, from; /* pipe ends of the parent */
};

static inline struct child child_start(int (*fn)(char what))
{
	int down[2], up[2];

	assert_int_equal(0, pipe(down));
	assert_int_equal(0, pipe(up));
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		char what;

		(void)close(down[1]);
		(void)close(up[0]);
		while (read(down[0], &what, 1) == 1) {
			char answer = (char)fn(what);

			if (write(up[1], &answer, 1) != 1)
				break;
		}
		_exit(0);
	}
	(void)close(down[0]);
	(void)close(up[1]);
	return (struct child){ pid, down[1], up[0] };
}

static inline void child_tell(const struct child *c, char what)
{
	assert_int_equal(1, write(c->to, &what, 1));
}

static inline int child_answer(const struct child *c)
{
	char answer = -1;

	assert_int_equal(1, read(c->from, &answer, 1));
	return answer;
}

static inline int child_do(const struct child *c, char what)
{
	child_tell(c, what);
	return child_answer(c);
}

static inline int child_end(struct child *c)
{
	int status = 0;

	(void)kill(c->pid, SIGKILL); /* first: a closed pipe would end it by itself */
	(void)close(c->to);
	(void)close(c->from);
	assert_int_equal(c->pid, waitpid(c->pid, &status, 0));
	return status;
}
