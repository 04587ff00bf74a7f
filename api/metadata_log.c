/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "api/metadata_int.h"
#include "userspace/base/alloc.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/wire/msgpack.h"

#define MAGIC          "periscope metadata 1\n"
#define FRAME_HEAD     8u /* length and checksum */
#define FILE_BYTES_MAX ((size_t)1 << 30)

/* --- writing ---------------------------------------------------------------------------------- */

static void put_frame(struct buf *out, const struct buf *payload)
{
	uint32_t head[2] = { (uint32_t)payload->len, crc32c(0, payload->p, payload->len) };

	buf_put(out, head, sizeof(head));
	buf_put(out, payload->p, payload->len);
}

void metadata_put_def(struct buf *out, const struct metadata_def *d)
{
	_cleanup_(buf_done) struct buf payload = BUF_INIT;

	msgpack_put_array(&payload, 5);
	msgpack_put_uint(&payload, 0);
	msgpack_put_str(&payload, d->name);
	msgpack_put_uint(&payload, (uint64_t)d->type);
	msgpack_put_str(&payload, d->help);
	msgpack_put_str(&payload, d->unit);
	put_frame(out, &payload);
}

void metadata_put_use(struct buf *out, struct str org, uint32_t number)
{
	_cleanup_(buf_done) struct buf payload = BUF_INIT;

	msgpack_put_array(&payload, 3);
	msgpack_put_uint(&payload, 1);
	msgpack_put_str(&payload, org);
	msgpack_put_uint(&payload, number);
	put_frame(out, &payload);
}

/* With a disk that fails memory alone counts from then on. */
void metadata_append(struct metadata *m, const struct buf *frames)
{
	if (m->fd < 0 || (frames->err == 0 && file_write_fd(m->fd, frames->p, frames->len) == 0))
		return;
	log_error("metadata: the file can no longer be written; new metadata is lost at a restart",
	          STRV("file", m->path));
	(void)close(m->fd);
	m->fd = -1;
}

/* --- open and close --------------------------------------------------------------------------- */

/* What the file says about itself while it is read. */
struct replay {
	struct metadata *m;
	struct metadata_def *defs; /* slices of the file */
	size_t n_defs, defs_cap, n_uses;
};

static int replay_def(struct replay *rp, struct msgpack p)
{
	struct metadata_def d = { 0 };
	uint64_t type;

	if (msgpack_str(&p, &d.name) < 0 || msgpack_uint(&p, &type) < 0 || type >= RW_TYPES ||
	    msgpack_str(&p, &d.help) < 0 || msgpack_str(&p, &d.unit) < 0 || !msgpack_at_end(&p))
		return -EBADMSG;
	if (MEM_GROW(rp->defs, rp->defs_cap, rp->n_defs + 1) < 0)
		return -ENOMEM;
	d.type = (enum rw_type)type;
	rp->defs[rp->n_defs++] = d;
	return 0;
}

static int replay_use(struct replay *rp, struct msgpack p)
{
	_cleanup_(buf_done) struct buf ignored = BUF_INIT;
	struct str org;
	uint64_t number;

	if (msgpack_str(&p, &org) < 0 || msgpack_uint(&p, &number) < 0 || !msgpack_at_end(&p) ||
	    number >= rp->n_defs)
		return -EBADMSG;
	rp->n_uses++;
	int r = metadata_add(rp->m, org, &rp->defs[number], &ignored);

	return r == -ENOSPC ? 0 : r;
}

static int replay_frame(struct replay *rp, struct str *rest)
{
	uint32_t head[2], n;
	uint64_t kind;

	if (rest->len < FRAME_HEAD)
		return -EBADMSG;
	memcpy(head, rest->p, sizeof(head));
	if (head[0] > rest->len - FRAME_HEAD || crc32c(0, rest->p + FRAME_HEAD, head[0]) != head[1])
		return -EBADMSG;
	struct msgpack p = msgpack_from((struct str){ rest->p + FRAME_HEAD, head[0] });

	*rest = str_skip(*rest, FRAME_HEAD + head[0]);
	if (msgpack_array(&p, &n) < 0 || msgpack_uint(&p, &kind) < 0)
		return -EBADMSG;
	if (kind == 0 && n == 5)
		return replay_def(rp, p);
	return kind == 1 && n == 3 ? replay_use(rp, p) : -EBADMSG;
}

/* All that is in memory, as a new file. */
static int rewrite(struct metadata *m)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	buf_puts(&out, MAGIC);
	m->next_number = 0;
	for (size_t i = 0; i < m->defs.cap; i++) {
		struct def *d = m->defs.slots[i];

		if (!d)
			continue;
		d->number = m->next_number++;
		metadata_put_def(&out, &d->v);
	}
	for (size_t i = 0; i < m->orgs.cap; i++) {
		const struct org *o = m->orgs.slots[i];

		for (size_t k = 0; o && k < o->cap; k++) {
			if (o->slots[k])
				metadata_put_use(&out, o->name, o->slots[k]->def->number);
		}
	}
	return out.err < 0 ? out.err : file_replace(m->path, out.p, out.len, 0640);
}

/* Reads the file; a missing, foreign or broken one is written anew. */
static int load(struct metadata *m)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct replay rp = { .m = m };
	int r = file_read(m->path, &text, FILE_BYTES_MAX);
	bool whole = r == 0 && str_starts(buf_str(&text), STR(MAGIC));
	struct str rest = whole ? str_skip(buf_str(&text), sizeof(MAGIC) - 1) : STR_NULL;

	if (r == -ENOMEM)
		return r;
	for (r = 0; r == 0 && rest.len > 0;)
		r = replay_frame(&rp, &rest);
	free(rp.defs);
	if (r == -ENOMEM)
		return r;
	/* The numbers in memory are those of the file only when nothing of it was left out. */
	if (!whole || r < 0 || rp.n_defs != m->defs.n || rp.n_uses != m->uses)
		r = rewrite(m);
	return r;
}

static int open_file(struct metadata *m, const char *dir)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT;
	int r = file_mkdirs(dir, 0750);

	buf_printf(&path, "%s/metadata.log", dir);
	m->path = mem_strndup(buf_cstr(&path), path.len);
	if (path.err < 0 || !m->path)
		return -ENOMEM;
	if (r == 0)
		r = load(m);
	if (r < 0)
		return r;
	m->fd = open(m->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	return m->fd < 0 ? neg_errno() : 0;
}

int metadata_open(const char *dir, struct metadata **ret, struct err *e)
{
	struct metadata *m = mem_zalloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->fd = -1;
	(void)pthread_rwlock_init(&m->lock, NULL);
	r = open_file(m, dir);
	if (r < 0) {
		metadata_close(m);
		return err_set(e, r, "%s/metadata.log: %s", dir, strerror(-r));
	}
	*ret = m;
	return 0;
}

void metadata_close(struct metadata *m)
{
	if (!m)
		return;
	if (m->fd >= 0) {
		(void)fdatasync(m->fd);
		(void)close(m->fd);
	}
	for (size_t i = 0; i < m->defs.cap; i++)
		free(m->defs.slots[i]);
	for (size_t i = 0; i < m->orgs.cap; i++) {
		struct org *o = m->orgs.slots[i];

		for (size_t k = 0; o && k < o->cap; k++)
			free(o->slots[k]);
		if (o)
			free(o->slots);
		free(o);
	}
	free(m->defs.slots);
	free(m->orgs.slots);
	(void)pthread_rwlock_destroy(&m->lock);
	free(m->path);
	free(m);
}
