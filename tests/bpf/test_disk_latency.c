/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The histograms of disk latency: of a device that makes requests, against what /proc/diskstats
 * counts and sums up; of a device-mapper device, which makes none, and of one above it against a
 * delay of known length.
 */
#include "tests/bpf/loop_test.h"
#include "tests/bpf/wait_test.h"

#include <libdevmapper.h>

#include "userspace/base/file.h"
#include "userspace/host/diskstats.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/vm_exit.h"

#define DELAY_MS    30
#define DELAYED_IOS 5
#define ROUNDING_MS 1 /* diskstats has whole ones */
#define ROUNDS_MAX  10

static struct host_conf conf; /* nothing of it is read */
static struct tempdir dir;

static struct source *open_source(void)
{
	struct err e = ERR_INIT;
	struct source *src;

	if (disk_latency_source.open(&src, &conf, &e) < 0)
		skip_test(e.msg);
	return src;
}

static struct vm vm_with(dev_t dev)
{
	struct vm vm = test_vm(getpid());

	vm.n_disks = 1;
	vm.disks[0].dev = dev;
	(void)snprintf(vm.disks[0].guest_name, sizeof(vm.disks[0].guest_name), "vdb");
	return vm;
}

static struct waits waits_of(struct source *src, const char *operation)
{
	return read_waits(&disk_latency_source, src, FLY_INSTANCE_DISK_LATENCY_SECONDS_BUCKET,
	                  "operation", operation);
}

/* ---- requests ------------------------------------------------------------------------------- */

struct line {
	dev_t dev;
	struct diskstats stats;
};

static int on_line(void *ctx, const struct diskstats *stats)
{
	struct line *l = ctx;

	if (stats->dev == l->dev)
		l->stats = *stats;
	return 0;
}

static struct diskstats diskstats_of(dev_t dev)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct line l = { .dev = dev };

	assert_int_equal(0, file_read("/proc/diskstats", &text, 1 << 20));
	assert_int_equal(0, diskstats_parse(buf_str(&text), on_line, &l, NULL));
	assert_true(l.stats.dev == dev);
	return l.stats;
}

/*
 * Whether the sums agree. The kernel reads its clock once more for its own, a moment later, and may
 * lose the CPU in between: so not every round has to.
 */
static bool check_requests(const char *operation, const struct waits *got, uint64_t n, uint64_t ms)
{
	double want_ms = (double)ms, got_ms = (double)got->sum_ns / 1e6;

	print_message("    %s: %llu in %.3f ms; diskstats %llu in %.0f ms\n", operation,
	              (unsigned long long)got->count, got_ms, (unsigned long long)n, want_ms);
	assert_int_equal(n, got->count);
	assert_true(got_ms < want_ms + ROUNDING_MS);
	return got_ms > want_ms * 0.9 - ROUNDING_MS;
}

static bool run_round(struct source *src, const struct loop *l)
{
	struct diskstats before = diskstats_of(l->dev), after;
	struct waits had_reads = waits_of(src, "read"), had_writes = waits_of(src, "write");

	do_io(l->fd);
	after = diskstats_of(l->dev);
	struct waits reads = waits_since(waits_of(src, "read"), &had_reads);
	struct waits writes = waits_since(waits_of(src, "write"), &had_writes);

	assert_int_equal(N_READS, reads.count);
	assert_int_equal(N_WRITES, writes.count);
	bool read_near =
		check_requests("read", &reads, after.v[0] - before.v[0], after.v[3] - before.v[3]);

	return check_requests("write", &writes, after.v[4] - before.v[4],
	                      after.v[7] - before.v[7]) &&
	       read_near;
}

static void test_requests(void **state)
{
	struct loop l = loop_attach(dir.path);
	struct source *src = open_source();
	struct vm vm = vm_with(l.dev);
	int n_rounds = 1;

	(void)state;
	assert_int_equal(0, disk_latency_source.vm_added(src, &vm));
	assert_int_equal(0, waits_of(src, "write").count);
	while (!run_round(src, &l))
		assert_true(n_rounds++ < ROUNDS_MAX);

	/* A second VM of the same disk has the same numbers; gone, both are without any. */
	struct vm second = vm;

	second.id = 2;
	assert_int_equal(0, disk_latency_source.vm_added(src, &second));
	assert_int_equal(2 * 2 * (WAIT_BOUNDS_N + 3), collect_count(&disk_latency_source, src));
	disk_latency_source.vm_gone(src, &vm);
	assert_int_equal(n_rounds * N_READS, waits_of(src, "read").count);
	disk_latency_source.vm_gone(src, &second);
	for (int i = 0; i < 3; i++)
		assert_int_equal(0, collect_count(&disk_latency_source, src));
	assert_int_equal(0, disk_latency_source.vm_added(src, &vm));
	assert_int_equal(0, waits_of(src, "read").count);
	disk_latency_source.free(src);
	loop_detach(&l);
}

/* Of an ended VM the last is said at once. */
static void test_last_samples(void **state)
{
	struct loop l = loop_attach(dir.path);
	struct source *src = open_source();
	struct vm vm = vm_with(l.dev);
	struct waits w = { .bucket_id = FLY_INSTANCE_DISK_LATENCY_SECONDS_BUCKET,
		           .label = "operation",
		           .value = "write" };
	struct vm_exit how = { 0 };
	struct batch *b;

	(void)state;
	assert_int_equal(0, disk_latency_source.vm_added(src, &vm));
	do_io(l.fd);
	assert_int_equal(0, batch_new(&b, 1000));
	disk_latency_source.vm_exited(src, &vm, &how, 1000, b);
	assert_int_equal(0, batch_each(b, false, take_sample, &w));
	assert_int_equal(N_WRITES, w.count);
	batch_free(b);
	disk_latency_source.free(src);
	loop_detach(&l);
}

/* ---- a delay of known length ---------------------------------------------------------------- */

#define DELAYED_NAME "periscope-test-delay"

static bool run_dm(struct dm_task *task)
{
	bool done = task && dm_task_set_name(task, DELAYED_NAME) && dm_task_run(task);

	if (task)
		dm_task_destroy(task);
	return done;
}

__attribute__((format(printf, 5, 6))) static void be_silent(int level, const char *file, int line,
                                                            int dm_errno, const char *fmt, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)dm_errno;
	(void)fmt;
}

/* A device over @l whose reads take DELAY_MS. -1 where the kernel has none of this kind. */
static int open_delayed(const struct loop *l, dev_t *ret_dev, char *path, size_t cap)
{
	struct dm_task *task;
	struct dm_info info = { 0 };
	char params[64];

	dm_log_with_errno_init(be_silent);
	task = dm_task_create(DM_DEVICE_CREATE);
	(void)snprintf(params, sizeof(params), "%u:%u 0 %d %u:%u 0 0", major(l->dev), minor(l->dev),
	               DELAY_MS, major(l->dev), minor(l->dev));
	if (!task || !dm_task_set_name(task, DELAYED_NAME) ||
	    !dm_task_add_target(task, 0, LOOP_BYTES / 512, "delay", params) || !dm_task_run(task) ||
	    !dm_task_get_info(task, &info) || !info.exists) {
		if (task)
			dm_task_destroy(task);
		return -1;
	}
	dm_task_destroy(task);
	*ret_dev = makedev(info.major, info.minor);
	(void)snprintf(path, cap, "/dev/dm-%u", info.minor);
	(void)mknod(path, S_IFBLK | 0600, *ret_dev); /* mostly there already */
	return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

static void read_blocks(int fd, int n)
{
	void *block = NULL;

	assert_int_equal(0, posix_memalign(&block, BLOCK_BYTES, BLOCK_BYTES));
	for (int i = 0; i < n; i++)
		assert_int_equal(BLOCK_BYTES, pread(fd, block, BLOCK_BYTES, i * 2 * BLOCK_BYTES));
	free(block);
}

static void check_delayed(struct source *src, const char *what, int fd)
{
	assert_int_equal(0, waits_of(src, "read").count);
	read_blocks(fd, DELAYED_IOS);

	struct waits got = waits_of(src, "read");

	print_message("    %s: %llu reads in %.3f ms, each delayed by %d ms\n", what,
	              (unsigned long long)got.count, (double)got.sum_ns / 1e6, DELAY_MS);
	assert_int_equal(DELAYED_IOS, got.count);
	assert_true(got.sum_ns >= DELAYED_IOS * DELAY_MS * 1000000ull);
	for (uint32_t i = 0; i < wait_bucket(DELAY_MS * 1000000ull); i++)
		assert_int_equal(0, got.buckets[i]);
	assert_int_equal(0, waits_of(src, "write").count);
}

/* A loop device over the delayed one: its requests wait for those bios. */
static void check_delayed_requests(const char *path)
{
	struct loop l = loop_attach_to(path);
	struct source *src = open_source();
	struct vm vm = vm_with(l.dev);

	assert_int_equal(0, ioctl(l.fd, LOOP_SET_DIRECT_IO, 1ul));
	assert_int_equal(0, disk_latency_source.vm_added(src, &vm));
	check_delayed(src, "requests", l.fd);
	disk_latency_source.free(src);
	loop_detach(&l);
}

static void test_delayed(void **state)
{
	struct loop l = loop_attach(dir.path);
	struct source *src = open_source();
	char path[32];
	dev_t dev = 0;
	int fd = open_delayed(&l, &dev, path, sizeof(path));

	(void)state;
	if (fd < 0) {
		print_message("    no device-mapper with the target delay\n");
		loop_detach(&l);
		disk_latency_source.free(src);
		skip();
	}
	struct vm vm = vm_with(dev);

	assert_int_equal(0, disk_latency_source.vm_added(src, &vm));
	check_delayed(src, "bios", fd);
	disk_latency_source.vm_gone(src, &vm);
	disk_latency_source.free(src);
	check_delayed_requests(path);
	(void)close(fd);
	assert_true(run_dm(dm_task_create(DM_DEVICE_REMOVE)));
	loop_detach(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_last_samples),
		cmocka_unit_test(test_delayed),
	};

	skip_unless_root();
	dir = tempdir_make();
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	tempdir_done(&dir);
	return r;
}
