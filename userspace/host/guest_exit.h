/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How guests end: prepared for while they run, concluded when their monitors have ended. For who
 * reads guests (src_guest.c).
 *
 * While a guest is read, the kernel side (guest_end.h) is told where its log and its main process
 * lie. At the end it has kept what was there; that, the console's last lines and what the last
 * samples had seen make the conclusion (guest/ending.h).
 *
 * Threads  One owner.
 */

#include "userspace/base/err.h"
#include "userspace/host/guest/ending.h"
#include "userspace/host/guest_end.h"
#include "userspace/host/vm_exit.h"

struct host_conf;
struct vm;
struct guest_exits;

struct guest_exit { /* of one VM */
	const struct vm *vm;
	int console_fd;                    /* -1: none */
	struct guest_main main, candidate; /* candidate: seen once; who comes and goes is not it */
	struct guest_end_where where;
	bool watched, ooms_known, more_kills;
	uint64_t n_ooms;
	struct ending ending;
};

/* Without the kernel's help (logged) fewer ends can be told. -ENOMEM, -EINVAL with @e. */
int guest_exits_new(struct guest_exits **ret, const struct host_conf *conf, struct err *e);
void guest_exits_free(struct guest_exits *x); /* NULL is fine */

/* @vm is borrowed until guest_exit_done(), and so is @g. */
int guest_exit_begin(struct guest_exits *x, struct guest_exit *g, const struct vm *vm);
void guest_exit_done(struct guest_exits *x, struct guest_exit *g);

void guest_exit_note(struct guest_exits *x, struct guest_exit *g, const struct guest_sample *s);
/* Its kernel is gone: another one may follow. */
void guest_exit_forget(struct guest_exits *x, struct guest_exit *g);

/* The monitor has ended: sets @how->guest. */
void guest_exit_conclude(struct guest_exits *x, struct guest_exit *g, struct vm_exit *how);
