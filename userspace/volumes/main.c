/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * periscope-host-volumes: reads thin volumes and pools from device-mapper for periscope-host. A
 * process of its own, because device-mapper answers only who has CAP_SYS_ADMIN, and because its
 * calls may hang with a dead disk.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "userspace/base/log.h"
#include "userspace/base/opt.h"
#include "userspace/base/sdnotify.h"
#include "userspace/base/util.h"
#include "userspace/base/version.h"
#include "userspace/volumes/dm.h"
#include "userspace/volumes/privilege.h"
#include "userspace/volumes/server.h"
#include "userspace/volumes/wire.h"

#define PROGRAM "periscope-host-volumes"

struct options {
	bool help, version;
	const char *socket;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW("socket", "PATH", STRING, socket, "where to listen; default " VOLUMES_SOCKET),
	ROW("help", NULL, FLAG, help, "print this and exit"),
	ROW("version", NULL, FLAG, version, "print the version and exit"),
};
#undef ROW

static int complain(int code, int r, const struct err *e)
{
	(void)fprintf(stderr, PROGRAM ": %s\n", e->msg[0] ? e->msg : strerror(-r));
	return code;
}

static int print(struct buf *text)
{
	struct err e = ERR_INIT;
	int code = opt_print(text, &e);

	return code == EXIT_DONE ? code : complain(code, e.code, &e);
}

/* SIGTERM and SIGINT, to be waited for with everything else. */
static int end_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run(const char *path)
{
	struct server *s = NULL;
	struct err e = ERR_INIT;
	int end_fd = end_signals();
	/* Before the privileges go: the first call may have to make the control device's node. */
	int r = dm_open(&e);

	if (r < 0)
		log_warn("device-mapper does not answer, trying again when asked",
		         STRV("why", e.msg));
	e = ERR_INIT;
	r = server_open(&s, path, &e);
	if (r < 0)
		return complain(EXIT_RUNTIME, r, &e);
	r = privilege_reduce(&e);
	if (r < 0) {
		server_close(s);
		return complain(EXIT_PRIVILEGE, r, &e);
	}
	(void)sdnotify_ready("listening");
	r = end_fd < 0 ? neg_errno() : server_run(s, end_fd);
	server_close(s);
	return r < 0 ? complain(EXIT_RUNTIME, r, &e) : EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct options o = { .socket = VOLUMES_SOCKET };
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	int r = opt_parse(rows, ARRAY_SIZE(rows), argc, argv, &o, &e);

	if (r < 0)
		return complain(EXIT_USAGE, r, &e);
	if (o.help) {
		opt_help(PROGRAM, "Reads thin volumes from device-mapper for periscope-host.", rows,
		         ARRAY_SIZE(rows), &out);
		return print(&out);
	}
	if (o.version) {
		buf_printf(&out, PROGRAM " " PERISCOPE_VERSION " (commit %s)\n", build_commit);
		return print(&out);
	}
	return run(o.socket);
}
