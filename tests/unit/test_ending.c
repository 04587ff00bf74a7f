/* SPDX-License-Identifier: BSD-2-Clause */
/* How a guest ended: records out of its log, lines of log and console, what goes before what. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/host/guest/ending.h"
#include "userspace/host/guest/klog.h"
#include "userspace/host/guest_console.h"
#include "userspace/host/vm.h"

#define ID 0x3ffffffffffff123u

/* ---- records -------------------------------------------------------------------------------- */

static void put_record(struct buf *log, uint64_t id, const char *text)
{
	buf_put(log, &id, sizeof(id));
	buf_puts(log, text);
	while (log->len % 8 != 0)
		buf_puts(log, "~"); /* left of older text */
}

static void join(void *ctx, struct str text)
{
	buf_printf(ctx, "%.*s|", STR_FMT(text));
}

static void assert_records(const struct buf *log, uint64_t newest, const char *want)
{
	_cleanup_(buf_done) struct buf got = BUF_INIT;
	char *copy = unit_memdup(log->p, log->len);

	klog_each((struct str){ copy, log->len }, newest, join, &got);
	buf_puts(&got, "");
	assert_string_equal(want, buf_cstr(&got));
	free(copy);
}

static void test_records(void **state)
{
	_cleanup_(buf_done) struct buf log = BUF_INIT;

	(void)state;
	assert_records(&log, ID, "");
	buf_puts(&log, "the end of a record, and more...");
	put_record(&log, ID, "one\n");
	put_record(&log, ID + 1, "two with words\n");
	assert_records(&log, ID + 1, "two with words|one|");
	assert_records(&log, ID,
	               "one|"); /* the newest is another one: what is behind is its text */
	put_record(&log, ID + 4, "12345678"); /* two had no text */
	assert_records(&log, ID + 4, "12345678|two with words|one|");
	/* It did not fit before the end of the ring: its text is at the begin. */
	put_record(&log, ID + 5, "older text that is still there");
	put_record(&log, ID + 5, "five\n");
	put_record(&log, ID + 6, "six\n");
	assert_records(&log, ID + 7, "six|five|12345678|two with words|one|");
	assert_records(&log, ID + 1000, ""); /* too far away to be believed */
}

/* Ids are of any value, the newest one included. */
static void test_records_of_a_liar(void **state)
{
	static const uint64_t newest[] = { 0, 1, UINT64_MAX, UINT64_MAX - 1, 0x2020202020202020u };
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 2000; round++) {
		_cleanup_(buf_done) struct buf got = BUF_INIT;
		size_t bytes = rng_u64(&rng) % 200;
		uint64_t *words = calloc(bytes / 8 + 1, 8);

		assert_non_null(words);
		for (size_t i = 0; i <= bytes / 8; i++)
			words[i] = newest[rng_u64(&rng) % ARRAY_SIZE(newest)] - rng_u64(&rng) % 3;
		char *copy = unit_memdup(words, bytes);

		klog_each((struct str){ copy, bytes }, newest[rng_u64(&rng) % 5], join, &got);
		free(copy);
		free(words);
	}
}

/* ---- lines ---------------------------------------------------------------------------------- */

static const struct guest_main hog = { .there = true, .pid = 140, .comm = "hog" };

#define NONE  ENDING_NOTHING, 0, 0
#define PANIC "Kernel panic - not syncing: "

static void test_lines(void **state)
{
	static const struct {
		const char *line;
		enum ending_source from;
		int code, signal;
		bool oom, panicked;
	} rows[] = {
		{ "periscope: exit_code=42", ENDING_TOLD, 42, 0, false, false },
		{ "periscope: exit_code=0", ENDING_TOLD, 0, 0, false, false },
		{ "periscope: exit_code=137 signal=9", ENDING_TOLD, 137, 9, false, false },
		{ "periscope: exit_code=137 signal=9 oom_killed=1", ENDING_TOLD, 137, 9, true,
		  false },
		{ "periscope: exit_code=1 oom_killed=0", ENDING_TOLD, 1, 0, false, false },
		{ "periscope: exit_code=", NONE, false, false },
		{ "periscope: exit_code=-1", NONE, false, false },
		{ "periscope: exit_code=99999999999", NONE, false, false },
		{ "periscope: exit_code=3 signal=", NONE, false, false },
		{ "app: periscope: exit_code=3", NONE, false, false },
		{ PANIC "Attempted to kill init! exitcode=0x00000300", ENDING_PANIC, 3, 0, false,
		  false },
		{ PANIC "Attempted to kill init! exitcode=0x00008900", ENDING_PANIC, 137, 0, false,
		  false },
		{ PANIC "Attempted to kill init! exitcode=0x0000000b", ENDING_PANIC, 139, 11, false,
		  false },
		{ PANIC "Attempted to kill init! exitcode=0x00000100000", ENDING_PANIC, 1, 0, false,
		  false },
		{ PANIC "Attempted to kill init! exitcode=0x000003", NONE, false, true },
		{ PANIC "Attempted to kill init! exitcode=0x0000030x", NONE, false, true },
		{ PANIC "sysrq triggered crash", NONE, false, true },
		{ "Out of memory: Killed process 140 (dd) total-vm:1", NONE, true, false },
		{ "Out of memory: Killed process 141 (hog) total-vm:1", NONE, true, false },
		{ "Memory cgroup out of memory: Killed process 140 (x)", NONE, true, false },
		{ "Out of memory: Killed process 141 (hogs) total-vm:1", NONE, false, false },
		{ "Out of memory: Killed process 14", NONE, false, false },
		{ "Out of memory: Killed process hog", NONE, false, false },
		{ "rescue: Killed process 140 (hog)", NONE, false, false },
		{ "", NONE, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ending e = ENDING_INIT;
		struct str line = unit_strdup(str_from(rows[i].line));

		unit_note("%s", rows[i].line);
		ending_note_line(&e, line, &hog);
		ending_finish(&e, true, false);
		assert_int_equal(rows[i].from, e.from);
		assert_int_equal(rows[i].code, e.code);
		assert_int_equal(rows[i].signal, e.signal);
		assert_int_equal(rows[i].oom, e.oom);
		assert_int_equal(rows[i].panicked, e.panicked);
		free((void *)(uintptr_t)line.p);
	}
}

static void test_what_goes_before_what(void **state)
{
	struct ending e = ENDING_INIT;

	(void)state;
	ending_note_status(&e, ENDING_PROCESS, 9);
	assert_int_equal(137, e.code);
	ending_note_code(&e, ENDING_CONSOLE, 4, 0);
	assert_int_equal(4, e.code);
	ending_note_status(&e, ENDING_PROCESS, 0);
	ending_note_line(&e, STR(PANIC "Attempted to kill init! exitcode=0x00000300"), NULL);
	assert_int_equal(3, e.code);
	ending_note_code(&e, ENDING_CONSOLE, 4, 0);
	ending_note_line(&e, STR("periscope: exit_code=5"), NULL);
	ending_note_line(&e, STR("periscope: exit_code=6"), NULL); /* an older line */
	assert_int_equal(5, e.code);
	assert_string_equal("told", ending_source_name(e.from));
}

/* Of whom the kernel killed, when the main process is not known or the lines are gone. */
static void test_memory_by_what_else_is_known(void **state)
{
	static const struct {
		bool kill_line, main_known, more_kills, signal_9, want;
	} rows[] = {
		{ true, false, false, true, true },   { true, false, false, false, false },
		{ true, true, false, true, false }, /* somebody else */
		{ false, false, false, true, false }, { false, true, true, true, true },
		{ false, true, true, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ending e = ENDING_INIT;

		unit_note("%zu", i);
		if (rows[i].kill_line)
			ending_note_line(&e, STR("Out of memory: Killed process 7 (x) total-vm"),
			                 rows[i].main_known ? &hog : NULL);
		ending_note_status(&e, ENDING_PROCESS, rows[i].signal_9 ? SIGKILL : 1 << 8);
		ending_finish(&e, rows[i].main_known, rows[i].more_kills);
		assert_int_equal(rows[i].want, e.oom);
	}
}

static void test_signals(void **state)
{
	(void)state;
	assert_int_equal(SIGKILL, ending_signal(STR("SIGKILL")));
	assert_int_equal(SIGSEGV, ending_signal(STR("SEGV")));
	assert_int_equal(15, ending_signal(STR("15")));
	assert_int_equal(0, ending_signal(STR("SIG")));
	assert_int_equal(0, ending_signal(STR("1000")));
	assert_int_equal(0, ending_signal(STR("9x")));
	assert_int_equal(0, ending_signal(STR_NULL));
}

/* ---- the console ---------------------------------------------------------------------------- */

/* The default of the setting. */
#define PATTERN                                                       \
	"Main child exited (?:normally with code: (?P<code>[0-9]+))?" \
	"(?:with signal \\(with signal '(?P<signal>[A-Z0-9]+)')?"

static struct ending on_console(const char *pattern, const char *text)
{
	struct ending e = ENDING_INIT;
	struct console_pattern *p;
	struct err err = ERR_INIT;
	struct str copy = unit_strdup(str_from(text));

	assert_int_equal(0, console_pattern_new(&p, pattern, &err));
	console_note_text(p, copy, &hog, &e);
	console_pattern_free(p);
	free((void *)(uintptr_t)copy.p);
	return e;
}

static void test_console(void **state)
{
	struct ending e;

	(void)state;
	e = on_console(PATTERN, "boot\r\n INFO Main child exited normally with code: 9\r\nbye\r\n");
	assert_int_equal(ENDING_CONSOLE, e.from);
	assert_int_equal(9, e.code);
	e = on_console(PATTERN,
	               "Main child exited with signal (with signal 'SIGTERM', core dumped? false)");
	assert_int_equal(128 + SIGTERM, e.code);
	assert_int_equal(SIGTERM, e.signal);
	e = on_console(PATTERN, "Main child exited normally with code: 1\n"
	                        "Main child exited normally with code: 2\n");
	assert_int_equal(2, e.code); /* the newest line counts */
	e = on_console("", "Main child exited normally with code: 1\n");
	assert_int_equal(ENDING_NOTHING, e.from);
	e = on_console(PATTERN, "[    1.5] " PANIC "Attempted to kill init! exitcode=0x00000300\n");
	assert_int_equal(ENDING_PANIC, e.from);
	e = on_console(PATTERN, "Main child exited normally with code: 99999999999999999999\n");
	assert_int_equal(ENDING_NOTHING, e.from);
}

static void test_bad_patterns(void **state)
{
	struct console_pattern *p;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(-EINVAL, console_pattern_new(&p, "(", &e));
	assert_non_null(strstr(e.msg, "exits.console_pattern: "));
	e = ERR_INIT;
	assert_int_equal(-EINVAL, console_pattern_new(&p, "code ([0-9]+)", &e));
	assert_non_null(strstr(e.msg, "(?P<code>...)"));
}

static void test_console_file(void **state)
{
	struct vm vm = { .pid = getpid() };
	struct ending e = ENDING_INIT;
	struct console_pattern *p;
	struct err err = ERR_INIT;
	struct tempdir dir = tempdir_make();
	FILE *f;

	(void)state;
	assert_int_equal(0, console_pattern_new(&p, PATTERN, &err));
	(void)snprintf(vm.console, sizeof(vm.console), "%s/console", dir.path);
	console_note(p, &vm, -1, NULL, &e); /* not there */
	assert_int_equal(ENDING_NOTHING, e.from);
	f = fopen(vm.console, "w");
	assert_non_null(f);
	for (int i = 0; i < 5000; i++)
		(void)fprintf(f, "line %d of a long boot\n", i);
	(void)fputs("Main child exited normally with code: 6\n", f);
	assert_int_equal(0, fclose(f));
	console_note(p, &vm, -1, NULL, &e);
	assert_int_equal(6, e.code);
	/* A FIFO is not opened: that would wait, or rob it. */
	assert_int_equal(0, unlink(vm.console));
	assert_int_equal(0, mkfifo(vm.console, 0600));
	e = ENDING_INIT;
	console_note(p, &vm, -1, NULL, &e);
	assert_int_equal(ENDING_NOTHING, e.from);
	console_pattern_free(p);
	tempdir_done(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_records_of_a_liar),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_what_goes_before_what),
		cmocka_unit_test(test_memory_by_what_else_is_known),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_bad_patterns),
		cmocka_unit_test(test_console_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
