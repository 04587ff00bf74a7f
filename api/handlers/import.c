/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/import.h"

#include <errno.h>
#include <stdlib.h>

#include "api/reply.h"
#include "userspace/base/alloc.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"

#define BATCH_SERIES  4096u /* appended together */
#define BATCH_SAMPLES 65536u
#define BAD_MAX       5u /* reported */

static struct metric bad_pieces = METRIC_COUNTER("periscope_region_ingest_bad_lines_total", "",
                                                 "Lines or blocks of imports that could not be"
                                                 " read.");
METRIC_REGISTER(bad_pieces);

static int read_extra(struct import *im, struct request *req, struct err *e)
{
	struct label *extra = ARENA_ARRAY(&req->arena, struct label, req->params.n + 1);
	struct str value;

	if (!extra)
		return arena_error(&req->arena);
	for (size_t i = 0; params_next(&req->params, "extra_label", &i, &value);) {
		struct label *l = &extra[im->n_extra++];

		if (!str_cut(value, '=', &l->name, &l->value) || l->name.len == 0)
			return err_set(e, -EINVAL,
			               "argument extra_label: \"%.*s\" is not NAME=VALUE",
			               (int)MIN(value.len, (size_t)60), value.p);
	}
	im->extra = extra;
	return 0;
}

int import_init(struct import *im, struct region *region, struct request *req, const char *piece,
                struct response *resp)
{
	struct err e = ERR_INIT;

	*im = (struct import){ .piece = piece };
	if (intake_init(&im->in, region, req) < 0)
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	im->batch = mem_zalloc(BATCH_SERIES, sizeof(*im->batch));
	if (!im->batch)
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	int r = read_extra(im, req, &e);

	return r < 0 ? reply_args_error(resp, r, &e) : 0;
}

void import_done(struct import *im)
{
	buf_done(&im->keys);
	buf_done(&im->bad);
	free(im->batch);
	free(im->samples);
}

/* Only now the keys and samples stay where they are. */
static int flush(struct import *im)
{
	const struct sample *samples = im->samples;
	size_t begin = 0;

	if (im->keys.err != 0)
		return im->keys.err;
	for (size_t i = 0; i < im->n_series; i++) {
		size_t end = im->batch[i].key.len;

		im->batch[i].key = (struct str){ im->keys.p + begin, end - begin };
		im->batch[i].samples = samples;
		samples += im->batch[i].n_samples;
		begin = end;
	}
	int r = im->n_series > 0 ? intake_add(&im->in, im->batch, im->n_series) : 0;

	im->n_series = im->n_samples = 0;
	buf_clear(&im->keys);
	return r;
}

static bool is_overridden(const struct import *im, struct str name)
{
	for (uint32_t i = 0; i < im->n_extra; i++) {
		if (str_eq(im->extra[i].name, name))
			return true;
	}
	return false;
}

int import_add(struct import *im, const struct label *labels, uint32_t n_labels,
               const struct sample *samples, size_t n_samples)
{
	if (n_samples == 0)
		return 0;
	if (n_samples > UINT32_MAX - BATCH_SAMPLES ||
	    MEM_GROW(im->samples, im->samples_cap, im->n_samples + n_samples) < 0)
		return -ENOMEM;
	memcpy(im->samples + im->n_samples, samples, n_samples * sizeof(*samples));
	im->n_samples += n_samples;
	for (uint32_t i = 0; i < n_labels; i++) {
		if (!is_overridden(im, labels[i].name))
			rw_encode_labels(&im->keys, &labels[i], 1);
	}
	rw_encode_labels(&im->keys, im->extra, im->n_extra);
	/* For now the key's end; flush() knows where it begins. */
	im->batch[im->n_series++] =
		(struct series_keyed){ { NULL, im->keys.len }, NULL, (uint32_t)n_samples };
	return im->n_series == BATCH_SERIES || im->n_samples >= BATCH_SAMPLES ? flush(im) : 0;
}

void import_bad(struct import *im, uint64_t n, const struct err *e)
{
	metric_add(&bad_pieces, 1);
	if (im->n_bad++ >= BAD_MAX)
		return;
	buf_printf(&im->bad, "%s%s %llu: %.150s", im->n_bad > 1 ? "; " : "", im->piece,
	           (unsigned long long)n, e->msg);
	if (e->pos >= 0)
		buf_printf(&im->bad, " (at byte %d)", e->pos);
}

int import_reply(struct import *im, struct response *resp, int r)
{
	if (r == 0)
		r = flush(im);
	if (r < 0)
		return intake_reply_error(resp, r);
	if (im->n_bad == 0)
		return intake_reply(resp, &im->in);
	return reply_error(
		resp, REPLY_BAD_DATA,
		"%llu %ss could not be read (%.*s); %llu samples are stored, %llu refused",
		(unsigned long long)im->n_bad, im->piece, STR_FMT(buf_str(&im->bad)),
		(unsigned long long)im->in.accepted, (unsigned long long)im->in.refused);
}

bool import_next_line(struct str *text, struct str *ret)
{
	if (text->len == 0)
		return false;
	(void)str_cut(*text, '\n', ret, text);
	if (ret->len > 0 && ret->p[ret->len - 1] == '\r')
		ret->len--;
	return true;
}
