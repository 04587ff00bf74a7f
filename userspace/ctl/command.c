/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/ctl/command.h"

#include <stdio.h>
#include <string.h>

enum exit_code command_fail(enum exit_code code, int r, const struct err *e)
{
	(void)fprintf(stderr, "periscope: %s\n", e->msg[0] ? e->msg : strerror(-r));
	return code;
}

enum exit_code command_print(struct buf *b)
{
	struct err e = ERR_INIT;
	enum exit_code code = opt_print(b, &e);

	return code == EXIT_DONE ? code : command_fail(code, e.code, &e);
}

bool command_options(const struct command *c, const struct opt_row *rows, size_t n, int argc,
                     char **argv, void *into, const bool *help, enum exit_code *ret)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	char program[64];
	int r = opt_parse(rows, n, argc, argv, into, &e);

	if (r < 0) {
		*ret = command_fail(EXIT_USAGE, r, &e);
		return false;
	}
	if (!*help)
		return true;
	(void)snprintf(program, sizeof(program), "periscope %s %s", c->group, c->name);
	opt_help(program, c->about, rows, n, &out);
	*ret = command_print(&out);
	return false;
}
