/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* A loop device of the test's own, and I/O of known size to any block device. */

#include "tests/bpf/bpf_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/unit/tempdir.h"

#define LOOP_BYTES  (8 << 20)
#define BLOCK_BYTES 4096
#define N_WRITES    64
#define N_READS     32

struct loop {
	int fd; /* for direct I/O */
	dev_t dev;
	char path[32];
};

static inline void loop_make_image(char *path, size_t cap, const char *dir)
{
	int fd;

	(void)snprintf(path, cap, "%s/image", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, LOOP_BYTES));
	(void)close(fd);
}

/* Backed by a file or another device. Skips the test where there is none to be had. */
static inline struct loop loop_attach_to(const char *backing_path)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), backing, number;
	struct loop l = { -1, 0, "" };
	struct stat st;

	if (control < 0)
		skip_test("no loop devices (/dev/loop-control)");
	number = ioctl(control, LOOP_CTL_GET_FREE);
	(void)close(control);
	if (number < 0)
		skip_test("no free loop device");
	(void)snprintf(l.path, sizeof(l.path), "/dev/loop%d", number);
	(void)mknod(l.path, S_IFBLK | 0600,
	            makedev(7, (unsigned)number)); /* mostly there already */
	l.fd = open(l.path, O_RDWR | O_DIRECT | O_CLOEXEC);
	backing = open(backing_path, O_RDWR | O_CLOEXEC);
	if (l.fd < 0 || backing < 0 || ioctl(l.fd, LOOP_SET_FD, backing) < 0)
		skip_test("cannot attach a loop device");
	(void)close(backing);
	assert_int_equal(0, fstat(l.fd, &st));
	l.dev = st.st_rdev;
	return l;
}

/* Backed by a file in @dir. */
static inline struct loop loop_attach(const char *dir)
{
	char image[128];

	loop_make_image(image, sizeof(image), dir);
	return loop_attach_to(image);
}

static inline void loop_detach(const struct loop *l)
{
	assert_int_equal(0, ioctl(l->fd, LOOP_CLR_FD));
	(void)close(l->fd);
}

/* N_WRITES and N_READS of BLOCK_BYTES each, one after another, to a file opened for direct I/O. */
static inline void do_io(int fd)
{
	void *block = NULL;

	assert_int_equal(0, posix_memalign(&block, BLOCK_BYTES, BLOCK_BYTES));
	memset(block, 0x11, BLOCK_BYTES);
	for (int i = 0; i < N_WRITES; i++) /* every other block: neighbours would merge */
		assert_int_equal(BLOCK_BYTES, pwrite(fd, block, BLOCK_BYTES, i * 2 * BLOCK_BYTES));
	for (int i = 0; i < N_READS; i++)
		assert_int_equal(BLOCK_BYTES, pread(fd, block, BLOCK_BYTES, i * 2 * BLOCK_BYTES));
	free(block);
}
