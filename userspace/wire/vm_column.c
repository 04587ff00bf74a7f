/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/wire/vm_column.h"

#include <assert.h>
#include <errno.h>

#include "userspace/base/varint.h"
#include "userspace/wire/compress.h"

#define PACKED_MIN 128u /* bytes; less is not worth it */

static int64_t minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_number(struct buf *out, int64_t v)
{
	buf_put_varint(out, zigzag(v));
}

static bool is_even(const int64_t *v, uint32_t n)
{
	for (uint32_t i = 2; i < n; i++) {
		if (minus(v[i], v[i - 1]) != minus(v[1], v[0]))
			return false;
	}
	return true;
}

/* A gauge turns around often; a counter, or a clock, nearly never does. */
static bool turns_often(const int64_t *v, uint32_t n)
{
	uint32_t turns = 0;

	for (uint32_t i = 2; i < n; i++)
		turns += (v[i] > v[i - 1]) != (v[i - 1] > v[i - 2]);
	return turns > 2 && turns > n / 32;
}

static void put_deltas(struct buf *out, const int64_t *v, uint32_t n, bool twice)
{
	int64_t before = 0;

	for (uint32_t i = 1; i < n; i++) {
		int64_t delta = minus(v[i], v[i - 1]);

		put_number(out, minus(delta, before));
		before = twice ? delta : 0;
	}
}

/* Packs what @out has from @from on, if that makes it smaller. */
static int pack_tail(struct buf *out, size_t from, bool *ret_packed)
{
	_cleanup_(buf_done) struct buf packed = BUF_INIT;
	struct str plain = { out->p + from, out->len - from };

	*ret_packed = false;
	if (out->err < 0 || plain.len < PACKED_MIN)
		return out->err;
	int r = coding_pack(CODING_ZSTD, plain, &packed);

	if (r < 0 || packed.len >= plain.len - plain.len / 10)
		return r;
	out->len = from;
	buf_put_str(out, buf_str(&packed));
	*ret_packed = true;
	return out->err;
}

int vm_column_put(struct buf *out, const int64_t *v, uint32_t n, uint8_t *ret_kind)
{
	size_t from = out->len;
	bool packed = false, twice;

	assert(n > 0);
	if (is_even(v, n)) {
		int64_t delta = n > 1 ? minus(v[1], v[0]) : 0;

		if (delta != 0)
			put_number(out, delta);
		*ret_kind = delta != 0 ? VM_DELTA_CONST : VM_CONST;
		return out->err;
	}
	twice = !turns_often(v, n);
	put_deltas(out, v, n, twice);
	int r = pack_tail(out, from, &packed);

	if (packed)
		*ret_kind = twice ? VM_ZSTD_DELTA2 : VM_ZSTD_DELTA;
	else
		*ret_kind = twice ? VM_DELTA2 : VM_DELTA;
	return r;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int get_even(struct str bytes, uint32_t n, int64_t *ret)
{
	const uint8_t *p = (const uint8_t *)bytes.p, *end = p + bytes.len;
	uint64_t delta;

	p = bytes.len > 0 ? varint_get(p, end, &delta) : NULL;
	if (p != end || !p)
		return -EBADMSG;
	for (uint32_t i = 1; i < n; i++)
		ret[i] = plus(ret[i - 1], unzigzag(delta));
	return 0;
}

static int get_deltas(struct str bytes, uint32_t n, bool twice, int64_t *ret)
{
	const uint8_t *p = (const uint8_t *)bytes.p, *end = p + bytes.len;
	int64_t delta = 0;
	uint64_t z;

	if (n < 2)
		return -EBADMSG;
	for (uint32_t i = 1; i < n; i++) {
		p = varint_get(p, end, &z);
		if (!p)
			return -EBADMSG;
		delta = twice ? plus(delta, unzigzag(z)) : unzigzag(z);
		ret[i] = plus(ret[i - 1], delta);
	}
	return p == end ? 0 : -EBADMSG;
}

static int get_packed(struct str bytes, uint32_t n, bool twice, int64_t *ret, struct buf *scratch)
{
	int r = coding_unpack(CODING_ZSTD, bytes, VM_COLUMN_BYTES_MAX(n), scratch);

	if (r == -EFBIG)
		return -EBADMSG;
	return r < 0 ? r : get_deltas(buf_str(scratch), n, twice, ret);
}

int vm_column_get(struct str bytes, uint8_t kind, int64_t first, uint32_t n, int64_t *ret,
                  struct buf *scratch)
{
	if (n == 0)
		return -EBADMSG;
	ret[0] = first;
	switch (kind) {
	case VM_CONST:
		for (uint32_t i = 1; i < n; i++)
			ret[i] = first;
		return bytes.len == 0 ? 0 : -EBADMSG;
	case VM_DELTA_CONST:
		return get_even(bytes, n, ret);
	case VM_DELTA:
	case VM_DELTA2:
		return get_deltas(bytes, n, kind == VM_DELTA2, ret);
	case VM_ZSTD_DELTA:
	case VM_ZSTD_DELTA2:
		return get_packed(bytes, n, kind == VM_ZSTD_DELTA2, ret, scratch);
	default:
		return -EBADMSG;
	}
}
