/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said of VMs that run and of those that ended: at once, and then for a while. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/stale.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_exit.h"
#include "userspace/wire/promtext.h"

#define HOLD_S 300

DEFINE_CLEANUP(struct batch *, batch_free);

static struct host_conf conf;
static uint64_t now_ns;

static uint64_t mono(void)
{
	return now_ns;
}

static int64_t wall(void)
{
	return 0;
}

static struct vm vm_named(uint64_t id, const char *instance)
{
	struct vm vm = { .id = id, .org = "acme", .app = "web", .n_vcpus = 2 };

	vm.memory_bytes = 256ull << 20;
	(void)snprintf(vm.instance, sizeof(vm.instance), "%s", instance);
	(void)snprintf(vm.cpu_class, sizeof(vm.cpu_class), "shared");
	return vm;
}

static struct batch *new_batch(void)
{
	struct batch *b;

	assert_int_equal(0, batch_new(&b, 1000));
	return b;
}

static struct source *open_source(int64_t hold_ms)
{
	static const struct clock_ops clock = { wall, mono };
	struct source *src;
	struct err e = ERR_INIT;

	now_ns = 1000000000;
	clock_set(&clock);
	conf.exits_hold_ms = hold_ms;
	assert_int_equal(0, life_source.open(&src, &conf, &e));
	return src;
}

static int write_exit(void *ctx, enum series_id id, const struct label *labels, uint32_t n,
                      const struct sample *s)
{
	if (id != FLY_INSTANCE_UPTIME_SECONDS)
		promtext_write_sample(ctx, labels, n, s->value, NULL);
	return 0;
}

static void assert_text(const struct batch *b, const char *expected)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	assert_int_equal(0, batch_each(b, false, write_exit, &out));
	assert_string_equal(expected, buf_cstr(&out));
}

static void assert_tick(struct source *src, const char *expected)
{
	_cleanup_(batch_freep) struct batch *b = new_batch();

	assert_int_equal(0, life_source.collect(src, 1000, b, NULL));
	assert_text(b, expected);
}

#define L "{app=\"web\",instance=\"i1\"}"
#define INFO                                                                                 \
	"fly_instance_info{app=\"web\",cpu_count=\"2\",cpu_kind=\"shared\",instance=\"i1\"," \
	"memory_mb=\"256\"} 1\n"
#define RUNNING                                                              \
	INFO "fly_instance_exit_code" L " 0\nfly_instance_exit_oom" L " 0\n" \
	     "fly_instance_exit_vm_code" L " 0\n"
#define END(why) "fly_instance_exit_info{app=\"web\",instance=\"i1\"," why "} 1\n"
#define END_FROM(from, why) \
	"fly_instance_exit_info{app=\"web\",code_from=\"" from "\",instance=\"i1\"," why "} 1\n"

static void test_zero_from_the_first_tick(void **state)
{
	struct source *src = open_source(HOLD_S * 1000);
	struct vm vm = vm_named(1, "i1");

	(void)state;
	assert_tick(src, "");
	assert_int_equal(0, life_source.vm_added(src, &vm));
	assert_tick(src, RUNNING);
	assert_tick(src, RUNNING);
	life_source.vm_gone(src, &vm); /* described anew: no end is told */
	assert_tick(src, "");
	life_source.free(src);
}

static void test_ends(void **state)
{
	static const struct {
		struct vm_exit how;
		const char *want;
	} rows[] = {
		{ { .status_known = true },
		  "fly_instance_exit_vm_code" L " 0\nfly_instance_exit_oom" L
		  " 0\n" END("reason=\"exited\"") },
		{ { .status_known = true, .wait_status = 7 << 8 },
		  "fly_instance_exit_vm_code" L " 7\nfly_instance_exit_oom" L
		  " 0\n" END("reason=\"exited\"") },
		{ { .status_known = true, .wait_status = SIGTERM },
		  "fly_instance_exit_vm_code" L " 143\nfly_instance_exit_oom" L
		  " 0\n" END("reason=\"killed\",signal=\"SIGTERM\"") },
		{ { .status_known = true, .wait_status = SIGABRT | 0x80 },
		  "fly_instance_exit_vm_code" L " 134\nfly_instance_exit_oom" L
		  " 0\n" END("reason=\"killed\",signal=\"SIGABRT\"") },
		{ { .status_known = true, .wait_status = 50 },
		  "fly_instance_exit_vm_code" L " 178\nfly_instance_exit_oom" L
		  " 0\n" END("reason=\"killed\",signal=\"50\"") },
		{ { .status_known = true, .wait_status = SIGKILL, .oom_killed = true },
		  "fly_instance_exit_vm_code" L " 137\nfly_instance_exit_oom" L
		  " 1\n" END("reason=\"host_oom\",signal=\"SIGKILL\"") },
		{ { 0 }, "fly_instance_exit_oom" L " 0\n" END("reason=\"unknown\"") },
		{ { .status_known = true,
		    .guest = { .code_known = true,
		               .code = 137,
		               .signal = SIGKILL,
		               .oom = true,
		               .code_from = "panic" } },
		  "fly_instance_exit_vm_code" L " 0\nfly_instance_exit_code" L
		  " 137\nfly_instance_exit_oom" L
		  " 1\n" END_FROM("panic", "reason=\"guest_oom\",signal=\"SIGKILL\"") },
		{ { .status_known = true,
		    .guest = { .code_known = true, .code = 3, .code_from = "told" } },
		  "fly_instance_exit_vm_code" L " 0\nfly_instance_exit_code" L
		  " 3\nfly_instance_exit_oom" L " 0\n" END_FROM("told", "reason=\"exited\"") },
		{ { .status_known = true, .guest = { .panicked = true, .code_from = "" } },
		  "fly_instance_exit_vm_code" L " 0\nfly_instance_exit_oom" L
		  " 0\n" END("reason=\"guest_panic\"") },
		{ { .status_known = true,
		    .wait_status = SIGKILL,
		    .oom_killed = true,
		    .guest = { .code_known = true, .oom = true, .code_from = "process" } },
		  "fly_instance_exit_vm_code" L " 137\nfly_instance_exit_code" L
		  " 0\nfly_instance_exit_oom" L
		  " 1\n" END_FROM("process", "reason=\"host_oom\",signal=\"SIGKILL\"") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(batch_freep) struct batch *b = new_batch();
		struct source *src = open_source(HOLD_S * 1000);
		struct vm vm = vm_named(1, "i1");
		struct vm_exit how = rows[i].how;

		unit_note("%zu", i);
		assert_int_equal(0, life_source.vm_added(src, &vm));
		assert_int_equal(0, batch_begin_vm(b, &vm, 1));
		batch_begin_source(b);
		life_source.vm_exited(src, &vm, &how, 1, b);
		life_source.vm_gone(src, &vm);
		assert_text(b, rows[i].want);
		assert_tick(src, rows[i].want); /* it is said again */
		life_source.free(src);
	}
}

static void end(struct source *src, const struct vm *vm, int status)
{
	struct vm_exit how = { .status_known = true, .wait_status = status };
	_cleanup_(batch_freep) struct batch *b = new_batch();

	life_source.vm_exited(src, vm, &how, 1, b);
	life_source.vm_gone(src, vm);
}

static void test_holding(void **state)
{
	struct source *src = open_source(HOLD_S * 1000);
	struct vm vm = vm_named(1, "i1"), again = vm_named(2, "i1"), other = vm_named(3, "i2");

	(void)state;
	assert_int_equal(0, life_source.vm_added(src, &vm));
	assert_int_equal(0, life_source.vm_added(src, &other));
	end(src, &vm, 0);
	life_source.vm_gone(src, &other);
	now_ns += (HOLD_S - 1) * 1000000000ull;
	assert_tick(src, "fly_instance_exit_vm_code" L " 0\nfly_instance_exit_oom" L
	                 " 0\n" END("reason=\"exited\""));
	now_ns += 1000000000ull;
	assert_tick(src, "");
	/* One of the same name takes its place at once. */
	assert_int_equal(0, life_source.vm_added(src, &vm));
	end(src, &vm, 0);
	assert_int_equal(0, life_source.vm_added(src, &again));
	assert_tick(src, RUNNING);
	life_source.free(src);
}

static void test_no_holding(void **state)
{
	struct source *src = open_source(0);
	struct vm vm = vm_named(1, "i1");

	(void)state;
	assert_int_equal(0, life_source.vm_added(src, &vm));
	end(src, &vm, 0);
	assert_tick(src, "");
	life_source.free(src);
}

/* The daemon's own steps: last samples, stale marks for the rest, and one end at the very end. */
static void test_with_stale_marks(void **state)
{
	struct vm_exit how = { .status_known = true, .wait_status = SIGKILL };
	struct source *src = open_source(HOLD_S * 1000);
	struct vm vm = vm_named(1, "i1");
	_cleanup_(batch_freep) struct batch *before = new_batch(), *at_end = new_batch();
	_cleanup_(batch_freep) struct batch *tick = new_batch(), *late = new_batch();

	(void)state;
	assert_int_equal(0, life_source.vm_added(src, &vm));
	assert_int_equal(0, life_source.collect(src, 1000, before, NULL));
	assert_int_equal(5, batch_n_samples(before));
	life_source.vm_exited(src, &vm, &how, 1500, at_end);
	life_source.vm_gone(src, &vm);
	/* info, uptime and the guest's exit code, which nobody knows: these end here. */
	assert_int_equal(3, stale_mark_vm(at_end, before, vm.id, 1500));
	assert_int_equal(0, life_source.collect(src, 2000, tick, NULL));
	assert_int_equal(3, batch_n_samples(tick));
	assert_int_equal(0, stale_mark_ended(tick, at_end, 2000));
	now_ns += HOLD_S * 1000000000ull;
	assert_int_equal(0, life_source.collect(src, 3000, late, NULL));
	assert_int_equal(3, stale_mark_ended(late, tick, 3000));
	life_source.free(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_from_the_first_tick),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_holding),
		cmocka_unit_test(test_no_holding),
		cmocka_unit_test(test_with_stale_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
