/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/ending.h"

#include <signal.h>
#include <string.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define TOLD            STR("periscope: exit_code=")
#define TOLD_SIGNAL     STR(" signal=")
#define TOLD_OOM        STR(" oom_killed=1")
#define PANIC           STR("Kernel panic - not syncing: ")
#define INIT_ENDED      STR("Attempted to kill init! exitcode=0x")
#define KILLED          STR(": Killed process ")
#define OUT_OF_MEMORY   STR("ut of memory") /* "Out of", "Memory cgroup out of" */
#define SIGNAL_CODE_MIN 128
#define NUMBER_MAX      65535u

static const char *const source_names[] = { "told", "panic", "console", "process", "" };

const char *ending_source_name(enum ending_source from)
{
	return source_names[from];
}

void ending_note_code(struct ending *e, enum ending_source from, int code, int signal)
{
	if (from >= e->from)
		return;
	e->from = from;
	e->code = code;
	e->signal = signal;
}

void ending_note_status(struct ending *e, enum ending_source from, int wait_status)
{
	int signal = wait_status & 0x7f, code = wait_status >> 8 & 0xff;

	ending_note_code(e, from, signal > 0 ? SIGNAL_CODE_MIN + signal : code, signal);
}

/* A number that something else than a digit ends; false when there is none. */
static bool take_number(struct str *s, uint32_t *ret)
{
	uint32_t v = 0;
	size_t n = 0;

	while (n < s->len && s->p[n] >= '0' && s->p[n] <= '9' && v <= NUMBER_MAX)
		v = v * 10 + (uint32_t)(s->p[n++] - '0');
	if (n == 0 || v > NUMBER_MAX)
		return false;
	*s = str_skip(*s, n);
	*ret = v;
	return true;
}

static bool take_hex8(struct str s, uint32_t *ret)
{
	uint32_t v = 0;

	if (s.len < 8)
		return false;
	for (size_t i = 0; i < 8; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;

		if (!at)
			return false;
		v = v << 4 | (uint32_t)(at - digits);
	}
	*ret = v;
	return true;
}

static bool find(struct str s, struct str what, struct str *ret_behind)
{
	const char *at = s.len > 0 ? memmem(s.p, s.len, what.p, what.len) : NULL;

	if (!at)
		return false;
	*ret_behind = str_skip(s, (size_t)(at - s.p) + what.len);
	return true;
}

static void note_told(struct ending *e, struct str rest)
{
	uint32_t code, signal = 0;

	if (e->from == ENDING_TOLD || !take_number(&rest, &code)) /* the newest line counts */
		return;
	if (str_starts(rest, TOLD_SIGNAL)) {
		rest = str_skip(rest, TOLD_SIGNAL.len);
		if (!take_number(&rest, &signal))
			return;
	}
	ending_note_code(e, ENDING_TOLD, (int)code, (int)signal);
	e->oom |= str_starts(rest, TOLD_OOM);
}

static void note_panic(struct ending *e, struct str rest)
{
	uint32_t status;

	if (str_starts(rest, INIT_ENDED) && take_hex8(str_skip(rest, INIT_ENDED.len), &status))
		ending_note_status(e, ENDING_PANIC, (int)(status & 0xffff));
	else
		e->panicked = true;
}

/* "Out of memory: Killed process 140 (hog) total-vm:..." */
static void note_kill(struct ending *e, struct str rest, const struct guest_main *main)
{
	uint32_t pid;

	if (!take_number(&rest, &pid))
		return;
	e->n_kills++;
	if (!main)
		return;
	struct str comm = str_from(main->comm);

	rest = str_starts(rest, STR(" (")) ? str_skip(rest, 2) : (struct str){ NULL, 0 };
	e->oom |= pid == main->pid || (comm.len > 0 && str_starts(rest, comm) &&
	                               str_starts(str_skip(rest, comm.len), STR(")")));
}

void ending_note_line(struct ending *e, struct str line, const struct guest_main *main)
{
	struct str rest, before;

	if (str_starts(line, TOLD)) {
		note_told(e, str_skip(line, TOLD.len));
	} else if (str_starts(line, PANIC)) {
		note_panic(e, str_skip(line, PANIC.len));
	} else if (find(line, KILLED, &rest)) {
		before = (struct str){ line.p, line.len - rest.len - KILLED.len };
		if (find(before, OUT_OF_MEMORY, &before))
			note_kill(e, rest, main);
	}
}

void ending_finish(struct ending *e, bool main_known, bool more_kills)
{
	bool killed = e->from != ENDING_NOTHING &&
	              (e->signal == SIGKILL || e->code == SIGNAL_CODE_MIN + SIGKILL);

	/* Lines that nothing could be compared with, or no lines: a kill, and the signal of one. */
	if (killed && (e->n_kills > 0 ? !main_known : more_kills))
		e->oom = true;
}

int ending_signal(struct str name)
{
	uint32_t number;
	struct str rest = name;

	if (take_number(&rest, &number))
		return rest.len == 0 && number < NSIG ? (int)number : 0;
	if (str_starts(name, STR("SIG")))
		name = str_skip(name, 3);
	for (int i = 1; i < NSIG; i++) {
		const char *abbreviation = sigabbrev_np(i);

		if (abbreviation && str_eqc(name, abbreviation))
			return i;
	}
	return 0;
}
