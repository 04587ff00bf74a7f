/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/outfile.h"

#include <fcntl.h>

#include "userspace/base/vfs.h"

int outfile_create(struct outfile *f, const char *path)
{
	int fd = vfs()->open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0640);

	*f = OUTFILE_INIT;
	if (fd < 0)
		return fd;
	f->fd = fd;
	return 0;
}

void outfile_done(struct outfile *f)
{
	if (f->fd >= 0)
		(void)vfs()->close(f->fd);
	buf_done(&f->buf);
	*f = OUTFILE_INIT;
}

int outfile_flush(struct outfile *f)
{
	int r = f->buf.err;

	if (r == 0 && f->buf.len > 0)
		r = vfs()->write(f->fd, f->buf.p, f->buf.len);
	if (r == 0) {
		f->bytes += f->buf.len;
		buf_clear(&f->buf);
	}
	return r;
}

int outfile_step(struct outfile *f)
{
	if (f->buf.err < 0)
		return f->buf.err;
	return f->buf.len >= OUTFILE_BUFFER_BYTES ? outfile_flush(f) : 0;
}

int outfile_finish(struct outfile *f)
{
	int r = outfile_flush(f);

	if (r == 0)
		r = vfs()->sync(f->fd);
	if (r == 0) {
		r = vfs()->close(f->fd);
		f->fd = -1;
	}
	return r;
}
