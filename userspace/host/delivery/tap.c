/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/host/batch.h"
#include "userspace/wire/promtext.h"

struct tap {
	struct buf text;
	uint64_t n_written;
	int fd;
};

int tap_open(struct tap **ret, const char *path, struct err *e)
{
	struct tap *t = mem_zalloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (t->fd < 0) {
		int r = err_set(e, neg_errno(), "--tap: %.160s: %s", path, strerror(errno));

		free(t);
		return r;
	}
	/* A line that a kill cut off ends here. */
	(void)file_write_fd(t->fd, "\n", 1);
	*ret = t;
	return 0;
}

void tap_close(struct tap *t)
{
	if (!t)
		return;
	buf_done(&t->text);
	(void)close(t->fd);
	free(t);
}

static int put_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n_labels,
                      const struct sample *sample)
{
	struct buf *text = ctx;

	(void)id;
	promtext_write_sample(text, labels, n_labels, sample->value, &sample->ts_ms);
	return text->err;
}

static void write_out(struct tap *t)
{
	int r = t->text.err;

	if (r == 0)
		r = file_write_fd(t->fd, t->text.p, t->text.len);
	if (r < 0)
		log_error("delivery: the tap cannot be written", STRV("why", strerror(-r)));
}

void tap_begin(struct tap *t, struct batch *const *batches, size_t n)
{
	if (!t)
		return;
	buf_clear(&t->text);
	buf_printf(&t->text, "begin %llu\n", (unsigned long long)++t->n_written);
	for (size_t i = 0; i < n; i++)
		(void)batch_each(batches[i], true, put_sample, &t->text);
	write_out(t);
}

void tap_queued(struct tap *t)
{
	if (!t)
		return;
	buf_clear(&t->text);
	buf_printf(&t->text, "queued %llu\n", (unsigned long long)t->n_written);
	write_out(t);
}
