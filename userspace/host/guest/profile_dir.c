/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/profile_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/util.h"

struct held {
	struct profile profile;
	unsigned n_refs;
};

struct file {
	char name[NAME_MAX + 1];
	struct timespec changed;
	off_t bytes;
	ino_t ino;
	bool seen;         /* by the look that goes on */
	struct held *held; /* NULL: never was good */
};

struct profile_dir {
	char *path;
	struct file files[PROFILE_DIR_MAX];
	size_t n;
};

static struct held *held_of(const struct profile *p)
{
	return container_of(p, struct held, profile);
}

const struct profile *profile_ref(const struct profile *p)
{
	held_of(p)->n_refs++;
	return p;
}

void profile_unref(const struct profile *p)
{
	struct held *h = p ? held_of(p) : NULL;

	if (h && --h->n_refs == 0)
		free(h);
}

int profile_dir_new(struct profile_dir **ret, const char *path)
{
	struct profile_dir *d = mem_zalloc(1, sizeof(*d));

	if (d)
		d->path = mem_strndup(path, strlen(path));
	if (!d || !d->path) {
		free(d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

static void drop(struct file *f)
{
	if (f->held)
		profile_unref(&f->held->profile);
	f->held = NULL;
}

void profile_dir_free(struct profile_dir *d)
{
	for (size_t i = 0; d && i < d->n; i++)
		drop(&d->files[i]);
	if (d)
		free(d->path);
	free(d);
}

/* ---- looking at the folder ------------------------------------------------------------------ */

static bool is_profile_name(const char *name)
{
	size_t len = strlen(name), suffix = strlen(PROFILE_SUFFIX);

	return name[0] != '.' && len > suffix && strcmp(name + len - suffix, PROFILE_SUFFIX) == 0;
}

static struct file *file_of(struct profile_dir *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->files[i].name, name) == 0)
			return &d->files[i];
	}
	if (d->n == PROFILE_DIR_MAX)
		return NULL;
	struct file *f = &d->files[d->n++];

	*f = (struct file){ 0 };
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	return f;
}

static int read_profile(int dir_fd, const char *name, struct held **ret, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	_cleanup_free_ struct held *h = mem_zalloc(1, sizeof(*h));
	int r = h ? file_read_regular_at(dir_fd, name, &text, PROFILE_BYTES_MAX) : -ENOMEM;

	if (r < 0)
		return err_set(e, r, "%s: %s", name, strerror(-r));
	r = profile_read(name, buf_str(&text), &h->profile, e);
	if (r < 0)
		return r;
	h->n_refs = 1;
	*ret = TAKE_PTR(h);
	return 0;
}

static bool is_unchanged(const struct file *f, const struct stat *st)
{
	return f->ino == st->st_ino && f->bytes == st->st_size &&
	       f->changed.tv_sec == st->st_mtim.tv_sec && f->changed.tv_nsec == st->st_mtim.tv_nsec;
}

static bool look_at(struct profile_dir *d, int dir_fd, const char *name, profile_dir_bad_f bad,
                    void *ctx)
{
	struct file *f = file_of(d, name);
	struct err e = ERR_INIT;
	struct held *fresh = NULL;
	struct stat st;

	if (!f || fstatat(dir_fd, name, &st, 0) < 0)
		return false;
	f->seen = true;
	if (is_unchanged(f, &st))
		return false;
	f->changed = st.st_mtim;
	f->bytes = st.st_size;
	f->ino = st.st_ino;
	if (read_profile(dir_fd, name, &fresh, &e) < 0) {
		bad(ctx, e.msg);
		return false;
	}
	drop(f);
	f->held = fresh;
	return true;
}

static void forget_unseen(struct profile_dir *d)
{
	for (size_t i = 0; i < d->n;) {
		if (d->files[i].seen) {
			i++;
			continue;
		}
		drop(&d->files[i]);
		d->files[i] = d->files[--d->n];
	}
}

bool profile_dir_refresh(struct profile_dir *d, profile_dir_bad_f bad, void *ctx)
{
	DIR *dir = opendir(d->path);
	bool changed = false;

	for (size_t i = 0; i < d->n; i++)
		d->files[i].seen = false;
	for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
		if (is_profile_name(e->d_name))
			changed |= look_at(d, dirfd(dir), e->d_name, bad, ctx);
	}
	if (dir)
		(void)closedir(dir);
	forget_unseen(d);
	return changed;
}

size_t profile_dir_n(const struct profile_dir *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->files[i].held != NULL;
	return n;
}

static bool is_meant(const struct file *f, const char *name)
{
	size_t len = strlen(f->name) - strlen(PROFILE_SUFFIX);

	return name[0] == '\0' || (strlen(name) == len && memcmp(f->name, name, len) == 0) ||
	       strcmp(f->held->profile.build_id, name) == 0 ||
	       strcmp(f->held->profile.release, name) == 0;
}

size_t profile_dir_find(const struct profile_dir *d, const char *name, const struct profile **out,
                        size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n && n < cap; i++) {
		if (d->files[i].held && is_meant(&d->files[i], name))
			out[n++] = &d->files[i].held->profile;
	}
	return n;
}
