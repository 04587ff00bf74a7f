/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/label_order.h"

#include "userspace/base/util.h"

static const struct str front_labels[] = {
	STR_INIT("namespace"), STR_INIT("ns"),          STR_INIT("datacenter"),
	STR_INIT("dc"),        STR_INIT("environment"), STR_INIT("env"),
	STR_INIT("cluster"),   STR_INIT("service"),     STR_INIT("job"),
	STR_INIT("model"),     STR_INIT("type"),        STR_INIT("sensor_type"),
	STR_INIT("db"),        STR_INIT("instance"),    STR_INIT("host"),
	STR_INIT("server"),    STR_INIT("pod"),         STR_INIT("node"),
	STR_INIT("device"),    STR_INIT("tenant"),      STR_INIT("client"),
	STR_INIT("name"),      STR_INIT("measurement"),
};

/* The first letter may be large. */
static bool is_front(struct str label, struct str front)
{
	return label.len == front.len && (label.p[0] | 0x20) == front.p[0] &&
	       memcmp(label.p + 1, front.p + 1, front.len - 1) == 0;
}

static uint8_t rank_of(struct str label)
{
	uint8_t i = 0;

	while (i < ARRAY_SIZE(front_labels) && !is_front(label, front_labels[i]))
		i++;
	return i;
}

uint32_t label_order(const struct mname *mn, uint8_t *ret)
{
	uint32_t n = MIN(mn->n_tags, LABEL_ORDER_MAX);
	uint8_t ranks[LABEL_ORDER_MAX];

	for (uint32_t i = 0; i < n; i++) {
		uint8_t rank = mn->as_stored ? rank_of(mn->tags[i].name) : 0;
		uint32_t k = i;

		for (; k > 0 && ranks[k - 1] > rank; k--) {
			ranks[k] = ranks[k - 1];
			ret[k] = ret[k - 1];
		}
		ranks[k] = rank;
		ret[k] = (uint8_t)i;
	}
	return n;
}
