/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope guest dump: what a guest's /proc would say now, read from its monitor's memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/ctl/command.h"
#include "userspace/ctl/guest_verify.h"
#include "userspace/host/guest/image.h"
#include "userspace/host/guest/locate.h"
#include "userspace/host/guest/profile_dir.h"
#include "userspace/host/guest/text.h"

#define PROFILES_DIR "/var/lib/periscope-host/profiles"

struct options {
	bool help;
	const char *profiles, *profile, *image, *save, *verify;
	struct opt_strings pids;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW(NULL, "PID", REST, pids, "process of the monitor"),
	ROW("profiles", "DIR", STRING, profiles, "profiles; default " PROFILES_DIR),
	ROW("profile", "NAME", STRING, profile, "that one alone: name, build-id or release"),
	ROW("image", "FILE", STRING, image, "read a saved image instead of a process"),
	ROW("save", "FILE", STRING, save, "save what is read as an image, print nothing"),
	ROW("verify", "FILE", STRING, verify,
	    "compare with what the guest said, print differences"),
	ROW("help", NULL, FLAG, help, "print this and exit"),
};
#undef ROW

/* What the steps of one dump hand on to each other. */
struct dump {
	const struct options *o;
	struct profile_dir *dir;
	struct mem_cache *cache;
	struct guest_sample *sample;
	struct guest *guest;
	struct buf image, said; /* files */
	struct err e;
};

static void dump_done(struct dump *d)
{
	guest_detach(d->guest); /* before the image that it may be read from */
	profile_dir_free(d->dir);
	free(d->cache);
	free(d->sample);
	buf_done(&d->image);
	buf_done(&d->said);
}

static void on_bad(void *ctx, const char *why)
{
	(void)ctx;
	(void)fprintf(stderr, "periscope: %s\n", why);
}

static int read_whole(const char *path, struct buf *to, struct err *e)
{
	int r = file_read(path, to, IMAGE_BYTES_MAX);

	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

static int attach_image(struct dump *d, const struct profile *const *profiles, size_t n)
{
	struct mem m;
	int r = read_whole(d->o->image, &d->image, &d->e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = image_open(&m, buf_str(&d->image), &d->e);
		if (r < 0)
			return r;
		r = guest_attach(&d->guest, profiles[i], &m, d->cache, NO_KERNEL);
		if (r == 0)
			return 0;
		mem_close(&m);
		r = r == -ENOENT ? 0 : r;
	}
	return r < 0 ? r : err_set(&d->e, -ENOENT, "%s: of no known kernel", d->o->image);
}

static int attach(struct dump *d, pid_t pid)
{
	const struct locate_target target = { .proc = "/proc", .pid = pid, .dead_gpa = NO_KERNEL };
	struct locate_access access;
	const char *folder = d->o->profiles ? d->o->profiles : PROFILES_DIR;
	const struct profile *profiles[PROFILE_DIR_MAX];
	int r = profile_dir_new(&d->dir, folder);
	size_t n;

	if (r < 0)
		return r;
	(void)profile_dir_refresh(d->dir, on_bad, NULL);
	n = profile_dir_find(d->dir, d->o->profile ? d->o->profile : "", profiles,
	                     ARRAY_SIZE(profiles));
	if (n == 0)
		return err_set(&d->e, -ENOENT, "%s: no such profile", folder);
	return d->o->image
	               ? attach_image(d, profiles, n)
	               : locate_guest(&d->guest, &target, profiles, n, d->cache, &access, &d->e);
}

static int sample(struct dump *d)
{
	int r = d->o->verify ? read_whole(d->o->verify, &d->said, &d->e) : 0;

	if (r < 0)
		return r;
	/* Who says what it is also says when: its clock ran on after the last update. */
	guest_set_now(d->guest, verify_clock_ns(buf_str(&d->said)));
	r = guest_sample(d->guest, d->cache, ~0u, clock_mono_ns(), d->sample);
	return r < 0 ? err_set(&d->e, r, "the guest cannot be read: %s", strerror(-r)) : 0;
}

static enum exit_code save(struct dump *d)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	int r = image_save(d->guest, d->cache, &out);

	if (r == 0)
		r = file_replace(d->o->save, out.p, out.len, 0600);
	if (r == 0)
		return EXIT_DONE;
	(void)err_set(&d->e, r, "%s: %s", d->o->save, strerror(-r));
	return command_fail(EXIT_RUNTIME, r, &d->e);
}

static void put_head(const struct guest *g, struct buf *out)
{
	const struct mem_counts *c = guest_counts(g);

	buf_printf(out, "# kernel %s, build-id %s\n", guest_profile(g)->release,
	           guest_profile(g)->build_id);
	buf_printf(out, "# %u system calls, %u pages, %llu bytes, %u steps\n", c->n_calls,
	           c->n_pages, (unsigned long long)c->n_bytes, c->n_steps);
}

static enum exit_code verify(struct dump *d)
{
	_cleanup_(buf_done) struct buf ours = BUF_INIT;
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct verify_result result;
	int r;

	guest_text_write(d->sample, &ours);
	r = verify_compare(buf_str(&d->said), buf_str(&ours), &result, &out);
	if (r < 0)
		return command_fail(EXIT_RUNTIME, r, &d->e);
	buf_printf(&out, "%u fields: %u equal, %u moved meanwhile, %u differ\n", result.n,
	           result.n_equal, result.n_moved, result.n - result.n_equal - result.n_moved);
	if (command_print(&out) != EXIT_DONE || result.n == 0)
		return EXIT_RUNTIME;
	return result.n == result.n_equal + result.n_moved ? EXIT_DONE : EXIT_RUNTIME;
}

static enum exit_code dump(struct dump *d, pid_t pid)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	int r;

	d->sample = mem_zalloc(1, sizeof(*d->sample));
	d->cache = mem_zalloc(1, sizeof(*d->cache));
	r = d->sample && d->cache ? attach(d, pid) : -ENOMEM;
	if (r == 0 && d->o->save)
		return save(d);
	if (r == 0)
		r = sample(d);
	if (r < 0)
		return command_fail(r == -EPERM ? EXIT_PRIVILEGE : EXIT_RUNTIME, r, &d->e);
	if (d->o->verify)
		return verify(d);
	put_head(d->guest, &out);
	guest_text_write(d->sample, &out);
	return command_print(&out);
}

static int read_pid(const struct options *o, pid_t *ret, struct err *e)
{
	uint64_t pid = 0;

	if (o->image && o->pids.n > 0)
		return err_set(e, -EINVAL, "an image and a process exclude each other");
	if (o->image)
		return 0;
	if (o->pids.n != 1 || num_parse_u64(str_from(o->pids.v[0]), &pid) < 0 || pid == 0 ||
	    pid > INT32_MAX)
		return err_set(e, -EINVAL, "expected one process number");
	*ret = (pid_t)pid;
	return 0;
}

static enum exit_code run(int argc, char **argv)
{
	struct options o = { 0 };
	_cleanup_(dump_done) struct dump d = { .o = &o, .e = ERR_INIT };
	enum exit_code code;
	pid_t pid = 0;

	if (!command_options(&guest_dump_command, rows, ARRAY_SIZE(rows), argc, argv, &o, &o.help,
	                     &code))
		return code;
	if (read_pid(&o, &pid, &d.e) < 0)
		return command_fail(EXIT_USAGE, -EINVAL, &d.e);
	return dump(&d, pid);
}

const struct command guest_dump_command = {
	.group = "guest",
	.name = "dump",
	.about = "Print what a guest's /proc would say, without asking the guest",
	.run = run,
};
