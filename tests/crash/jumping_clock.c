/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A wall clock that a test can set, for one program: preloaded, it adds the milliseconds in the
 * file $JUMPING_CLOCK (one int64, mapped, so a change counts at once) to CLOCK_REALTIME. Timers
 * that wait for a moment of that clock wait for the right one; that the kernel would have cancelled
 * them when it is set is not imitated.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MS_PER_S  1000
#define NS_PER_MS 1000000

int clock_gettime(clockid_t clock, struct timespec *ret);
int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);

static const volatile int64_t none;
static const volatile int64_t *offset_ms = &none;

static void __attribute__((constructor)) map_file(void)
{
	const char *path = getenv("JUMPING_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = mmap(NULL, sizeof(*offset_ms), PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		abort();
	offset_ms = p;
}

static void add(struct timespec *t, int64_t ms)
{
	int64_t ns = t->tv_nsec + ms % MS_PER_S * NS_PER_MS;

	t->tv_sec += ms / MS_PER_S;
	if (ns < 0 || ns >= (int64_t)MS_PER_S * NS_PER_MS) {
		t->tv_sec += ns < 0 ? -1 : 1;
		ns += (ns < 0 ? 1 : -1) * (int64_t)MS_PER_S * NS_PER_MS;
	}
	t->tv_nsec = ns;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret);

	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		add(ret, *offset_ms);
	return r;
}

/* Of the program's timers only those of the wall clock are to be cancelled when it is set. */
int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct itimerspec at = *new;

	if (flags & TFD_TIMER_CANCEL_ON_SET)
		add(&at.it_value, -*offset_ms);
	return (int)syscall(SYS_timerfd_settime, fd, flags, &at, old);
}
