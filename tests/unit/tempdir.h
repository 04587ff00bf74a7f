/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* A folder of a test's own, gone with everything in it when the variable goes out of scope. */

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

struct tempdir {
	char path[64];
};

static inline struct tempdir tempdir_make(void)
{
	struct tempdir d = { "/tmp/periscope-test-XXXXXX" };

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
