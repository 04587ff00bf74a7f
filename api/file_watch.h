/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Says when a file, or a file in a folder, may have changed: by inotify on the folder, so that a
 * file that is replaced by renaming is noticed, and others of the same folder as well.
 */

#include <stdbool.h>

/* A descriptor to poll for reading, or -errno. */
int file_watch_open(const char *path);

/* Takes what is there; true when something happened. */
bool file_watch_drain(int fd);
