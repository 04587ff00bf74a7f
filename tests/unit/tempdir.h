/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* A folder of a test's own, gone with everything in it when tempdir_done() is called. */

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TEMPDIR_BYTES_MIN ((uint64_t)1 << 30)

struct tempdir {
	char path[64];
};

/* In memory, where there is room: on a busy disk each sync of a test waits for everybody's. */
static inline bool tempdir_fits_in_memory(void)
{
	struct statvfs fs;

	return statvfs("/dev/shm", &fs) == 0 && access("/dev/shm", W_OK) == 0 &&
	       (fs.f_flag & ST_NOEXEC) == 0 && fs.f_bavail * fs.f_frsize >= TEMPDIR_BYTES_MIN;
}

static inline struct tempdir tempdir_make(void)
{
	struct tempdir d = { "/tmp/periscope-test-XXXXXX" };

	if (tempdir_fits_in_memory())
		d = (struct tempdir){ "/dev/shm/periscope-test-XXXXXX" };
	assert_non_null(mkdtemp(d.path));
	return d;
}

static inline int tempdir_remove_one(const char *path, const struct stat *st, int flag,
                                     struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void tempdir_done(struct tempdir *d)
{
	(void)nftw(d->path, tempdir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes the file @name of the folder, whose mode becomes @mode whatever the umask is. */
static inline void tempdir_write(const struct tempdir *d, const char *name, const char *text,
                                 unsigned mode)
{
	char path[512];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", d->path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(0, fchmod(fd, mode));
	assert_int_equal(strlen(text), write(fd, text, strlen(text)));
	(void)close(fd);
}
