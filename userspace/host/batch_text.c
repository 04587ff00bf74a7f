/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/batch_text.h"

#include <stdio.h>

#include "userspace/host/batch.h"
#include "userspace/host/catalog.h"
#include "userspace/wire/promtext.h"

struct family {
	struct buf *out;
	enum series_id id;
	bool begun;
};

static int put_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n_labels,
                      const struct sample *sample)
{
	struct family *f = ctx;
	char name[SERIES_PREFIX_BYTES_MAX + 128];

	if (id != f->id)
		return 0;
	/* The three parts of a histogram are one family: they follow each other. */
	if (!f->begun && catalog[id].part <= SERIES_BUCKET) {
		(void)snprintf(name, sizeof(name), "%.*s", STR_FMT(catalog_family(id)));
		promtext_write_metadata(f->out, name, series_type_name(catalog[id].type),
		                        catalog[id].help);
	}
	f->begun = true;
	promtext_write_sample(f->out, labels, n_labels, sample->value, NULL);
	return f->out->err;
}

int batch_write_text(const struct batch *b, struct buf *out)
{
	int r = 0;

	for (unsigned id = 0; r == 0 && id < SERIES_N; id++) {
		struct family f = { .out = out, .id = (enum series_id)id };

		r = batch_each(b, false, put_sample, &f);
	}
	return r;
}
