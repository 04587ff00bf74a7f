/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Says when access files may have changed: by inotify on their folder, so that a file that is
 * replaced by renaming is noticed. Key files are read along with them but not watched by name;
 * those in the same folder are noticed too.
 */

#include <stdbool.h>

/* A descriptor to poll for reading, or -errno. @path: the file or folder of access_load(). */
int access_watch_open(const char *path);

/* Takes what is there; true when something happened. */
bool access_watch_drain(int fd);
