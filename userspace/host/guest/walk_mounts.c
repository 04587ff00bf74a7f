/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where filesystems on block devices are mounted, as the guest's first process sees them; what
 * statfs(2) would say of each is in walk_statfs.c.
 *
 * A directory of a filesystem that is mounted in a second place (a bind mount) is left out when the
 * filesystem itself is mounted: its numbers are the same.
 *
 * Source: fs/namespace.c, fs/d_path.c (prepend_path), fs/proc_namespace.c.
 */
#include <errno.h>

#include "userspace/base/util.h"
#include "userspace/host/guest/walk.h"

#define MOUNTS_MAX     128u
#define LEVELS_MAX     16u         /* of mounts in mounts */
#define COMPONENTS_MAX 32u         /* of a path */
#define CURSOR         0x10000000u /* MNT_CURSOR: a reader's place in the list, not a mount */
#define TREE_NODE_LEFT 16u         /* struct rb_node: parent and colour, right, left */

struct found {
	uint64_t super;
	bool whole; /* the filesystem's own root, not a directory in it */
};

struct visit {
	uint64_t namespace, root_mount, root_dentry; /* of the guest's first process */
	struct found found[GUEST_MOUNTS_MAX];        /* of what is in w->out->mounts */
};

/* ---- where it is mounted -------------------------------------------------------------------- */

/* Writes "/NAME" before @at in @path; returns where it begins, 0 when it does not fit. */
static uint32_t prepend(struct walk *w, uint64_t dentry, char path[GUEST_PATH_CAP], uint32_t at)
{
	char name[GUEST_PATH_CAP];
	uint32_t len;

	walk_text(w, walk_get(w, dentry, F_DENTRY_NAME), name, sizeof(name));
	len = (uint32_t)strlen(name);
	if (len == 0 || len + 1 > at)
		return 0;
	memcpy(path + at - len, name, len);
	path[at - len - 1] = '/';
	return at - len - 1;
}

/* From the mount up to the root of the first process; false when it is not below that. */
static bool path_of(struct walk *w, const struct visit *v, uint64_t mount, char dst[GUEST_PATH_CAP])
{
	uint64_t vfs = walk_place(w, mount, F_MOUNT_VFS), dentry = walk_get(w, vfs, F_VFS_ROOT);
	char path[GUEST_PATH_CAP];
	uint32_t at = sizeof(path) - 1, levels = 0, components = 0;

	path[at] = '\0';
	while (!walk_failed(w) && (vfs != v->root_mount || dentry != v->root_dentry)) {
		uint64_t parent;

		if (dentry != walk_get(w, vfs, F_VFS_ROOT)) {
			at = components++ < COMPONENTS_MAX ? prepend(w, dentry, path, at) : 0;
			if (at == 0)
				return false;
			dentry = walk_get(w, dentry, F_DENTRY_PARENT);
			continue;
		}
		parent = walk_get(w, mount, F_MOUNT_PARENT);
		if (parent == mount || levels++ == LEVELS_MAX)
			return false;
		dentry = walk_get(w, mount, F_MOUNT_POINT);
		mount = parent;
		vfs = walk_place(w, mount, F_MOUNT_VFS);
	}
	if (path[at] == '\0')
		path[--at] = '/';
	memcpy(dst, path + at, sizeof(path) - at);
	return !walk_failed(w);
}

/* ---- the list ------------------------------------------------------------------------------- */

/* Where to put it: in the place of what is mounted below it, or behind all. */
static uint32_t place_of(const struct walk *w, const char *path)
{
	uint32_t i = 0;

	while (i < w->out->n_mounts && strcmp(w->out->mounts[i].path, path) != 0)
		i++;
	return i;
}

static void look_at(struct walk *w, struct visit *v, uint64_t mount)
{
	uint64_t vfs = walk_place(w, mount, F_MOUNT_VFS), super;
	struct guest_mount m = { 0 };
	uint32_t at;

	if (walk_get(w, vfs, F_VFS_FLAGS) & CURSOR)
		return;
	super = walk_get(w, vfs, F_VFS_SUPER);
	if (!walk_statfs(w, super, &m) || !path_of(w, v, mount, m.path))
		return;
	at = place_of(w, m.path);
	if (at == GUEST_MOUNTS_MAX)
		return;
	w->out->n_mounts = MAX(w->out->n_mounts, at + 1);
	w->out->mounts[at] = m;
	v->found[at].super = super;
	v->found[at].whole = walk_get(w, vfs, F_VFS_ROOT) == walk_get(w, super, F_SUPER_ROOT);
}

static void visit_list(struct walk *w, struct visit *v)
{
	struct walk_list l = walk_list_begin(walk_place(w, v->namespace, F_MOUNTS_LIST),
	                                     w->p->fields[F_MOUNT_LISTED].offset, MOUNTS_MAX);
	uint64_t mount;

	while ((mount = walk_list_next(w, &l)) != 0)
		look_at(w, v, mount);
}

static uint64_t node_right(struct walk *w, uint64_t node)
{
	return walk_u64(w, node + 8);
}

static uint64_t leftmost(struct walk *w, uint64_t node)
{
	for (uint32_t depth = 0; depth < MOUNTS_MAX && node != 0; depth++) {
		uint64_t left = walk_u64(w, node + TREE_NODE_LEFT);

		if (left == 0)
			return node;
		node = left;
	}
	return 0;
}

/* The next node in order: down to the right, or up until we come from the left. */
static uint64_t next_node(struct walk *w, uint64_t node)
{
	uint64_t right = node_right(w, node), parent;

	if (right != 0)
		return leftmost(w, right);
	for (uint32_t depth = 0; depth < MOUNTS_MAX && !walk_failed(w); depth++) {
		parent = walk_u64(w, node) & ~(uint64_t)3;
		if (parent == 0 || node_right(w, parent) != node)
			return parent;
		node = parent;
	}
	return 0;
}

static void visit_tree(struct walk *w, struct visit *v)
{
	uint64_t node = leftmost(w, walk_get(w, v->namespace, F_MOUNTS_TREE));

	for (uint32_t n = 0; node != 0 && !walk_failed(w); n++) {
		if (n == MOUNTS_MAX) {
			mem_fail(w->m, -ELOOP);
			return;
		}
		look_at(w, v, node - w->p->fields[F_MOUNT_NODE].offset);
		node = next_node(w, node);
	}
}

static bool is_seen_whole(const struct walk *w, const struct visit *v, uint64_t super)
{
	for (uint32_t i = 0; i < w->out->n_mounts; i++) {
		if (v->found[i].super == super && v->found[i].whole)
			return true;
	}
	return false;
}

static void drop_parts(struct walk *w, const struct visit *v)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < w->out->n_mounts; i++) {
		if (v->found[i].whole || !is_seen_whole(w, v, v->found[i].super))
			w->out->mounts[kept++] = w->out->mounts[i];
	}
	w->out->n_mounts = kept;
}

void walk_mounts(struct walk *w)
{
	uint64_t init = walk_get(w, walk_symbol(w, S_PID_NAMESPACE), F_REAPER);
	uint64_t spaces = walk_get(w, init, F_TASK_NAMESPACES), fs = walk_get(w, init, F_TASK_FS);
	struct visit v = { 0 };

	w->out->n_mounts = 0;
	if (init == 0 || spaces == 0 || fs == 0)
		return; /* it begins or ends */
	v.namespace = walk_get(w, spaces, F_NAMESPACE_MOUNTS);
	v.root_mount = walk_get(w, fs, F_FS_ROOT_MOUNT);
	v.root_dentry = walk_get(w, fs, F_FS_ROOT_DENTRY);
	if (walk_has(w, F_MOUNTS_TREE) && walk_has(w, F_MOUNT_NODE))
		visit_tree(w, &v);
	else if (walk_has(w, F_MOUNTS_LIST))
		visit_list(w, &v);
	else
		mem_fail(w->m, -ENODATA);
	/* Kept compact only now: found[] has the same order. */
	if (!walk_failed(w))
		drop_parts(w, &v);
}
