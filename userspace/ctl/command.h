/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A command of `periscope`: "GROUP NAME", one row of the table in main.c and one function, which
 * reads the words behind its name as options (base/opt.h) and returns an exit code.
 */

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/opt.h"

struct command {
	const char *group, *name; /* "guest", "profile" */
	const char *about;        /* one sentence, without its full stop */
	/* @argv[0] is the command's name; ended by a NULL. */
	enum exit_code (*run)(int argc, char **argv);
};

/* "periscope: what, why" on stderr; returns @code, so a failing path is one line. */
enum exit_code command_fail(enum exit_code code, int r, const struct err *e);

/* Writes @b to stdout and empties it. EXIT_RUNTIME with a message when that fails. */
enum exit_code command_print(struct buf *b);

/*
 * command_options() - reads the options of "GROUP NAME"; a row "help" (OPT_FLAG) at @help prints
 * them all.
 *
 * True: go on. False: *@ret is what to return.
 */
bool command_options(const struct command *c, const struct opt_row *rows, size_t n, int argc,
                     char **argv, void *into, const bool *help, enum exit_code *ret);

extern const struct command guest_profile_command; /* guest_profile.c */
extern const struct command guest_dump_command;    /* guest_dump.c */
extern const struct command store_verify_command;  /* store.c */
extern const struct command store_dump_command;
extern const struct command token_attenuate_command;
extern const struct command token_inspect_command;
extern const struct command token_mint_command;
extern const struct command token_revoke_command;
