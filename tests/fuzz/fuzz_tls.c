/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS: bpf/tls.h and the names in ClientHellos. The input is segments of both sides: a byte that
 * says whose it is and how long, then its bytes.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/machine.h"

#define TLS_SUBPROGRAM static

#include "bpf/tls.h"
#include "userspace/host/proxy/hellos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint32_t segment(struct tls *t, struct seg *s, uint32_t by_server)
{
	struct tls_dir *d = by_server ? &t->server : &t->client;
	uint32_t met = TLS_MORE, all = 0;

	if (d->lost && !tls_resync(d, s))
		return 0;
	for (uint32_t i = 0; (met & TLS_MORE) && !d->lost && i < TLS_RECORDS_MAX; i++) {
		met = tls_step(t, s, by_server);
		all |= met;
	}
	return all;
}

/* The client's bytes, as one stream, must not matter more than their pieces. */
static void names(const uint8_t *data, size_t bytes)
{
	char whole[SNI_NAME_CAP] = "", pieces[SNI_NAME_CAP] = "";
	struct hellos *h;
	int r = sni_parse(data, bytes, whole), p = -EAGAIN;
	size_t n;

	if (bytes > SNI_STREAM_BYTES || bytes == 0 || hellos_new(&h) < 0)
		return;
	for (size_t at = 0; at < bytes && p == -EAGAIN; at += n) {
		n = bytes - at < 7 + at ? bytes - at : 7 + at;
		p = hellos_take(h, 1, (uint32_t)at, data + at, (uint32_t)n, pieces);
	}
	if (r == 0 && (p != 0 || strcmp(whole, pieces) != 0))
		abort();
	if (hellos_count(h) != (p == -EAGAIN))
		abort();
	hellos_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct tls t = { .state = TLS_SHAKING };
	uint32_t seq[2] = { 0, 0 }, ends = 0;

	names(data, bytes);
	while (bytes > 1) {
		uint32_t by_server = data[0] & 1, n = 1u + (data[0] >> 1) * 5u;

		data++;
		bytes--;
		n = n < bytes ? n : (uint32_t)bytes;
		unsigned char *copy = malloc(n);
		struct seg s = { copy, seq[by_server], n };

		memcpy(copy, data, n);
		ends += (segment(&t, &s, by_server) & (TLS_MET_DONE | TLS_MET_FAILED)) != 0;
		free(copy);
		seq[by_server] += n;
		data += n;
		bytes -= n;
	}
	if (ends > 1) /* a handshake ends once */
		abort();
	return 0;
}
