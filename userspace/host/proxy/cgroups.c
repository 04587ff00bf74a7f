/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/proxy/cgroups.h"

#include <errno.h>
#include <fts.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>

#include "userspace/base/buf.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define DEPTH_MAX      8

int cgroups_root(char root[PATH_MAX])
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *m;
	int r = -ENOENT;

	while (mounts && r < 0 && (m = getmntent(mounts))) {
		if (strcmp(m->mnt_type, "cgroup2") == 0 && strlen(m->mnt_dir) < PATH_MAX) {
			(void)snprintf(root, PATH_MAX, "%s", m->mnt_dir);
			r = 0;
		}
	}
	if (mounts)
		(void)endmntent(mounts);
	return r;
}

static void fts_closep(FTS **f)
{
	if (*f)
		(void)fts_close(*f);
}

static FTS *open_tree(const char *path)
{
	char *paths[] = { (char *)(uintptr_t)path, NULL }; /* fts(3) takes no const */

	return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
}

/* The next folder in order of the walk, parents first; NULL behind the last. */
static FTSENT *next_folder(FTS *tree)
{
	FTSENT *ent;

	while ((ent = fts_read(tree))) {
		if (ent->fts_info != FTS_D)
			continue;
		if (ent->fts_level >= DEPTH_MAX)
			(void)fts_set(tree, ent, FTS_SKIP);
		return ent;
	}
	return NULL;
}

bool cgroups_find(const char *root, const char *name, char path[PATH_MAX])
{
	_cleanup_(fts_closep) FTS *tree = open_tree(root);
	const FTSENT *ent;
	int level = DEPTH_MAX + 1;

	while (tree && (ent = next_folder(tree))) {
		if (ent->fts_level >= level || strcmp(ent->fts_name, name) != 0 ||
		    ent->fts_pathlen >= PATH_MAX)
			continue;
		(void)snprintf(path, PATH_MAX, "%s", ent->fts_path);
		level = ent->fts_level;
	}
	return level <= DEPTH_MAX;
}

/* Of the line "0::/path", which is that of v2. */
bool cgroups_of(const char *root, pid_t pid, char path[PATH_MAX])
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct str rest, line;
	char name[64];

	(void)snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	if (file_read(name, &text, FILE_BYTES_MAX) < 0)
		return false;
	for (rest = buf_str(&text); rest.len > 0;) {
		(void)str_cut(rest, '\n', &line, &rest);
		if (!str_starts(line, STR("0::/")))
			continue;
		line = str_skip(line, line.len == 4 ? 4 : 3);
		return snprintf(path, PATH_MAX, "%s%.*s", root, STR_FMT(line)) < PATH_MAX;
	}
	return false;
}

static void read_procs(const char *folder, cgroups_pid_f fn, void *ctx)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char name[PATH_MAX];
	struct str rest, line;
	uint64_t pid;

	if (snprintf(name, sizeof(name), "%s/cgroup.procs", folder) >= PATH_MAX ||
	    file_read(name, &text, FILE_BYTES_MAX) < 0)
		return;
	for (rest = buf_str(&text); rest.len > 0;) {
		(void)str_cut(rest, '\n', &line, &rest);
		if (num_parse_u64(line, &pid) == 0 && pid > 0 && pid <= INT32_MAX)
			fn(ctx, (pid_t)pid);
	}
}

void cgroups_each_pid(const char *path, cgroups_pid_f fn, void *ctx)
{
	_cleanup_(fts_closep) FTS *tree = open_tree(path);
	const FTSENT *ent;

	while (tree && (ent = next_folder(tree)))
		read_procs(ent->fts_path, fn, ctx);
}
