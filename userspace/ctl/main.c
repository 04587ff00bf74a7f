/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope: the operator's commands, one row each. */
#include <stdio.h>
#include <string.h>

#include "userspace/base/util.h"
#include "userspace/base/version.h"
#include "userspace/ctl/command.h"

static const struct command *const commands[] = {
	&guest_profile_command,   &guest_dump_command,    &token_mint_command,
	&token_attenuate_command, &token_inspect_command, &token_revoke_command,
	&store_verify_command,    &store_dump_command,
};

static enum exit_code help(void)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	buf_puts(&out, "Usage: periscope GROUP COMMAND [options]\n"
	               "       periscope GROUP COMMAND --help\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		buf_printf(&out, "  %s %-10s %s\n", commands[i]->group, commands[i]->name,
		           commands[i]->about);
	return command_print(&out);
}

static enum exit_code version(void)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	buf_printf(&out, "periscope " PERISCOPE_VERSION " (commit %s)\n", build_commit);
	return command_print(&out);
}

static enum exit_code complain(const char *what, const char *word)
{
	(void)fprintf(stderr, "periscope: %s '%s' (see --help)\n", what, word);
	return EXIT_USAGE;
}

static enum exit_code run_in(const char *group, int argc, char **argv)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i]->group, group) != 0)
			continue;
		known = true;
		if (argc > 0 && strcmp(commands[i]->name, argv[0]) == 0)
			return commands[i]->run(argc, argv);
	}
	if (!known)
		return complain("unknown group", group);
	return argc > 0 ? complain("unknown command", argv[0]) : complain("no command of", group);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return complain("expected a group and a command, not", "");
	if (strcmp(argv[1], "--help") == 0)
		return help();
	if (strcmp(argv[1], "--version") == 0)
		return version();
	return run_in(argv[1], argc - 2, argv + 2);
}
