/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How a guest ended, by what it said last and by what is left of its main process.
 *
 * The exit code has four sources; the best of those that say something counts:
 *
 *	told     a line that the guest's init wrote to /dev/kmsg:
 *	         "periscope: exit_code=42", also with " signal=9" and " oom_killed=1" behind it
 *	panic    "Attempted to kill init! exitcode=0x...": the first process has ended
 *	console  a line on the console that the configured pattern matches
 *	process  the main process: it has ended, nobody asked yet; or the bytes that are left of it
 *
 * Everything here is what the guest chose to leave: believed as far as a tenant is about itself.
 * Pure; no allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"
#include "userspace/host/guest/guest.h"

enum ending_source { /* in their order */
	ENDING_TOLD,
	ENDING_PANIC,
	ENDING_CONSOLE,
	ENDING_PROCESS,
	ENDING_NOTHING
};

struct ending {
	enum ending_source from; /* ENDING_NOTHING: the code is not known */
	int code;                /* as a shell has it: 128 + the signal */
	int signal;              /* that ended what the code is of; 0 = none */
	bool oom;                /* the guest's kernel killed the main process for want of memory */
	bool panicked;           /* for another reason than the end of the first process */
	uint32_t n_kills;        /* for want of memory, of anybody */
};

#define ENDING_INIT ((struct ending){ .from = ENDING_NOTHING })

/* A code as wait(2) gives it. A worse source than what is known already changes nothing. */
void ending_note_status(struct ending *e, enum ending_source from, int wait_status);
void ending_note_code(struct ending *e, enum ending_source from, int code, int signal);

/* A line of the kernel's log; NULL @main: not known. Call with the newest line first. */
void ending_note_line(struct ending *e, struct str line, const struct guest_main *main);

/*
 * ending_finish() - what follows from all lines together.
 *
 * @more_kills: there were more of them than in the sample before; @main_known: lines could be
 * compared with the main process.
 */
void ending_finish(struct ending *e, bool main_known, bool more_kills);

/* "SIGKILL" -> 9, "9" -> 9; 0 = no signal's name. */
int ending_signal(struct str name);
const char *ending_source_name(enum ending_source from); /* "told"; "" of ENDING_NOTHING */
