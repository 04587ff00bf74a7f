/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A tree like /proc in a folder of the test's own, with processes that are whatever the test says.
 * Its process numbers are above every kernel's pid_max, so no real process can be meant.
 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#define FAKE_PID 5000000 /* pid_max is at most 4194304 */

struct fakeproc {
	struct tempdir dir;
	char proc[80], files[80]; /* the tree, and room for disks and jails beside it */
};

static inline struct fakeproc fakeproc_make(void)
{
	struct fakeproc p = { .dir = tempdir_make() };

	(void)snprintf(p.proc, sizeof(p.proc), "%s/proc", p.dir.path);
	(void)snprintf(p.files, sizeof(p.files), "%s/files", p.dir.path);
	assert_int_equal(0, mkdir(p.proc, 0755));
	assert_int_equal(0, mkdir(p.files, 0755));
	return p;
}

static inline void fakeproc_done(struct fakeproc *p)
{
	tempdir_done(&p->dir);
}

__attribute__((format(printf, 4, 5))) static inline void
fakeproc_write(const struct fakeproc *p, int pid, const char *name, const char *fmt, ...)
{
	char path[256];
	va_list ap;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%d/%s", p->proc, pid, name);
	f = fopen(path, "we");
	assert_non_null(f);
	va_start(ap, fmt);
	(void)vfprintf(f, fmt, ap);
	va_end(ap);
	assert_int_equal(0, fclose(f));
}

static inline void fakeproc_mkdir(const struct fakeproc *p, int pid, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%d/%s", p->proc, pid, name);
	assert_int_equal(0, mkdir(path, 0755));
}

static inline void fakeproc_link(const struct fakeproc *p, int pid, const char *name,
                                 const char *target)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%d/%s", p->proc, pid, name);
	(void)unlink(path);
	assert_int_equal(0, symlink(target, path));
}

static inline void fakeproc_stat(const struct fakeproc *p, int pid, const char *comm, char state,
                                 unsigned long long ticks)
{
	fakeproc_write(p, pid, "stat",
	               "%d (%s) %c 1 1 1 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 3 0 %llu 1000 10\n",
	               pid, comm, state, ticks);
}

/* Ended, and its parent has not asked yet how. */
static inline void fakeproc_zombie(const struct fakeproc *p, int pid, const char *comm,
                                   unsigned long long ticks, int wait_status)
{
	fakeproc_write(
		p, pid, "stat",
		"%d (%s) Z 1 1 1 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 3 0 %llu 0 0 0 0 0 0 0 0 "
		"0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 %d\n",
		pid, comm, ticks, wait_status);
}

static inline void fakeproc_thread(const struct fakeproc *p, int pid, int tid, const char *comm)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "task/%d", tid);
	fakeproc_mkdir(p, pid, name);
	(void)snprintf(name, sizeof(name), "task/%d/comm", tid);
	fakeproc_write(p, pid, name, "%s\n", comm);
}

static inline void fakeproc_syscall(const struct fakeproc *p, int pid, int tid, const char *text)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "task/%d/syscall", tid);
	fakeproc_write(p, pid, name, "%s\n", text);
}

/* A descriptor that points to @target; @info is its fdinfo, NULL for none. */
static inline void fakeproc_fd(const struct fakeproc *p, int pid, int fd, const char *target,
                               const char *info)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "fd/%d", fd);
	fakeproc_link(p, pid, name, target);
	(void)snprintf(name, sizeof(name), "fdinfo/%d", fd);
	if (info)
		fakeproc_write(p, pid, name, "%s", info);
}

static inline void fakeproc_tap(const struct fakeproc *p, int pid, int fd, const char *ifname)
{
	char info[128];

	(void)snprintf(info, sizeof(info), "pos:\t0\nflags:\t0104002\nmnt_id:\t27\niff:\t%s\n",
	               ifname);
	fakeproc_fd(p, pid, fd, "/dev/net/tun", info);
}

/* @args are divided by spaces. */
static inline void fakeproc_cmdline(const struct fakeproc *p, int pid, const char *args)
{
	char path[256], text[2048];
	size_t len = strlen(args) + 1;
	FILE *f;

	assert_true(len <= sizeof(text));
	memcpy(text, args, len);
	for (char *at = text; (at = strchr(at, ' ')); at++)
		*at = '\0';
	(void)snprintf(path, sizeof(path), "%s/%d/cmdline", p->proc, pid);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(len, fwrite(text, 1, len, f));
	assert_int_equal(0, fclose(f));
}

/* A process with its main thread, in the host's root, with @p->files as working directory. */
static inline void fakeproc_process(const struct fakeproc *p, int pid, const char *comm,
                                    const char *args)
{
	fakeproc_mkdir(p, pid, "");
	fakeproc_mkdir(p, pid, "task");
	fakeproc_mkdir(p, pid, "fd");
	fakeproc_mkdir(p, pid, "fdinfo");
	fakeproc_stat(p, pid, comm, 'S', 1000);
	fakeproc_write(p, pid, "comm", "%s\n", comm);
	fakeproc_cmdline(p, pid, args);
	fakeproc_thread(p, pid, pid, comm);
	fakeproc_link(p, pid, "root", "/");
	fakeproc_link(p, pid, "cwd", p->files);
}

/* Its folder goes at once, as the kernel's does: renamed away, then removed. */
static inline void fakeproc_end(const struct fakeproc *p, int pid)
{
	char from[128], to[128];

	(void)snprintf(from, sizeof(from), "%s/%d", p->proc, pid);
	(void)snprintf(to, sizeof(to), "%s/ended-%d", p->dir.path, pid);
	assert_int_equal(0, rename(from, to));
	(void)nftw(to, tempdir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A sparse file of @bytes in @p->files; returns its inode. */
static inline ino_t fakeproc_image(const struct fakeproc *p, const char *name, off_t bytes)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", p->files, name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, bytes));
	assert_int_equal(0, fstat(fd, &st));
	(void)close(fd);
	return st.st_ino;
}
