/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A cgroup of the test's own, of either generation, removed at the end. cgroup_make() prefers v1
 * where its hierarchy of the controller is mounted: a v2 tree beside it has no controllers then.
 */

#include "tests/bpf/bpf_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "userspace/base/file.h"

#define CGROUPS "/sys/fs/cgroup"

struct cgroup {
	char path[128];
	bool v2;
};

static struct cgroup cgroup_of_test;

static inline void cgroup_remove(void)
{
	/* The members are dead and reaped; the kernel may need a moment to notice. */
	for (int i = 0;
	     cgroup_of_test.path[0] && rmdir(cgroup_of_test.path) < 0 && errno == EBUSY && i < 50;
	     i++)
		sleep_ms(20);
	cgroup_of_test.path[0] = '\0';
}

/* NULL when there is no such controller, or none that may be used. One at a time. */
static inline struct cgroup *cgroup_make(const char *controller)
{
	static bool registered;
	struct cgroup *cg = &cgroup_of_test;
	char root[64];
	struct stat st;

	(void)snprintf(root, sizeof(root), CGROUPS "/%s", controller);
	cg->v2 = stat(root, &st) < 0;
	if (cg->v2 && access(CGROUPS "/cgroup.controllers", F_OK) < 0)
		return NULL;
	(void)snprintf(cg->path, sizeof(cg->path), "%s/periscope-test-%d", cg->v2 ? CGROUPS : root,
	               getpid());
	if (mkdir(cg->path, 0755) < 0) {
		cg->path[0] = '\0';
		return NULL;
	}
	if (!registered)
		registered = atexit(cgroup_remove) == 0;
	return cg;
}

static inline void cgroup_write(const struct cgroup *cg, const char *file, const char *text)
{
	char path[192];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("%s: %s", path, strerror(errno));
	(void)close(fd);
}

static inline void cgroup_add(const struct cgroup *cg, pid_t pid)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", pid);
	cgroup_write(cg, "cgroup.procs", text);
}

/* The number behind @key in a file of "key number" lines. */
static inline uint64_t cgroup_read(const struct cgroup *cg, const char *file, const char *key)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[192];
	const char *at;

	(void)snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	assert_int_equal(0, file_read(path, &text, 4096));
	at = strstr(buf_cstr(&text), key);
	if (!at)
		fail_msg("%s has no %s", path, key);
	return strtoull(at + strlen(key), NULL, 10);
}
