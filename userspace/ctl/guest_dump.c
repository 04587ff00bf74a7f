/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope guest dump: what a guest's /proc would say now, read from its monitor's memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/ctl/command.h"
#include "userspace/host/guest/locate.h"
#include "userspace/host/guest/profile_dir.h"
#include "userspace/host/guest/text.h"

#define PROFILES_DIR "/var/lib/periscope-host/profiles"

struct options {
	bool help;
	const char *profiles, *profile;
	struct opt_strings pids;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW(NULL, "PID", REST, pids, "process of the monitor"),
	ROW("profiles", "DIR", STRING, profiles, "profiles; default " PROFILES_DIR),
	ROW("profile", "NAME", STRING, profile, "that one alone: name, build-id or release"),
	ROW("help", NULL, FLAG, help, "print this and exit"),
};
#undef ROW

DEFINE_CLEANUP(struct profile_dir *, profile_dir_free);
DEFINE_CLEANUP(struct guest *, guest_detach);

static void on_bad(void *ctx, const char *why)
{
	(void)ctx;
	(void)fprintf(stderr, "periscope: %s\n", why);
}

static int attach(const struct options *o, pid_t pid, struct profile_dir *dir,
                  struct mem_cache *cache, struct guest **ret, struct err *e)
{
	const struct locate_target target = { .proc = "/proc", .pid = pid };
	const struct profile *profiles[PROFILE_DIR_MAX];
	size_t n;

	(void)profile_dir_refresh(dir, on_bad, NULL);
	n = profile_dir_find(dir, o->profile ? o->profile : "", profiles, ARRAY_SIZE(profiles));
	if (n == 0)
		return err_set(e, -ENOENT, "%s: no such profile",
		               o->profiles ? o->profiles : PROFILES_DIR);
	return locate_guest(ret, &target, profiles, n, cache, e);
}

static int sample(struct guest *g, struct mem_cache *cache, struct guest_sample *ret, struct err *e)
{
	int r = guest_sample(g, cache, ~0u, clock_mono_ns(), ret);

	return r < 0 ? err_set(e, r, "the guest cannot be read: %s", strerror(-r)) : 0;
}

static void put_head(const struct guest *g, struct buf *out)
{
	const struct mem_counts *c = guest_counts(g);

	buf_printf(out, "# kernel %s, build-id %s\n", guest_profile(g)->release,
	           guest_profile(g)->build_id);
	buf_printf(out, "# %u system calls, %u pages, %llu bytes, %u steps\n", c->n_calls,
	           c->n_pages, (unsigned long long)c->n_bytes, c->n_steps);
}

static enum exit_code dump(const struct options *o, pid_t pid)
{
	_cleanup_(profile_dir_freep) struct profile_dir *dir = NULL;
	_cleanup_free_ struct guest_sample *s = mem_zalloc(1, sizeof(*s));
	_cleanup_free_ struct mem_cache *cache = mem_zalloc(1, sizeof(*cache));
	_cleanup_(guest_detachp) struct guest *g = NULL;
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	int r = s && cache ? profile_dir_new(&dir, o->profiles ? o->profiles : PROFILES_DIR)
	                   : -ENOMEM;

	if (r == 0)
		r = attach(o, pid, dir, cache, &g, &e);
	if (r == 0)
		r = sample(g, cache, s, &e);
	if (r < 0)
		return command_fail(r == -EPERM ? EXIT_PRIVILEGE : EXIT_RUNTIME, r, &e);
	put_head(g, &out);
	guest_text_write(s, &out);
	return command_print(&out);
}

static enum exit_code run(int argc, char **argv)
{
	struct options o = { 0 };
	struct err e = ERR_INIT;
	enum exit_code code;
	uint64_t pid = 0;

	if (!command_options(&guest_dump_command, rows, ARRAY_SIZE(rows), argc, argv, &o, &o.help,
	                     &code))
		return code;
	if (o.pids.n != 1 || num_parse_u64(str_from(o.pids.v[0]), &pid) < 0 || pid == 0 ||
	    pid > INT32_MAX)
		return command_fail(EXIT_USAGE, err_set(&e, -EINVAL, "expected one process number"),
		                    &e);
	return dump(&o, (pid_t)pid);
}

const struct command guest_dump_command = {
	.group = "guest",
	.name = "dump",
	.about = "Print what a guest's /proc would say, without asking the guest",
	.run = run,
};
