/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: folders in snapshots/ that are stores themselves, made of second names of the files
 * of all blocks, which never change. A snapshot is made under another name, and gets its own when
 * it is complete and durable; what is there without it is removed at the next start.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/flush.h"
#include "store/snapshot.h"
#include "store/store_int.h"
#include "userspace/base/clock.h"
#include "userspace/base/vfs.h"

#define UNFINISHED ".new"
#define DEPTH_MAX  5u

static const char *const block_files[] = { "chunks", "index", "meta.json" };

struct place {
	char path[PATH_MAX];
};

static struct place place_in(const char *dir, const char *name)
{
	struct place p;

	/* Names are short, and a path that does not fit is one that does not exist. */
	if (snprintf(p.path, sizeof(p.path), "%s/%s", dir, name) >= (int)sizeof(p.path))
		p.path[0] = '\0';
	return p;
}

static struct place snapshots_of(const struct store *s)
{
	return place_in(s->dir, "snapshots");
}

/* ---- removing a folder ---------------------------------------------------- */

struct removal {
	const char *dir;
	unsigned depth;
};

static int remove_tree(const char *path, unsigned depth);

static int remove_entry(void *ctx, const char *name)
{
	const struct removal *up = ctx;
	struct place p = place_in(up->dir, name);
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	r = vfs()->unlink(p.path);
	if (r == -EISDIR || r == -EPERM)
		r = remove_tree(p.path, up->depth + 1);
	return r == -ENOENT ? 0 : r;
}

static int remove_tree(const char *path, unsigned depth)
{
	struct removal here = { path, depth };
	int r = depth < DEPTH_MAX ? vfs()->list(path, remove_entry, &here) : -ELOOP;

	return r == 0 ? vfs()->rmdir(path) : r;
}

void snapshots_clean(struct store *s)
{
	struct place dir = snapshots_of(s), unfinished = place_in(dir.path, UNFINISHED);

	(void)remove_tree(unfinished.path, 0);
}

/* ---- making one ----------------------------------------------------------- */

/* A file that need not be there. */
static int link_in(const char *from_dir, const char *to_dir, const char *name)
{
	struct place from = place_in(from_dir, name), to = place_in(to_dir, name);
	int r = vfs()->link(from.path, to.path);

	return r == -ENOENT ? 0 : r;
}

static int link_block(const struct store *s, const char *to, uint64_t number)
{
	char from[PATH_MAX], dir[PATH_MAX];
	int r;

	block_path(s->dir, number, from);
	block_path(to, number, dir);
	r = vfs()->mkdir(dir);
	for (size_t i = 0; r == 0 && i < sizeof(block_files) / sizeof(block_files[0]); i++)
		r = link_in(from, dir, block_files[i]);
	return r == 0 ? vfs()->sync_dir(dir) : r;
}

/* blocks_lock is held: the manifest's blocks, the damaged ones too, are all there. */
static int fill(const struct store *s, const char *dir)
{
	struct place blocks = place_in(dir, "blocks");
	int r = vfs()->mkdir(blocks.path);

	for (size_t i = 0; r == 0 && i < s->manifest.n_blocks; i++)
		r = link_block(s, dir, s->manifest.blocks[i]);
	if (r == 0)
		r = vfs()->sync_dir(blocks.path);
	if (r == 0)
		r = link_in(s->dir, dir, "tombstones");
	if (r == 0)
		r = link_in(s->dir, dir, "FORMAT");
	return r == 0 ? manifest_write(dir, &s->manifest) : r; /* which syncs the folder */
}

static int make(struct store *s, const char *name)
{
	struct place dir = snapshots_of(s), unfinished = place_in(dir.path, UNFINISHED),
		     to = place_in(dir.path, name);
	int r;

	(void)remove_tree(unfinished.path, 0);
	r = vfs()->mkdir(unfinished.path);
	if (r == 0)
		r = fill(s, unfinished.path);
	if (r == 0)
		r = vfs()->rename(unfinished.path, to.path);
	if (r == 0)
		r = vfs()->sync_dir(dir.path);
	if (r < 0)
		(void)remove_tree(unfinished.path, 0);
	return r;
}

/* By its time, and a number that no other one has had: of the next block, which it uses up. */
static void name_it(struct store *s, char *ret)
{
	time_t now = (time_t)(clock_unix_ms() / 1000);
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	size_t n = strftime(ret, STORE_SNAPSHOT_NAME_MAX, "%Y%m%dT%H%M%SZ", &tm);

	(void)snprintf(ret + n, STORE_SNAPSHOT_NAME_MAX - n, "-%08llu",
	               (unsigned long long)store_block_number(s));
}

int store_snapshot_create(struct store *s, char *ret_name, struct err *e)
{
	char name[STORE_SNAPSHOT_NAME_MAX];
	int r = flush_run(s);

	if (r == 0) {
		(void)pthread_mutex_lock(&s->blocks_lock);
		name_it(s, name);
		r = make(s, name);
		(void)pthread_mutex_unlock(&s->blocks_lock);
	}
	if (r < 0)
		return err_set(e, r, "the snapshot was not made: %s", strerror(-r));
	(void)snprintf(ret_name, STORE_SNAPSHOT_NAME_MAX, "%s", name);
	return 0;
}

/* ---- the others ----------------------------------------------------------- */

/* What name_it() makes, and nothing that leads out of the folder. */
static bool is_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!(c >= '0' && c <= '9') && c != 'T' && c != 'Z' && c != '-')
			return false;
	}
	return name.len > 0 && name.len < STORE_SNAPSHOT_NAME_MAX;
}

struct each {
	store_text_f fn;
	void *ctx;
};

static int each_entry(void *ctx, const char *name)
{
	struct each *each = ctx;

	return is_name(str_from(name)) ? each->fn(each->ctx, str_from(name)) : 0;
}

int store_snapshots_each(struct store *s, store_text_f fn, void *ctx)
{
	struct place dir = snapshots_of(s);
	struct each each = { fn, ctx };
	int r = vfs()->list(dir.path, each_entry, &each);

	return r == -ENOENT ? 0 : r;
}

int store_snapshot_delete(struct store *s, struct str name, struct err *e)
{
	struct place dir = snapshots_of(s), unfinished = place_in(dir.path, UNFINISHED), from;
	char text[STORE_SNAPSHOT_NAME_MAX];
	int r = is_name(name) ? 0 : -ENOENT;

	if (r == 0) {
		(void)snprintf(text, sizeof(text), "%.*s", STR_FMT(name));
		from = place_in(dir.path, text);
		(void)pthread_mutex_lock(&s->blocks_lock);
		(void)remove_tree(unfinished.path, 0);
		/* From here on it is no snapshot, even if the removal does not come to its end. */
		r = vfs()->rename(from.path, unfinished.path);
		if (r == 0)
			r = remove_tree(unfinished.path, 0);
		(void)pthread_mutex_unlock(&s->blocks_lock);
	}
	if (r == -ENOENT)
		return err_set(e, r, "there is no snapshot \"%.*s\"", STR_FMT(name));
	return r < 0 ? err_set(e, r, "%s: %s", from.path, strerror(-r)) : 0;
}
