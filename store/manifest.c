/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/manifest.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/outfile.h"
#include "userspace/base/alloc.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/num.h"
#include "userspace/base/vfs.h"

#define HEADLINE  "periscope store manifest "
#define VERSION   1u
#define BYTES_MAX ((size_t)4 << 20)

void manifest_done(struct manifest *m)
{
	free(m->blocks);
	*m = (struct manifest){ 0 };
}

int manifest_add(struct manifest *m, uint64_t block)
{
	size_t i = m->n_blocks;

	if (MEM_GROW(m->blocks, m->blocks_cap, m->n_blocks + 1) < 0)
		return -ENOMEM;
	for (; i > 0 && m->blocks[i - 1] > block; i--)
		m->blocks[i] = m->blocks[i - 1];
	m->blocks[i] = block;
	m->n_blocks++;
	return 0;
}

void manifest_remove(struct manifest *m, uint64_t block)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n_blocks; i++) {
		if (m->blocks[i] != block)
			m->blocks[kept++] = m->blocks[i];
	}
	m->n_blocks = kept;
}

/* ---- text ----------------------------------------------------------------- */

static void put(const struct manifest *m, struct buf *out)
{
	buf_printf(out, HEADLINE "%u\nepoch %llu\nwal %llu\nnext %llu\ndelete %llu\n", VERSION,
	           (unsigned long long)m->epoch, (unsigned long long)m->wal_first,
	           (unsigned long long)m->next_block, (unsigned long long)m->next_delete);
	for (size_t i = 0; i < m->n_blocks; i++)
		buf_printf(out, "block %llu\n", (unsigned long long)m->blocks[i]);
	buf_printf(out, "crc %08x\n", crc32c(0, out->p, out->len));
}

/* The next line, which must be "@key NUMBER". */
static int take_line(struct str *text, const char *key, uint64_t *ret)
{
	struct str line, word, number;

	if (!str_cut(*text, '\n', &line, text) || !str_cut(line, ' ', &word, &number) ||
	    !str_eqc(word, key))
		return -EBADMSG;
	return num_parse_u64(number, ret) < 0 ? -EBADMSG : 0;
}

/* The last line is the checksum of all before it. */
static int check_crc(struct str *text)
{
	static const char last[] = "crc 00000000\n";
	size_t n = sizeof(last) - 1;
	char want[16];

	if (text->len < n)
		return -EBADMSG;
	struct str body = { text->p, text->len - n };

	(void)snprintf(want, sizeof(want), "crc %08x\n", crc32c(0, body.p, body.len));
	if (memcmp(text->p + body.len, want, n) != 0)
		return -EBADMSG;
	*text = body;
	return 0;
}

static int parse_blocks(struct str text, struct manifest *m)
{
	uint64_t block, before = 0;
	int r = 0;

	while (r == 0 && text.len > 0) {
		r = take_line(&text, "block", &block);
		if (r == 0 && (block <= before || block >= m->next_block ||
		               m->n_blocks == MANIFEST_BLOCKS_MAX))
			r = -EBADMSG;
		if (r == 0)
			r = manifest_add(m, block);
		before = block;
	}
	return r;
}

int manifest_parse(struct str text, struct manifest *ret, struct err *e)
{
	struct manifest m = { 0 };
	struct str line, rest = text;
	uint64_t version;
	int r;

	(void)str_cut(text, '\n', &line, &rest);
	if (!str_starts(line, STR(HEADLINE)) ||
	    num_parse_u64(str_skip(line, sizeof(HEADLINE) - 1), &version) < 0)
		return err_set(e, -EBADMSG, "MANIFEST: the first line is damaged");
	if (version > VERSION)
		return err_set(e, -EPROTO, "MANIFEST: version %llu; this program reads version %u",
		               (unsigned long long)version, VERSION);
	r = check_crc(&text);
	if (r == 0) {
		(void)str_cut(text, '\n', &line, &rest);
		r = take_line(&rest, "epoch", &m.epoch);
	}
	if (r == 0)
		r = take_line(&rest, "wal", &m.wal_first);
	if (r == 0)
		r = take_line(&rest, "next", &m.next_block);
	if (r == 0)
		r = take_line(&rest, "delete", &m.next_delete);
	if (r == 0)
		r = parse_blocks(rest, &m);
	if (r < 0) {
		manifest_done(&m);
		return err_set(e, r, "MANIFEST: %s",
		               r == -EBADMSG ? "it is damaged" : strerror(-r));
	}
	*ret = m;
	return 0;
}

/* ---- file ----------------------------------------------------------------- */

int manifest_read(const char *dir, struct manifest *ret, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/MANIFEST", dir);
	r = vfs()->read(path, &text, BYTES_MAX);
	if (r == -ENOENT)
		return r;
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r))
	             : manifest_parse(buf_str(&text), ret, e);
}

static int write_new(const char *path, const struct manifest *m)
{
	struct outfile f;
	int r;

	(void)vfs()->unlink(path); /* what an interrupted try left */
	r = outfile_create(&f, path);
	if (r == 0) {
		put(m, &f.buf);
		r = outfile_finish(&f);
	}
	outfile_done(&f);
	return r;
}

int manifest_write(const char *dir, const struct manifest *m)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/MANIFEST", dir);
	(void)snprintf(fresh, sizeof(fresh), "%s/MANIFEST.new", dir);
	r = write_new(fresh, m);
	if (r == 0)
		r = vfs()->rename(fresh, path);
	return r == 0 ? vfs()->sync_dir(dir) : r;
}
