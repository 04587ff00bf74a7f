/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/clock.h"

#include "userspace/base/util.h"

static int64_t widest(const struct envelope *e)
{
	if (!e->before_set)
		return e->now_max_ns;
	return e->n == 0 ? e->before_max_ns : MAX(e->now_max_ns, e->before_max_ns);
}

void envelope_add(struct envelope *e, uint64_t guest_ns, uint64_t host_ns)
{
	int64_t d = (int64_t)(guest_ns - host_ns);

	if (e->set && widest(e) - d > ENVELOPE_BEHIND_NS)
		*e = (struct envelope){ 0 };
	e->now_max_ns = e->n == 0 ? d : MAX(e->now_max_ns, d);
	e->set = true;
	if (++e->n < ENVELOPE_SAMPLES)
		return;
	e->before_max_ns = e->now_max_ns;
	e->before_set = true;
	e->n = 0;
}

uint64_t envelope_now(const struct envelope *e, uint64_t host_ns)
{
	return e->set ? host_ns + (uint64_t)widest(e) : 0;
}
