/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf/http1.h: a stream of one side in segments; the first bytes of the input say whose and how
 * long they are.
 */
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/machine.h"

#include "bpf/h1_rules.h"

struct h1_dir;
static void h1_on_host(void *ctx, const struct h1_dir *d);
static struct h1_rules rules;

#define H1_SUBPROGRAM static
#define H1_RULES      (&rules)

#include "bpf/http1.h"

#define STEPS_MAX 100000 /* of one segment; more would be a loop without an end */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void h1_on_host(void *ctx, const struct h1_dir *d)
{
	uint32_t *sum = ctx;

	if (d->host_at + d->host_len > sizeof(d->window))
		abort();
	for (uint32_t i = 0; i < d->host_len; i++)
		*sum += d->window[d->host_at + i];
}

static void segment(struct h1_dir *d, struct seg *s, uint32_t as)
{
	uint32_t met = 0, sum = 0, steps = 0;

	if (d->phase == H1_LOST && !h1_resync(d, s, as))
		return;
	while (!(met & H1_MORE)) {
		met = h1_step(d, s, as, &sum);
		if (++steps > STEPS_MAX)
			abort();
		if (met & H1_MET_BAD) {
			d->phase = H1_LOST;
			return;
		}
	}
}

static void set_rules(void)
{
	rules.n_paths = rules.n_agents = 1;
	memcpy(rules.paths[0].text, "/health", 7);
	memset(rules.paths[0].mask, 0xff, 7);
	rules.paths[0].len = 7;
	memcpy(rules.agents[0].text, "check", 5);
	memset(rules.agents[0].mask, 0xff, 5);
	rules.agents[0].len = 5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct h1_dir *d;
	uint32_t as, piece, at = 0;

	if (bytes < 3)
		return 0;
	set_rules();
	as = (data[0] & 1 ? H1_RESPONSE : 0) | (data[0] & (H1_IS_HEAD | H1_IS_CONNECT));
	piece = 1u + data[1] * 3u;
	data += 2;
	bytes -= 2;
	d = calloc(1, sizeof(*d));
	d->next = 0xfffffff0u; /* positions wrap around */
	for (; at < bytes; at += piece) {
		uint32_t n = (uint32_t)(bytes - at < piece ? bytes - at : piece);
		unsigned char *copy = malloc(n);
		struct seg s = { copy, 0xfffffff0u + at, n };

		memcpy(copy, data + at, n);
		segment(d, &s, as);
		free(copy);
	}
	free(d);
	return 0;
}
