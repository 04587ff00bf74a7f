/* SPDX-License-Identifier: BSD-2-Clause */
/* Compressed answers: what a client asked for, and pieces that unpack to what went in. */
#include "tests/unit/unit.h"

#include <zlib.h>
#include <zstd.h>

#include "api/http/gunzip.h"
#include "api/http/pack.h"

static void test_choose(void **state)
{
	static const struct {
		const char *accept;
		enum pack want;
	} rows[] = {
		{ "", PACK_NONE },
		{ "gzip", PACK_GZIP },
		{ "gzip, deflate, br, zstd", PACK_ZSTD },
		{ "GZip", PACK_GZIP },
		{ "zstd;q=0, gzip;q=0.5", PACK_GZIP },
		{ "gzip;q=0", PACK_NONE },
		{ "gzip; q=0.0", PACK_NONE },
		{ "gzip;level=9;q=1", PACK_GZIP },
		{ "identity", PACK_NONE },
		{ "*", PACK_NONE },
		{ ",,;;,gzip,", PACK_GZIP },
		{ "gzipped", PACK_NONE },
		{ "gzip;q=x", PACK_GZIP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].accept);
		assert_int_equal(rows[i].want, pack_choose(str_from(rows[i].accept)));
	}
}

static void unpack(enum pack kind, const struct buf *packed, struct buf *out)
{
	if (kind == PACK_GZIP) {
		assert_int_equal(0, gunzip(buf_str(packed), (size_t)1 << 24, out));
		return;
	}
	char *dst = buf_reserve(out, (size_t)1 << 24);
	size_t n = ZSTD_decompress(dst, (size_t)1 << 24, packed->p, packed->len);

	assert_false(ZSTD_isError(n));
	out->len = n;
}

/* Pieces of any size, compressible or not. */
static void test_pieces(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 100, 5000, 300000 };
	struct rng rng = unit_rng();

	(void)state;
	for (enum pack kind = PACK_GZIP; kind <= PACK_ZSTD; kind++) {
		for (int round = 0; round < 20; round++) {
			_cleanup_(buf_done) struct buf in = BUF_INIT, packed = BUF_INIT,
						       out = BUF_INIT;
			struct packer *p;
			unsigned n = rng_below(&rng, 6);

			assert_int_equal(0, packer_new(&p, kind));
			for (unsigned i = 0; i <= n; i++) {
				size_t from = in.len,
				       len = sizes[rng_below(&rng, ARRAY_SIZE(sizes))];

				for (size_t k = 0; k < len; k++)
					buf_putc(&in, round % 2 ? (char)rng_u64(&rng) : 'a');
				struct str piece = { in.p + from, len };

				assert_int_equal(0, packer_add(p, piece, i == n, &packed));
			}
			packer_free(p);
			unpack(kind, &packed, &out);
			assert_true(str_eq(buf_str(&in), buf_str(&out)));
			if (round % 2 == 0 && in.len > 10000)
				assert_true(packed.len < in.len / 50);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
