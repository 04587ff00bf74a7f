/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver of the sources, with a table of sources that fail when they are told to. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "tests/unit/fakeproc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/err.h"
#include "userspace/base/log.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/sources.h"

#define A (FAKE_PID + 1)
#define B (FAKE_PID + 2)

/* ---- fake sources --------------------------------------------------------------------------- */

struct source {
	struct control *c;
};

/* What a fake source is to do, and what was done to it. */
struct control {
	int open, collect, vm_added; /* results */
	const char *why;             /* of a failed open(); NULL: none is said */
	const char *vm_refused;      /* instance that vm_added() fails for; NULL: all */
	struct source src;
	const struct host_conf *conf; /* of the last open() */
	int n_open, n_freed, n_collected, n_added, n_gone;
	struct vm vm; /* last told of */
};

static struct control red, blue, bare;

static int fake_open(struct control *c, struct source **ret, const struct host_conf *conf,
                     struct err *e)
{
	c->n_open++;
	c->conf = conf;
	if (c->open < 0) {
		*ret = (struct source *)(uintptr_t)16; /* a bad one, that must not be used */
		return c->why ? err_set(e, c->open, "%s", c->why) : c->open;
	}
	c->src.c = c;
	*ret = &c->src;
	return 0;
}

static int open_red(struct source **ret, const struct host_conf *conf, struct err *e)
{
	return fake_open(&red, ret, conf, e);
}

static int open_blue(struct source **ret, const struct host_conf *conf, struct err *e)
{
	return fake_open(&blue, ret, conf, e);
}

static int open_bare(struct source **ret, const struct host_conf *conf, struct err *e)
{
	return fake_open(&bare, ret, conf, e);
}

static int fake_vm_added(struct source *src, const struct vm *vm)
{
	struct control *c = src->c;

	c->n_added++;
	c->vm = *vm;
	return !c->vm_refused || strcmp(c->vm_refused, vm->instance) == 0 ? c->vm_added : 0;
}

static void fake_vm_gone(struct source *src, const struct vm *vm)
{
	src->c->n_gone++;
	src->c->vm = *vm;
}

/* One sample of a VM of its own, also when it fails afterwards. */
static int fake_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	/* Of different VMs, or the first source would have the row. */
	struct vm vm = { .id = (uintptr_t)src->c + (uint64_t)src->c->n_collected,
		         .org = "o",
		         .app = "a",
		         .instance = "i",
		         .region = "r" };
	int r = batch_begin_vm(out, &vm, now_ms);

	if (r == 0)
		r = batch_add(out, FLY_INSTANCE_UP, NULL, 1);
	src->c->n_collected++;
	if (src->c->collect < 0 && src->c->why)
		(void)err_set(e, src->c->collect, "%s", src->c->why);
	return src->c->collect < 0 ? src->c->collect : r;
}

static void fake_free(struct source *src)
{
	src->c->n_freed++;
}

static const struct source_ops red_ops = {
	.name = "red",
	.open = open_red,
	.vm_added = fake_vm_added,
	.vm_gone = fake_vm_gone,
	.collect = fake_collect,
	.free = fake_free,
};
static const struct source_ops blue_ops = {
	.name = "blue",
	.open = open_blue,
	.vm_added = fake_vm_added,
	.vm_gone = fake_vm_gone,
	.collect = fake_collect,
	.free = fake_free,
};
/* Knows nothing of VMs. */
static const struct source_ops bare_ops = {
	.name = "bare", .open = open_bare, .collect = fake_collect, .free = fake_free
};
static const struct source_ops *const table[] = { &red_ops, &blue_ops, &bare_ops, NULL };

/* ---- the rig -------------------------------------------------------------------------------- */

static uint64_t now_ns;

static uint64_t mono(void)
{
	return now_ns;
}

static int64_t wall(void)
{
	return 1000;
}

struct rig {
	struct fakeproc p;
	struct host_conf conf;
	struct registry *vms;
	struct sources *s;
	struct batch *b;
};

static void ignore_vm(void *ctx, const struct vm *vm)
{
	(void)ctx;
	(void)vm;
}

static void ignore_end(void *ctx, const struct vm *vm, const struct vm_exit *how)
{
	(void)ctx;
	(void)vm;
	(void)how;
}

static void make_process(const struct fakeproc *p, int pid, const char *args)
{
	fakeproc_process(p, pid, "firecracker", args);
	fakeproc_thread(p, pid, pid + 1000, "fc_vcpu 0");
}

/* Two VMs run: a and b. */
static void rig_make(struct rig *g, const char *conf)
{
	static const struct clock_ops clock = { wall, mono };
	static const struct registry_listener nobody = { ignore_vm, ignore_end, NULL };
	static const char *const known[] = { "red", "blue", "bare", NULL };
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct registry_world world = { 0 };
	struct err e = ERR_INIT;

	memset(g, 0, sizeof(*g));
	red = blue = bare = (struct control){ 0 };
	log_set_level(LOG_ERROR_LEVEL); /* failures are wanted here */
	now_ns = 1000000000;
	clock_set(&clock);
	g->p = fakeproc_make();
	make_process(&g->p, A, "firecracker --id a");
	make_process(&g->p, B, "firecracker --id b");
	buf_printf(&text, "vms_dir: %s/vms.d\n%s\n", g->p.dir.path, conf);
	if (host_conf_parse("t", buf_str(&text), known, &g->conf, &e) < 0)
		fail_msg("%s", e.msg);
	world.proc = g->p.proc;
	assert_int_equal(0, registry_new(&g->vms, &g->conf, &nobody, &world, &e));
	registry_start(g->vms);
	assert_int_equal(2, registry_n_running(g->vms));
	assert_int_equal(0, batch_new(&g->b, 1000));
}

static void rig_done(struct rig *g)
{
	sources_free(g->s);
	registry_free(g->vms);
	batch_free(g->b);
	host_conf_done(&g->conf);
	fakeproc_done(&g->p);
	clock_set(NULL);
}

static void open_all(struct rig *g)
{
	assert_int_equal(0, sources_new(&g->s, table, &g->conf));
}

static void collect_once(struct rig *g)
{
	sources_collect(g->s, g->vms, 1000, g->b);
}

static void pass_seconds(uint64_t n)
{
	now_ns += n * 1000000000;
}

static void assert_off(const struct rig *g, size_t i, const char *name, const char *why)
{
	const char *found_name, *found_why;

	assert_true(sources_off(g->s, i, &found_name, &found_why));
	assert_string_equal(name, found_name);
	assert_string_equal(why, found_why);
}

static void assert_all_on(const struct rig *g, size_t n)
{
	const char *name, *why;

	assert_int_equal(n, sources_n_up(g->s));
	assert_false(sources_off(g->s, 0, &name, &why));
}

static void assert_metric(const struct rig *g, const char *line)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	sources_metrics(&out, g->s);
	if (!strstr(buf_cstr(&out), line))
		fail_msg("no \"%s\" in:\n%s", line, buf_cstr(&out));
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_all_work(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, "");
	open_all(&g);
	assert_all_on(&g, 3);
	assert_ptr_equal(&g.conf, red.conf);
	collect_once(&g);
	collect_once(&g);
	assert_int_equal(2, red.n_collected);
	assert_int_equal(2, blue.n_collected);
	assert_int_equal(2, bare.n_collected);
	assert_int_equal(0, red.n_added); /* VMs are told by the registry's listener */
	assert_int_equal(6, batch_n_samples(g.b));
	assert_metric(&g, "periscope_host_source_up{source=\"red\"} 1\n");
	assert_metric(&g, "periscope_host_source_errors_total{source=\"red\"} 0\n");
	assert_metric(&g, "periscope_host_source_samples_total{source=\"bare\"} 2\n");
	assert_metric(&g, "# TYPE periscope_host_source_collect_seconds_total counter\n");
	sources_free(g.s);
	g.s = NULL;
	assert_int_equal(1, red.n_freed);
	assert_int_equal(1, blue.n_freed);
	assert_int_equal(1, bare.n_freed);
}

static void test_only_what_is_wanted(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, "sources: [bare, red]");
	open_all(&g);
	assert_all_on(&g, 2);
	assert_int_equal(1, red.n_open);
	assert_int_equal(0, blue.n_open);
	assert_int_equal(1, bare.n_open);
	collect_once(&g);
	assert_int_equal(0, blue.n_collected);
}

/* The others do not suffer; it is tried again after 15 s, 30 s, and at last every 10 minutes. */
static void test_open_fails(void **state)
{
	static const uint64_t waits[] = { 15, 30, 60, 120, 240, 480, 600, 600 };
	_cleanup_(rig_done) struct rig g;
	int n = 1;

	(void)state;
	rig_make(&g, "");
	red.open = -ENOTSUP;
	red.why = "red: no BTF here";
	open_all(&g);
	assert_int_equal(2, sources_n_up(g.s));
	assert_off(&g, 0, "red", "red: no BTF here");
	assert_metric(&g,
	              "periscope_host_source_up{source=\"red\",reason=\"red: no BTF here\"} 0\n");
	assert_metric(&g, "periscope_host_source_up{source=\"blue\"} 1\n");
	assert_metric(&g, "periscope_host_source_errors_total{source=\"red\"} 1\n");
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		pass_seconds(waits[i] - 1);
		collect_once(&g);
		assert_int_equal(n, red.n_open);
		pass_seconds(1);
		collect_once(&g);
		assert_int_equal(++n, red.n_open);
	}
	assert_int_equal(0, red.n_collected + red.n_freed + red.n_added);
	assert_int_equal(16, blue.n_collected);
	red.open = 0;
	pass_seconds(600);
	collect_once(&g);
	assert_all_on(&g, 3);
	assert_int_equal(1, red.n_collected); /* in the same round */
	assert_int_equal(2, red.n_added);     /* it learnt of both VMs */
	assert_string_equal("b", red.vm.instance);
	assert_int_equal(0, blue.n_added); /* who was on knows them already */
	assert_metric(&g, "periscope_host_source_up{source=\"red\"} 1\n");
	assert_metric(&g, "periscope_host_source_errors_total{source=\"red\"} 9\n");
}

static void test_open_fails_without_a_word(void **state)
{
	_cleanup_(rig_done) struct rig g;
	const char *name, *why;

	(void)state;
	rig_make(&g, "");
	red.open = -ENOMEM;
	blue.open = -EPERM;
	bare.open = -EPERM;
	open_all(&g);
	assert_int_equal(0, sources_n_up(g.s));
	assert_off(&g, 0, "red", strerror(ENOMEM));
	assert_off(&g, 1, "blue", strerror(EPERM));
	assert_off(&g, 2, "bare", strerror(EPERM));
	assert_false(sources_off(g.s, 3, &name, &why));
	collect_once(&g);
	assert_int_equal(0, batch_n_samples(g.b));
	sources_dump(g.s);
}

static void test_collect_fails_now_and_then(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, "");
	open_all(&g);
	for (int round = 0; round < 3; round++) {
		red.collect = -EIO;
		for (int i = 0; i < SOURCES_FAILURES_MAX - 1; i++)
			collect_once(&g);
		red.collect = 0;
		collect_once(&g);
	}
	assert_all_on(&g, 3);
	assert_int_equal(0, red.n_freed);
	assert_metric(&g, "periscope_host_source_errors_total{source=\"red\"} 12\n");
	/* What was read before the failure counts. */
	assert_metric(&g, "periscope_host_source_samples_total{source=\"red\"} 15\n");
	assert_int_equal(45, batch_n_samples(g.b));
}

static void fail_for_good(struct rig *g)
{
	red.collect = -EIO;
	for (int i = 0; i < SOURCES_FAILURES_MAX; i++) {
		assert_int_equal(3, sources_n_up(g->s));
		collect_once(g);
	}
	assert_int_equal(2, sources_n_up(g->s));
	assert_off(g, 0, "red", "collecting failed 5 times in a row: Input/output error");
}

static void test_collect_fails_for_good(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, "");
	open_all(&g);
	fail_for_good(&g);
	assert_int_equal(1, red.n_freed);
	assert_int_equal(SOURCES_FAILURES_MAX, blue.n_collected);
	collect_once(&g);
	assert_int_equal(SOURCES_FAILURES_MAX, red.n_collected);
	/* While it is off it hears nothing of VMs. */
	struct vm vm = { .id = 1, .instance = "x" };

	sources_vm_added(g.s, &vm);
	sources_vm_gone(g.s, &vm);
	assert_int_equal(0, red.n_added + red.n_gone);
	assert_int_equal(1, blue.n_added);
	assert_int_equal(1, blue.n_gone);
	/* Back after 15 s; failing still, it waits twice as long. */
	pass_seconds(15);
	collect_once(&g);
	assert_int_equal(2, red.n_open);
	assert_int_equal(2, red.n_added);
	for (int i = 1; i < SOURCES_FAILURES_MAX; i++)
		collect_once(&g);
	assert_int_equal(2, sources_n_up(g.s));
	assert_int_equal(2, red.n_freed);
	pass_seconds(29);
	collect_once(&g);
	assert_int_equal(2, red.n_open);
	pass_seconds(1);
	red.collect = 0;
	collect_once(&g);
	assert_int_equal(3, red.n_open);
	assert_all_on(&g, 3);
	/* A success forgets it all: five more failures are needed, and the wait is short again. */
	fail_for_good(&g);
	pass_seconds(15);
	collect_once(&g);
	assert_int_equal(4, red.n_open);
}

/* A full batch is not the source's fault. */
static void test_full_batch(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, "");
	open_all(&g);
	red.collect = -ENOSPC;
	for (int i = 0; i < 3 * SOURCES_FAILURES_MAX; i++)
		collect_once(&g);
	assert_all_on(&g, 3);
	assert_metric(&g, "periscope_host_source_errors_total{source=\"red\"} 15\n");
}

static void test_one_vm_is_refused(void **state)
{
	_cleanup_(rig_done) struct rig g;
	struct vm a = { .id = 1, .instance = "a" }, b = { .id = 2, .instance = "b" };

	(void)state;
	rig_make(&g, "");
	red.vm_added = -EINVAL;
	red.vm_refused = "a";
	open_all(&g);
	sources_vm_added(g.s, &a);
	sources_vm_added(g.s, &b);
	assert_int_equal(2, red.n_added);
	assert_int_equal(2, blue.n_added);
	assert_string_equal("b", blue.vm.instance);
	assert_all_on(&g, 3);
	assert_metric(&g, "periscope_host_source_errors_total{source=\"red\"} 1\n");
	assert_metric(&g, "periscope_host_source_errors_total{source=\"blue\"} 0\n");
	for (int i = 0; i < 2 * SOURCES_FAILURES_MAX; i++)
		collect_once(&g);
	assert_all_on(&g, 3);
	sources_vm_gone(g.s, &a); /* also after a failed vm_added() */
	sources_vm_gone(g.s, &b);
	assert_int_equal(2, red.n_gone);
	assert_int_equal(2, blue.n_gone);
}

/* A source that comes back and is refused a VM goes on with the others. */
static void test_refusal_after_coming_back(void **state)
{
	_cleanup_(rig_done) struct rig g;

	(void)state;
	rig_make(&g, "");
	red.open = -EPERM;
	open_all(&g);
	red.open = 0;
	red.vm_added = -ENOMEM;
	red.vm_refused = "a";
	pass_seconds(15);
	collect_once(&g);
	assert_all_on(&g, 3);
	assert_int_equal(2, red.n_added);
	assert_string_equal("b", red.vm.instance);
	assert_int_equal(1, red.n_collected);
}

static void test_other_configuration(void **state)
{
	_cleanup_(rig_done) struct rig g;
	struct host_conf other;

	(void)state;
	rig_make(&g, "");
	other = g.conf;
	red.open = -EPERM;
	open_all(&g);
	sources_set_conf(g.s, &other);
	pass_seconds(15);
	collect_once(&g);
	assert_ptr_equal(&other, red.conf);
	assert_ptr_equal(&g.conf, blue.conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_work),
		cmocka_unit_test(test_only_what_is_wanted),
		cmocka_unit_test(test_open_fails),
		cmocka_unit_test(test_open_fails_without_a_word),
		cmocka_unit_test(test_collect_fails_now_and_then),
		cmocka_unit_test(test_collect_fails_for_good),
		cmocka_unit_test(test_full_batch),
		cmocka_unit_test(test_one_vm_is_refused),
		cmocka_unit_test(test_refusal_after_coming_back),
		cmocka_unit_test(test_other_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
