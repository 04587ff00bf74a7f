/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope store verify, periscope store dump: what is in the folder of a store. */
#include "store/store.h"

#include <errno.h>
#include <stdio.h>

#include "userspace/base/util.h"
#include "userspace/ctl/command.h"

struct options {
	struct opt_strings dirs;
	bool help;
};

static const struct opt_row rows[] = {
	OPT_ROW(struct options, NULL, "DIR", REST, dirs,
	        "folder of a region's data, or a snapshot"),
	OPT_ROW(struct options, "help", NULL, FLAG, help, "print this and exit"),
};

/* True: go on with *@ret_dir. False: *@ret is what to return. */
static bool read_dir(const struct command *c, int argc, char **argv, const char **ret_dir,
                     enum exit_code *ret)
{
	struct options o = { 0 };
	struct err e = ERR_INIT;

	if (!command_options(c, rows, ARRAY_SIZE(rows), argc, argv, &o, &o.help, ret))
		return false;
	if (o.dirs.n != 1) {
		(void)err_set(&e, -EINVAL, "expected one folder");
		*ret = command_fail(EXIT_USAGE, -EINVAL, &e);
		return false;
	}
	*ret_dir = o.dirs.v[0];
	return true;
}

/* ---- verify ---------------------------------------------------------------------- */

static void print_fault(void *ctx, const char *sentence)
{
	(void)ctx;
	(void)fprintf(stderr, "periscope: %s\n", sentence);
}

static enum exit_code verify(int argc, char **argv)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	struct store_check sum;
	enum exit_code code;
	const char *dir;

	if (!read_dir(&store_verify_command, argc, argv, &dir, &code))
		return code;
	int r = store_verify(dir, print_fault, NULL, &sum, &e);

	if (r < 0)
		return command_fail(EXIT_RUNTIME, r, &e);
	buf_printf(&out,
	           "%llu blocks, %llu series, %llu samples; %llu segments of the log, %llu frames;"
	           " %llu bytes: %llu faults\n",
	           (unsigned long long)sum.blocks, (unsigned long long)sum.series,
	           (unsigned long long)sum.samples, (unsigned long long)sum.wal_segments,
	           (unsigned long long)sum.wal_frames, (unsigned long long)sum.bytes,
	           (unsigned long long)sum.faults);
	code = command_print(&out);
	return code == EXIT_DONE && sum.faults > 0 ? EXIT_RUNTIME : code;
}

const struct command store_verify_command = {
	.group = "store",
	.name = "verify",
	.about = "Check all that a store has on disk, and change nothing",
	.run = verify,
};

/* ---- dump ---------------------------------------------------------------------- */

static enum exit_code dump(int argc, char **argv)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	enum exit_code code;
	const char *dir;

	if (!read_dir(&store_dump_command, argc, argv, &dir, &code))
		return code;
	int r = store_dump(dir, &out, &e);

	return r < 0 ? command_fail(EXIT_RUNTIME, r, &e) : command_print(&out);
}

const struct command store_dump_command = {
	.group = "store",
	.name = "dump",
	.about = "Print the blocks, organisations and tombstones of a store",
	.run = dump,
};
