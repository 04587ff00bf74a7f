/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/volumes/lvm_tags.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/util.h"

#define OUTPUT_BYTES_MAX ((size_t)16 << 20)
#define UUID_CHARS       32 /* of each of the two, dashes not counted */
#define DM_PREFIX        "LVM-"

void lvm_tags_done(struct lvm_tags *t)
{
	free(t->rows);
	*t = (struct lvm_tags){ 0 };
}

/* ---- the answer ----------------------------------------------------------------------------- */

/* The 64 letters of lvm2's format of identifiers. */
static bool is_uuid_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '!' || c == '#';
}

/* Appends an UUID without its dashes. */
static bool put_uuid(struct str text, char *dst, size_t *len)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '-')
			continue;
		if (n++ == UUID_CHARS || !is_uuid_char(text.p[i]))
			return false;
		dst[(*len)++] = text.p[i];
	}
	dst[*len] = '\0';
	return n == UUID_CHARS;
}

static void take_tag(struct lvm_tags_row *row, struct str tag)
{
	const struct {
		struct str name;
		char *dst;
		size_t cap;
	} known[] = {
		{ STR("periscope.volume="), row->volume, sizeof(row->volume) },
		{ STR("periscope.org="), row->org, sizeof(row->org) },
		{ STR("periscope.app="), row->app, sizeof(row->app) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct str value = str_skip(tag, known[i].name.len);

		if (!str_starts(tag, known[i].name) || value.len == 0 || value.len >= known[i].cap)
			continue;
		memcpy(known[i].dst, value.p, value.len);
		known[i].dst[value.len] = '\0';
	}
}

static bool parse_line(struct str line, struct lvm_tags_row *ret)
{
	struct str vg, lv, tags, tag;
	size_t len = 0;

	*ret = (struct lvm_tags_row){ 0 };
	if (!str_cut(str_trim(line), '|', &vg, &line) || !str_cut(line, '|', &lv, &tags) ||
	    !put_uuid(str_trim(vg), ret->uuid, &len) || !put_uuid(str_trim(lv), ret->uuid, &len))
		return false;
	while (tags.len > 0) {
		(void)str_cut(tags, ',', &tag, &tags);
		take_tag(ret, str_trim(tag));
	}
	return ret->volume[0] || ret->org[0] || ret->app[0];
}

static int cmp_rows(const void *a, const void *b)
{
	const struct lvm_tags_row *x = a, *y = b;

	return strcmp(x->uuid, y->uuid);
}

int lvm_tags_parse(struct lvm_tags *t, struct str text)
{
	struct lvm_tags_row row;
	struct str line;

	while (text.len > 0) {
		(void)str_cut(text, '\n', &line, &text);
		if (!parse_line(line, &row) || t->n == LVM_TAGS_MAX)
			continue;
		if (MEM_GROW(t->rows, t->cap, t->n + 1) < 0)
			return -ENOMEM;
		t->rows[t->n++] = row;
	}
	if (t->n > 0)
		qsort(t->rows, t->n, sizeof(t->rows[0]), cmp_rows);
	return 0;
}

const struct lvm_tags_row *lvm_tags_find(const struct lvm_tags *t, const char *dm_uuid)
{
	struct lvm_tags_row key = { 0 };
	size_t len = strlen(dm_uuid), prefix = strlen(DM_PREFIX);

	/* Behind the two there may be a suffix: the hidden devices of a pool have one. */
	if (t->n == 0 || len != prefix + 2 * (size_t)UUID_CHARS ||
	    strncmp(dm_uuid, DM_PREFIX, prefix) != 0)
		return NULL;
	memcpy(key.uuid, dm_uuid + prefix, len - prefix);
	return bsearch(&key, t->rows, t->n, sizeof(t->rows[0]), cmp_rows);
}

/* ---- the question --------------------------------------------------------------------------- */

struct lvm_query {
	pid_t pid;
	int fd;
	struct buf text;
};

void lvm_query_free(struct lvm_query *q)
{
	if (!q)
		return;
	if (q->fd >= 0)
		(void)close(q->fd);
	if (q->pid > 0) {
		(void)kill(q->pid, SIGKILL); /* its number is not given away before we ask */
		(void)waitpid(q->pid, NULL, WNOHANG);
	}
	buf_done(&q->text);
	free(q);
}

/* Reads only, takes no lock, and is not told of devices that the host hides from LVM. */
static int spawn_lvs(int out, pid_t *ret)
{
	static const char *const argv[] = { "lvs",
		                            "--readonly",
		                            "--noheadings",
		                            "--separator",
		                            "|",
		                            "--options",
		                            "vg_uuid,lv_uuid,lv_tags",
		                            NULL };
	static const char *const env[] = { "PATH=/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C",
		                           "LVM_SUPPRESS_FD_WARNINGS=1", NULL };
	posix_spawn_file_actions_t files;
	int r = posix_spawn_file_actions_init(&files);

	if (r != 0)
		return -r;
	r = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&files, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawnp(ret, "lvs", &files, NULL, (char *const *)(uintptr_t)argv,
		                 (char *const *)(uintptr_t)env);
	(void)posix_spawn_file_actions_destroy(&files);
	return -r;
}

int lvm_query_start(struct lvm_query **ret)
{
	struct lvm_query *q = mem_zalloc(1, sizeof(*q));
	int ends[2], r;

	if (!q)
		return -ENOMEM;
	q->fd = -1;
	q->text.max = OUTPUT_BYTES_MAX;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = neg_errno();
		lvm_query_free(q);
		return r;
	}
	q->fd = ends[0];
	(void)fcntl(ends[1], F_SETFL, 0); /* lvs would not expect it */
	r = spawn_lvs(ends[1], &q->pid);
	(void)close(ends[1]);
	if (r < 0) {
		q->pid = 0;
		lvm_query_free(q);
		return r;
	}
	*ret = q;
	return 0;
}

int lvm_query_fd(const struct lvm_query *q)
{
	return q->fd;
}

/* Its exit status is not looked at: it complains of one bad group and still tells of the others. */
static int finish(struct lvm_query *q, struct lvm_tags *ret)
{
	struct lvm_tags fresh = { 0 };
	int r = q->text.err;

	if (r == 0)
		r = lvm_tags_parse(&fresh, buf_str(&q->text));
	if (r < 0) {
		lvm_tags_done(&fresh);
		return r;
	}
	lvm_tags_done(ret);
	*ret = fresh;
	return 1;
}

int lvm_query_read(struct lvm_query *q, struct lvm_tags *ret)
{
	char bytes[16384];
	ssize_t n;

	while ((n = read(q->fd, bytes, sizeof(bytes))) > 0)
		buf_put(&q->text, bytes, (size_t)n);
	if (n == 0)
		return finish(q, ret);
	return errno == EAGAIN || errno == EINTR ? 0 : neg_errno();
}
