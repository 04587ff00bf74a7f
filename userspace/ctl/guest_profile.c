/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope guest profile: makes the file by which the daemon reads guests of one kernel build. */
#include <stdio.h>
#include <string.h>

#include "userspace/base/file.h"
#include "userspace/base/util.h"
#include "userspace/ctl/command.h"
#include "userspace/host/guest/kernel_image.h"
#include "userspace/host/guest/profile_build.h"

#define PATH_CAP 4096

struct options {
	bool quiet, help;
	const char *output, *output_dir, *system_map, *vmlinux;
	struct opt_strings files;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW(NULL, "KERNEL [MODULE...]", REST, files,
	    "vmlinux or bzImage, and the modules that guests load (virtio_net, xfs, ...)"),
	{ .name = "output",
	  .letter = 'o',
	  .arg = "FILE",
	  .type = OPT_STRING,
	  .offset = offsetof(struct options, output),
	  .help = "write the profile there; else to stdout" },
	ROW("output-dir", "DIR", STRING, output_dir, "write it to DIR/<build-id>.profile"),
	ROW("system-map", "FILE", STRING, system_map, "symbols; else those of the image itself"),
	ROW("vmlinux", "FILE", STRING, vmlinux, "write the kernel there as well, unpacked"),
	ROW("quiet", NULL, FLAG, quiet, "do not tell what the kernel lacks"),
	ROW("help", NULL, FLAG, help, "print this and exit"),
};
#undef ROW

static enum exit_code write_file(const char *path, const struct buf *text)
{
	struct err e = ERR_INIT;
	int r = file_replace(path, text->p, text->len, 0644);

	if (r == 0)
		return EXIT_DONE;
	(void)err_set(&e, r, "%s: %s", path, strerror(-r));
	return command_fail(EXIT_RUNTIME, r, &e);
}

static enum exit_code write_profile(const struct options *o, const struct profile *p)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[PATH_CAP];

	profile_write(p, &text);
	if (text.err == 0 && o->output)
		return write_file(o->output, &text);
	if (text.err == 0 && o->output_dir) {
		int n = snprintf(path, sizeof(path), "%s/%s" PROFILE_SUFFIX, o->output_dir,
		                 p->build_id);

		if (n > 0 && (size_t)n < sizeof(path))
			return write_file(path, &text);
	}
	return command_print(&text);
}

static enum exit_code write_vmlinux(const struct options *o)
{
	_cleanup_(kernel_image_done) struct kernel_image k = KERNEL_IMAGE_INIT;
	struct err e = ERR_INIT;
	int r = kernel_image_open(&k, o->files.v[0], &e);
	struct str elf = r == 0 ? kernel_image_elf(&k) : STR_NULL;

	if (r == 0)
		r = file_replace(o->vmlinux, elf.p, elf.len, 0644);
	if (r == 0)
		return EXIT_DONE;
	(void)err_set(&e, r, "%s: %s", o->vmlinux, strerror(-r));
	return command_fail(EXIT_RUNTIME, r, &e);
}

static enum exit_code make(const struct options *o)
{
	_cleanup_(buf_done) struct buf notes = BUF_INIT;
	struct profile_inputs in = {
		.kernel = o->files.v[0],
		.system_map = o->system_map,
		.modules = o->files.v + 1,
		.n_modules = o->files.n - 1,
	};
	struct err e = ERR_INIT;
	struct profile p;
	int r = profile_build(&in, &p, &notes, &e);

	if (!o->quiet)
		(void)fwrite(notes.p, 1, notes.len, stderr);
	if (r < 0)
		return command_fail(EXIT_RUNTIME, r, &e);
	enum exit_code code = o->vmlinux ? write_vmlinux(o) : EXIT_DONE;

	return code == EXIT_DONE ? write_profile(o, &p) : code;
}

static enum exit_code run(int argc, char **argv)
{
	struct options o = { 0 };
	struct err e = ERR_INIT;
	enum exit_code code;

	if (!command_options(&guest_profile_command, rows, ARRAY_SIZE(rows), argc, argv, &o,
	                     &o.help, &code))
		return code;
	if (o.files.n == 0)
		return command_fail(EXIT_USAGE, err_set(&e, -EINVAL, "no kernel image given"), &e);
	if (o.output && o.output_dir)
		return command_fail(
			EXIT_USAGE,
			err_set(&e, -EINVAL, "--output and --output-dir exclude each other"), &e);
	return make(&o);
}

const struct command guest_profile_command = {
	.group = "guest",
	.name = "profile",
	.about = "Make the profile by which the daemon reads guests of one kernel build",
	.run = run,
};
