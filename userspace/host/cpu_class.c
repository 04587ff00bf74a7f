/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/cpu_class.h"

#include <math.h>
#include <string.h>

#include "userspace/base/util.h"

#define NS_PER_MS 1e6
#define NS_PER_S  1e9

#define ROW(k, field, text, lo, hi, why)                                                        \
	{                                                                                       \
		.key = (k), .type = CONF_DURATION, .offset = offsetof(struct cpu_class, field), \
		.default_text = (text), .min = (lo), .max = (hi), .reloadable = true,           \
		.sentence = (why)                                                               \
	}
static const struct conf_row rows[] = {
	ROW("period", period_ms, NULL, 1, 1000, "Period of the class's CFS bandwidth."),
	ROW("quota", quota_ms, NULL, 1, 1000,
	    "Time of each period that each vCPU may run for ever; quota/period is the baseline."),
	ROW("balance_start", balance_start_ms, "0", 0, 1e10,
	    "Balance of each vCPU when the VM starts."),
	ROW("balance_max", balance_max_ms, "0", 0, 1e10,
	    "Most that each vCPU can save up; 0: the class has no balance."),
};
#undef ROW

const struct conf_schema cpu_class_schema = { rows, ARRAY_SIZE(rows), sizeof(struct cpu_class),
	                                      offsetof(struct cpu_class, name) };

const struct cpu_class *cpu_class_find(const struct conf_structs *classes, const char *name)
{
	const struct cpu_class *v = classes->v;

	for (size_t i = 0; i < classes->n; i++) {
		if (strcmp(v[i].name, name) == 0)
			return &v[i];
	}
	return NULL;
}

double cpu_class_baseline(const struct cpu_class *c, uint32_t n_vcpus)
{
	return (double)c->quota_ms / (double)c->period_ms * n_vcpus;
}

static void take_step(struct cpu_balance *b, double baseline, uint64_t now_ns, uint64_t used_ns)
{
	double elapsed_ns = (double)(now_ns - b->at_ns);
	double step_ns = used_ns > b->used_ns ? (double)(used_ns - b->used_ns) : 0;

	b->use_ratio = step_ns / elapsed_ns;
	b->ns += baseline * elapsed_ns - step_ns;
}

void cpu_balance_step(struct cpu_balance *b, const struct cpu_class *c, uint32_t n_vcpus,
                      uint64_t now_ns, uint64_t used_ns)
{
	if (b->at_ns == 0) {
		b->ns = (double)c->balance_start_ms * NS_PER_MS * n_vcpus;
		b->at_ns = now_ns;
		b->used_ns = used_ns;
	}
	if (now_ns > b->at_ns)
		take_step(b, cpu_class_baseline(c, n_vcpus), now_ns, used_ns);
	b->ns = MIN(MAX(b->ns, 0.0), (double)c->balance_max_ms * NS_PER_MS * n_vcpus);
	b->at_ns = MAX(b->at_ns, now_ns);
	b->used_ns = MAX(b->used_ns, used_ns);
}

double cpu_balance_seconds_left(const struct cpu_balance *b, const struct cpu_class *c,
                                uint32_t n_vcpus)
{
	double loss_ratio = b->use_ratio - cpu_class_baseline(c, n_vcpus);

	return loss_ratio > 0 ? b->ns / loss_ratio / NS_PER_S : INFINITY;
}
