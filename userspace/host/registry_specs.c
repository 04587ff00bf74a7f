/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folder of descriptions. A file is read when its writer has closed it, or when it was moved or
 * linked into place; a file that is being written is not touched, so a slow writer is no error.
 *
 * A bad file keeps the description that was good before it, is logged once for each reading, and
 * stays visible in periscope_host_spec_bad until it is mended or gone.
 */
#include "userspace/host/registry_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/host/host_conf.h"

#define EVENTS                                                                                   \
	(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ONLYDIR)
#define BAD_MAX     1024
#define EVENT_BYTES ((size_t)64 << 10)

static struct entry *by_instance(const struct registry *r, struct str instance)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		if (r->entries[i]->spec && str_eqc(instance, r->entries[i]->spec->instance))
			return r->entries[i];
	}
	return NULL;
}

static struct str stem(const char *name)
{
	return (struct str){ name, strlen(name) - strlen(".json") };
}

/* ---- bad files ------------------------------------------------------------------------------ */

static void bad_clear(struct registry *r, const char *name)
{
	pthread_mutex_lock(&r->bad_lock);
	for (size_t i = 0; i < r->n_bad; i++) {
		if (strcmp(r->bad[i].name, name) == 0) {
			r->bad[i] = r->bad[--r->n_bad];
			break;
		}
	}
	pthread_mutex_unlock(&r->bad_lock);
}

static void bad_set(struct registry *r, const char *name, const char *why)
{
	bad_clear(r, name);
	log_warn("registry: description refused", STRV("why", why));
	pthread_mutex_lock(&r->bad_lock);
	if (r->n_bad < BAD_MAX && MEM_GROW(r->bad, r->bad_cap, r->n_bad + 1) == 0) {
		struct bad_file *b = &r->bad[r->n_bad++];

		(void)snprintf(b->name, sizeof(b->name), "%s", name);
		(void)snprintf(b->why, sizeof(b->why), "%s", why);
	}
	pthread_mutex_unlock(&r->bad_lock);
}

/* Not the file's fault, and soon over perhaps: the folder is read again. */
static void failed(struct registry *r, const char *name, int code, const char *why)
{
	if (code == -ENOMEM || code == -EMFILE || code == -ENFILE)
		r->next_folder_ns = registry_in_seconds(r, 1);
	bad_set(r, name, why);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void file_gone(struct registry *r, const char *name)
{
	struct entry *e = by_instance(r, stem(name));

	bad_clear(r, name);
	if (e)
		registry_remove(r, e);
}

static void take_spec(struct registry *r, const char *name, struct vm_spec *spec)
{
	struct entry *e = by_instance(r, str_from(spec->instance));

	bad_clear(r, name);
	if (e && memcmp(e->spec, spec, sizeof(*spec)) == 0) {
		free(spec);
		return;
	}
	if (e) {
		registry_change_spec(r, e, spec);
		return;
	}
	int res = registry_add_spec(r, spec);

	if (res < 0)
		failed(r, name, res, res == -ENOSPC ? "too many VMs" : strerror(-res));
}

static void file_changed(struct registry *r, int dirfd, const char *name)
{
	_cleanup_free_ struct vm_spec *spec = mem_zalloc(1, sizeof(*spec));
	struct err e = ERR_INIT;
	int res = spec ? spec_load(dirfd, name, spec, &e) : -ENOMEM;

	if (res == -ENOENT)
		file_gone(r, name);
	else if (res < 0)
		failed(r, name, res, e.msg[0] ? e.msg : strerror(-res));
	else
		take_spec(r, name, TAKE_PTR(spec));
}

static int open_folder(const struct registry *r)
{
	int fd = open(r->conf->vms_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? neg_errno() : fd;
}

static void close_dir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static bool is_there(int dirfd, const char *instance)
{
	char name[NAME_MAX + 1];

	(void)snprintf(name, sizeof(name), "%s.json", instance);
	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* @dirfd < 0: there is no such folder. */
static void drop_missing(struct registry *r, int dirfd)
{
	for (size_t i = r->n_entries; i-- > 0;) {
		struct entry *e = r->entries[i];

		if (e->spec && (dirfd < 0 || !is_there(dirfd, e->spec->instance)))
			registry_remove(r, e);
	}
}

static void drop_bad(struct registry *r, int dirfd)
{
	for (size_t i = r->n_bad; i-- > 0;) {
		char name[NAME_MAX + 1];

		memcpy(name, r->bad[i].name, sizeof(name));
		if (dirfd < 0 || faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			bad_clear(r, name);
	}
}

void registry_specs_scan(struct registry *r)
{
	int fd = open_folder(r);
	_cleanup_(close_dir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *ent;

	if (!dir && fd != -ENOENT && fd != -ENOTDIR) {
		/* Out of descriptors or memory: that says nothing about the VMs. */
		closep(&fd);
		r->next_folder_ns = registry_in_seconds(r, 1);
		return;
	}
	drop_missing(r, fd);
	drop_bad(r, fd);
	while (dir && (ent = readdir(dir))) {
		if (spec_is_name(ent->d_name))
			file_changed(r, fd, ent->d_name);
	}
}

/* ---- inotify -------------------------------------------------------------------------------- */

void registry_specs_retry(struct registry *r)
{
	r->next_folder_ns = NO_TIME;
	(void)file_mkdirs(r->conf->vms_dir, 0755); /* if it fails, the watch says why */
	r->watch = inotify_add_watch(r->inotify_fd, r->conf->vms_dir, EVENTS);
	if (r->watch < 0) {
		log_warn("registry: cannot watch the folder of descriptions",
		         STRV("folder", r->conf->vms_dir), STRV("why", strerror(errno)));
		r->next_folder_ns = registry_in_seconds(r, 1);
	}
	/* After the watch, so that nothing falls between the two. */
	registry_specs_scan(r);
}

int registry_specs_open(struct registry *r, struct err *e)
{
	r->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->inotify_fd < 0)
		return err_set(e, neg_errno(), "inotify: %s", strerror(errno));
	r->watch = -1;
	return 0;
}

/* A file linked into place is complete, and nobody closes it; any other new file is not yet. */
static bool is_complete(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

static void on_event(struct registry *r, int dirfd, const struct inotify_event *ev)
{
	if (ev->len == 0 || !spec_is_name(ev->name))
		return;
	if (ev->mask & (IN_DELETE | IN_MOVED_FROM))
		file_gone(r, ev->name);
	else if (!(ev->mask & IN_CREATE) || is_complete(dirfd, ev->name))
		file_changed(r, dirfd, ev->name);
}

/* The folder itself went away or was replaced: begin again with the one that is there now. */
static void folder_lost(struct registry *r)
{
	(void)inotify_rm_watch(r->inotify_fd, r->watch);
	registry_specs_retry(r);
}

static bool on_events(struct registry *r, int dirfd, const char *p, const char *end)
{
	while (p < end) {
		struct inotify_event ev;

		memcpy(&ev, p, sizeof(ev));
		if (ev.mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
			folder_lost(r);
			return false;
		}
		if (ev.mask & IN_Q_OVERFLOW)
			registry_specs_scan(r);
		else if (!(ev.mask & IN_IGNORED) && dirfd >= 0)
			on_event(r, dirfd, (const struct inotify_event *)(const void *)p);
		p += sizeof(ev) + ev.len;
	}
	return true;
}

void registry_specs_dispatch(struct registry *r)
{
	_cleanup_close_ int dirfd = open_folder(r);
	_Alignas(struct inotify_event) char events[EVENT_BYTES];
	ssize_t n;

	if (dirfd < 0) /* what the events tell will be seen by a scan */
		r->next_folder_ns = registry_in_seconds(r, 1);
	do
		n = read(r->inotify_fd, events, sizeof(events));
	while (n > 0 && on_events(r, dirfd, events, events + n));
}
