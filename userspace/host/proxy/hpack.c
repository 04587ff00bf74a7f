/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/proxy/hpack.h"

#include <errno.h>
#include <stdlib.h>

#include <nghttp2/nghttp2.h>

#include "userspace/base/alloc.h"

#define FIELDS_MAX 1000 /* of one block */

struct hpack {
	nghttp2_hd_inflater *inflater; /* NULL while the table is lost: each block has its own */
};

/*
 * Peers agree on the table's size in frames that we do not read; who may use more than the default
 * says so in a block, and we let it.
 */
static nghttp2_hd_inflater *new_inflater(void)
{
	nghttp2_hd_inflater *inflater;

	if (nghttp2_hd_inflate_new(&inflater) != 0)
		return NULL;
	if (nghttp2_hd_inflate_change_table_size(inflater, HPACK_TABLE_MAX) != 0) {
		nghttp2_hd_inflate_del(inflater);
		return NULL;
	}
	return inflater;
}

int hpack_new(struct hpack **ret)
{
	struct hpack *h = mem_zalloc(1, sizeof(*h));

	if (h)
		h->inflater = new_inflater();
	if (!h || !h->inflater) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void hpack_lose(struct hpack *h)
{
	if (h->inflater)
		nghttp2_hd_inflate_del(h->inflater);
	h->inflater = NULL;
}

void hpack_free(struct hpack *h)
{
	if (h)
		hpack_lose(h);
	free(h);
}

bool hpack_is_lost(const struct hpack *h)
{
	return h->inflater == NULL;
}

static int inflate(nghttp2_hd_inflater *inflater, const uint8_t *bytes, size_t n, hpack_field_f fn,
                   void *ctx)
{
	for (int i = 0; i < FIELDS_MAX; i++) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, bytes, n, 1);

		if (used < 0)
			return -EBADMSG;
		bytes += used;
		n -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			fn(ctx, (struct str){ (const char *)nv.name, nv.namelen },
			   (struct str){ (const char *)nv.value, nv.valuelen });
		if (flags & NGHTTP2_HD_INFLATE_FINAL) {
			(void)nghttp2_hd_inflate_end_headers(inflater);
			return 0;
		}
	}
	return -EBADMSG;
}

int hpack_block(struct hpack *h, const uint8_t *bytes, size_t n, hpack_field_f fn, void *ctx)
{
	nghttp2_hd_inflater *own = h->inflater ? NULL : new_inflater();
	nghttp2_hd_inflater *inflater = h->inflater ? h->inflater : own;
	int r = inflater ? inflate(inflater, bytes, n, fn, ctx) : -ENOMEM;

	if (own)
		nghttp2_hd_inflate_del(own);
	if (r < 0)
		hpack_lose(h);
	return r;
}
