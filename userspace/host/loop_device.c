/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/loop_device.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/err.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/str.h"

#define TEXT_BYTES_MAX ((size_t)8192) /* a path has at most 4096 */

static void close_dir(DIR *dir)
{
	if (dir)
		(void)closedir(dir);
}

DEFINE_CLEANUP(DIR *, close_dir);

void loop_devices_done(struct loop_devices *t)
{
	free(t->rows);
	*t = (struct loop_devices){ 0 };
}

/* One line of a file below the device's folder, without its end. */
static int read_line(const char *sys_block, const char *name, const char *file, struct buf *text)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s/%s", sys_block, name, file);
	buf_clear(text);
	return file_read(path, text, TEXT_BYTES_MAX);
}

/* "7:3" */
static int parse_dev(struct str text, dev_t *ret)
{
	struct str left, right;
	uint64_t major_number, minor_number;

	if (!str_cut(str_trim(text), ':', &left, &right) ||
	    num_parse_u64(left, &major_number) < 0 || num_parse_u64(right, &minor_number) < 0 ||
	    major_number > UINT32_MAX || minor_number > UINT32_MAX)
		return -EBADMSG;
	*ret = makedev((unsigned)major_number, (unsigned)minor_number);
	return 0;
}

/* A loop device without a file has no such folder; a file may be gone, or in another namespace. */
static int add_row(struct loop_devices *t, const char *sys_block, const char *name)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct loop_device row;
	struct stat st;

	if (read_line(sys_block, name, "dev", &text) < 0 ||
	    parse_dev(buf_str(&text), &row.dev) < 0 ||
	    read_line(sys_block, name, "loop/backing_file", &text) < 0 || text.len == 0)
		return 0;
	if (text.p[text.len - 1] == '\n')
		text.len--;
	if (stat(buf_cstr(&text), &st) < 0)
		return 0;
	if (MEM_GROW(t->rows, t->cap, t->n + 1) < 0)
		return -ENOMEM;
	row.file_dev = st.st_dev;
	row.file_ino = st.st_ino;
	t->rows[t->n++] = row;
	return 0;
}

static void read_all(struct loop_devices *t, const char *sys_block)
{
	_cleanup_(close_dirp) DIR *dir = opendir(sys_block);
	const struct dirent *entry;

	t->n = 0;
	t->read_ns = clock_mono_ns();
	while (dir && (entry = readdir(dir))) {
		if (str_starts(str_from(entry->d_name), STR("loop")) &&
		    add_row(t, sys_block, entry->d_name) < 0)
			return; /* what is known so far has to do */
	}
}

dev_t loop_devices_find(struct loop_devices *t, const char *sys_block, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (t->read_ns == 0 || clock_mono_ns() - t->read_ns > LOOP_DEVICES_AGE_NS_MAX)
		read_all(t, sys_block);
	for (size_t i = 0; i < t->n; i++) {
		if (t->rows[i].file_dev == st.st_dev && t->rows[i].file_ino == st.st_ino)
			return t->rows[i].dev;
	}
	return 0;
}
