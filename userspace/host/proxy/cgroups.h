/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The tree of cgroup v2, as far as finding a proxy needs it. In a hybrid set-up it is the "unified"
 * tree beside those of v1.
 *
 * Threads  Pure functions over the file system. Everything may vanish between two calls.
 */

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* Where it is mounted; -ENOENT: nowhere. */
int cgroups_root(char root[PATH_MAX]);

/* The folder named @name nearest to the root, as systemd has one for each unit. */
bool cgroups_find(const char *root, const char *name, char path[PATH_MAX]);

/* The folder of a process. */
bool cgroups_of(const char *root, pid_t pid, char path[PATH_MAX]);

typedef void (*cgroups_pid_f)(void *ctx, pid_t pid);
/* Calls @fn for each process of the folder and of those below it. */
void cgroups_each_pid(const char *path, cgroups_pid_f fn, void *ctx);
