/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The diskstats source against I/O that the test does itself: direct writes and reads of a
 * loop device.
 */
#include "tests/bpf/loop_test.h"
#include "tests/bpf/source_test.h"

#include "userspace/host/loop_device.h"

static double value(struct source *src, const char *series)
{
	return collect_one(&diskstats_source, src, series, "device", "vdb");
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
	double before[4];

	(void)state;
	struct loop l = loop_attach(dir.path);

	vm.n_disks = 1;
	vm.disks[0].dev = l.dev;
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
	loop_detach(&l);
}

/* A description that names the image file of a loop device means the device. */
static void test_image_file_of_a_loop_device(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct loop l = loop_attach(dir.path);
	struct loop_devices loops = { 0 };
	char image[128];

	(void)state;
	(void)snprintf(image, sizeof(image), "%s/image", dir.path);
	assert_true(loop_devices_find(&loops, "/sys/block", image) == l.dev);
	loop_detach(&l);
	loop_devices_done(&loops);
	assert_true(loop_devices_find(&loops, "/sys/block", image) == 0);
	loop_devices_done(&loops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_are_exact),
		cmocka_unit_test(test_image_file_of_a_loop_device),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
