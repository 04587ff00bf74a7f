/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/negotiation.h"

#include "userspace/base/util.h"

#define AGAIN_NS (3600ull * 1000000000)

/* Best first. A receiver that unpacks zstd at all gets it in either version. */
static const struct recode_form forms[] = {
	{ true, CODING_ZSTD },
	{ true, CODING_SNAPPY },
	{ false, CODING_ZSTD },
	{ false, CODING_SNAPPY },
};

const char *negotiation_labels(struct recode_form form)
{
	static const char *const labels[2][CODING_N] = {
		{ [CODING_SNAPPY] = "version=\"1.0\",compression=\"snappy\"",
		  [CODING_ZSTD] = "version=\"1.0\",compression=\"zstd\"" },
		{ [CODING_SNAPPY] = "version=\"2.0\",compression=\"snappy\"",
		  [CODING_ZSTD] = "version=\"2.0\",compression=\"zstd\"" },
	};

	return labels[form.v2][form.coding];
}

static bool is_allowed(const struct negotiation *n, unsigned i)
{
	bool v2 = n->protocol != PROTOCOL_1_0, v1 = n->protocol != PROTOCOL_2_0;
	bool zstd = n->compression != COMPRESSION_SNAPPY,
	     snappy = n->compression != COMPRESSION_ZSTD;

	return (forms[i].v2 ? v2 : v1) && (forms[i].coding == CODING_ZSTD ? zstd : snappy);
}

/* The first allowed row from @i on; ARRAY_SIZE(forms): there is none. */
static unsigned allowed_from(const struct negotiation *n, unsigned i)
{
	while (i < ARRAY_SIZE(forms) && !is_allowed(n, i))
		i++;
	return i;
}

void negotiation_start(struct negotiation *n, enum destination_protocol protocol,
                       enum destination_compression compression, uint64_t now_ns)
{
	*n = (struct negotiation){ protocol, compression, 0, false, now_ns };
	n->at = allowed_from(n, 0);
}

struct recode_form negotiation_form(struct negotiation *n, uint64_t now_ns)
{
	if (n->at != allowed_from(n, 0) && now_ns - n->since_ns > AGAIN_NS)
		negotiation_start(n, n->protocol, n->compression, now_ns);
	return forms[n->at];
}

static bool is_current(const struct negotiation *n, struct recode_form form)
{
	return forms[n->at].v2 == form.v2 && forms[n->at].coding == form.coding;
}

void negotiation_taken(struct negotiation *n, struct recode_form form)
{
	if (is_current(n, form))
		n->is_proven = true;
}

bool negotiation_not_understood(struct negotiation *n, struct recode_form form, uint64_t now_ns)
{
	unsigned next;

	if (!is_current(n, form))
		return true; /* another request was told so before */
	if (n->is_proven) {  /* no longer: the receiver was replaced */
		negotiation_start(n, n->protocol, n->compression, now_ns);
		return true;
	}
	next = allowed_from(n, n->at + 1);
	if (next == ARRAY_SIZE(forms))
		return false;
	n->at = next;
	n->since_ns = now_ns;
	return true;
}
