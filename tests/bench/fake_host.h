/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A host full of fake VMs for benchmarks: processes of three threads, of which two are named like
 * vCPUs and wake up now and then, and one tap for each in a network namespace of their own. All of
 * it ends with the program.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FAKE_VMS_MAX 4000
#define FAKE_VCPUS   2
#define FAKE_WAKE_MS 500
#define FAKE_STACK   (64u << 10)
#define FAKE_UP_FD   3

__attribute__((noreturn)) static inline void fake_die(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline void *fake_vcpu(void *ctx)
{
	const struct timespec pause = { 0, FAKE_WAKE_MS * 1000000L };
	char name[16];

	(void)snprintf(name, sizeof(name), "vcpu%d", *(int *)ctx);
	(void)prctl(PR_SET_NAME, name);
	for (;;)
		(void)nanosleep(&pause, NULL);
	return NULL;
}

__attribute__((noreturn)) static inline void fake_vm_main(pid_t parent, int up)
{
	static int numbers[FAKE_VCPUS] = { 0, 1 };
	pthread_attr_t attr;
	pthread_t t;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "fake-vm");
	/* All taps are the parent's. */
	if (getppid() != parent || dup2(up, FAKE_UP_FD) < 0 ||
	    close_range(FAKE_UP_FD + 1, ~0u, 0) < 0)
		_exit(1);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, FAKE_STACK);
	for (int i = 0; i < FAKE_VCPUS; i++) {
		if (pthread_create(&t, &attr, fake_vcpu, &numbers[i]) != 0)
			_exit(1);
	}
	if (write(FAKE_UP_FD, "", 1) != 1)
		_exit(1);
	for (;;)
		(void)pause();
}

/* One process, once its threads are there. */
static inline pid_t fake_vm_start(void)
{
	pid_t parent = getpid(), pid;
	int up[2];
	char byte;

	if (pipe2(up, O_CLOEXEC) < 0)
		fake_die("pipe");
	pid = fork();
	if (pid < 0)
		fake_die("fork");
	if (pid == 0)
		fake_vm_main(parent, up[1]);
	(void)close(up[1]);
	if (read(up[0], &byte, 1) != 1)
		fake_die("a fake VM did not start");
	(void)close(up[0]);
	return pid;
}

/* Before the VMs: they are to be in the same namespace. */
static inline void fake_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		fake_die("a network namespace (root?)");
}

static inline void fake_taps(int n)
{
	struct rlimit files;

	/* Whoever runs beside the VMs has some for each, too. */
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		fake_die("RLIMIT_NOFILE");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		fake_die("RLIMIT_NOFILE");
	for (int i = 0; i < n; i++) {
		struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI };
		int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

		(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "tap%d", i);
		if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0)
			fake_die("a tap");
	}
}
