/* SPDX-License-Identifier: BSD-2-Clause */
/* What --dump prints of programs and maps that the test has loaded itself. */
#include "tests/bpf/source_test.h"

#include <errno.h>
#include <stdarg.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/util.h"
#include "userspace/host/bpf_dump.h"
#include "userspace/host/host_conf.h"

static struct host_conf conf; /* nothing of it is read */

static void want(struct buf *out, const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!strstr(buf_cstr(out), text))
		fail_msg("no \"%s\"", text);
}

static void test_dump(void **state)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct vm vm = test_vm(getpid());
	struct err e = ERR_INIT;
	struct source *src;

	(void)state;
	vm.n_vcpus = 1;
	vm.vcpus[0].tid = getpid();
	if (run_delay_source.open(&src, &conf, &e) < 0)
		skip_test(e.msg);
	assert_int_equal(0, run_delay_source.vm_added(src, &vm));
	(void)collect_count(&run_delay_source, src);
	/* Twice: a wait is counted when the thread leaves the CPU that it waited for. */
	sleep_ms(20);
	sleep_ms(20);
	if (bpf_dump(&out, &e) == -EPERM)
		skip_test(e.msg);
	want(&out, " run_delay_switch: ");
	want(&out, " run_delay_mark: ");
	want(&out, " rd_vcpus: vCPU threads that are counted");
	want(&out, "room for 32768\n");
	want(&out, "(__u32)0: (struct wait_hist){.buckets = ");
	run_delay_source.free(src);
}

/* The kernel cuts names: each program and map of ours must still be known by its own. */
static void test_every_name_is_known(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct source *delay, *latency, *task;
	struct err e = ERR_INIT;

	(void)state;
	if (run_delay_source.open(&delay, &conf, &e) < 0 ||
	    disk_latency_source.open(&latency, &conf, &e) < 0)
		skip_test(e.msg);
	conf.state_dir = dir.path;
	assert_int_equal(0, vm_task_source.open(&task, &conf, &e));
	if (bpf_dump(&out, &e) == -EPERM)
		skip_test(e.msg);
	static const char *const names[] = {
		"vm_task_iter",     "vm_task_sample", "run_delay_switch",  "run_delay_mark",
		"disk_rq_complete", "disk_bio_queue", "disk_bio_complete", "vm_tgids",
		"vm_threads",       "vm_used_ns",     "rd_vcpus",          "rd_threads",
		"rd_hists",         "dl_disks",       "dl_bios",           "vm_task_.bss",
		"run_dela.bss",     "disk_lat.bss",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		want(&out, " %s: ", names[i]);
	run_delay_source.free(delay);
	disk_latency_source.free(latency);
	vm_task_source.free(task);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_every_name_is_known),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
