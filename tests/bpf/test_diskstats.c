/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The diskstats source against I/O that the test does itself: direct writes and reads of a
 * loop device.
 */
#include "tests/bpf/source_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/unit/tempdir.h"

#define IMAGE_BYTES (8 << 20)
#define BLOCK_BYTES 4096
#define N_WRITES    64
#define N_READS     32

struct loop {
	int fd;
	char path[32];
};

static struct loop attach(const char *image)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), backing, number;
	struct loop l = { -1, "" };

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
	backing = open(image, O_RDWR | O_CLOEXEC);
	if (l.fd < 0 || backing < 0 || ioctl(l.fd, LOOP_SET_FD, backing) < 0)
		skip_test("cannot attach a loop device");
	(void)close(backing);
	return l;
}

static void make_image(char *path, size_t cap, const char *dir)
{
	int fd;

	(void)snprintf(path, cap, "%s/image", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, IMAGE_BYTES));
	(void)close(fd);
}

static double value(struct source *src, const char *series)
{
	return collect_one(&diskstats_source, src, series, "device", "vdb");
}

static void do_io(int fd)
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

static void test_counts_are_exact(void **state)
{
	static const char *const names[] = {
		"fly_instance_disk_writes_completed",
		"fly_instance_disk_sectors_written",
		"fly_instance_disk_reads_completed",
		"fly_instance_disk_sectors_read",
	};
	static const double want[] = { N_WRITES, N_WRITES * BLOCK_BYTES / 512, N_READS,
		                       N_READS * BLOCK_BYTES / 512 };
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct vm vm = test_vm(getpid()), file_only;
	struct err e = ERR_INIT;
	struct source *src;
	char image[128];
	double before[4];
	struct stat st;

	(void)state;
	make_image(image, sizeof(image), dir.path);
	struct loop l = attach(image);

	assert_int_equal(0, fstat(l.fd, &st));
	vm.n_disks = 1;
	vm.disks[0].dev = st.st_rdev;
	(void)snprintf(vm.disks[0].guest_name, sizeof(vm.disks[0].guest_name), "vdb");
	assert_int_equal(0, diskstats_source.open(&src, NULL, &e));
	assert_int_equal(0, diskstats_source.vm_added(src, &vm));
	for (int i = 0; i < 4; i++)
		before[i] = value(src, names[i]);
	do_io(l.fd);
	for (int i = 0; i < 4; i++)
		assert_double_near(want[i], value(src, names[i]) - before[i], 0);
	assert_double_near(0, value(src, "fly_instance_disk_io_in_progress"), 0);
	assert_int_equal(11, collect_count(&diskstats_source, src));

	file_only = vm; /* a disk without a device has no series */
	file_only.id = 2;
	file_only.disks[0].dev = 0;
	assert_int_equal(0, diskstats_source.vm_added(src, &file_only));
	assert_int_equal(11, collect_count(&diskstats_source, src));
	diskstats_source.vm_gone(src, &vm);
	assert_int_equal(0, collect_count(&diskstats_source, src));
	diskstats_source.free(src);
	assert_int_equal(0, ioctl(l.fd, LOOP_CLR_FD));
	(void)close(l.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_are_exact),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
