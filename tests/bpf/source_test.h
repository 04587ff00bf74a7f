/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Drives one source as the daemon does, and looks single values up in what it collected. */

#include "tests/bpf/bpf_test.h"

#include "userspace/base/err.h"
#include "userspace/host/batch.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"

struct wanted {
	const char *series, *label, *value; /* the sample of @series with label=value; NULL: any */
	double found;
	int n;
};

static inline int look(void *ctx, enum series_id id, const struct label *labels, uint32_t n_labels,
                       const struct sample *sample)
{
	struct wanted *w = ctx;
	bool match = str_eqc(labels[0].value, w->series);

	(void)id;
	for (uint32_t i = 1; i < n_labels && match; i++) {
		if (w->label && str_eqc(labels[i].name, w->label))
			match = str_eqc(labels[i].value, w->value);
	}
	if (match) {
		w->found = sample->value;
		w->n++;
	}
	return 0;
}

static inline void collect_into(const struct source_ops *ops, struct source *src, struct wanted *w)
{
	struct batch *b;

	assert_int_equal(0, batch_new(&b, 10000));
	assert_int_equal(0, ops->collect(src, 1000, b, NULL));
	assert_int_equal(0, batch_each(b, false, look, w));
	batch_free(b);
}

/* Exactly one sample of @series with label=value is in what @ops collects now. */
static inline double collect_one(const struct source_ops *ops, struct source *src,
                                 const char *series, const char *label, const char *value)
{
	struct wanted w = { series, label, value, 0, 0 };

	collect_into(ops, src, &w);
	if (w.n != 1)
		fail_msg("%d samples of %s{%s=\"%s\"}", w.n, series, label ? label : "",
		         label ? value : "");
	return w.found;
}

static inline size_t collect_count(const struct source_ops *ops, struct source *src)
{
	struct batch *b;

	assert_int_equal(0, batch_new(&b, 10000));
	assert_int_equal(0, ops->collect(src, 1000, b, NULL));
	size_t n = batch_n_samples(b);

	batch_free(b);
	return n;
}

static inline struct vm test_vm(pid_t pid)
{
	struct vm vm = { .id = 1, .pid = pid };

	(void)snprintf(vm.org, sizeof(vm.org), "dev");
	(void)snprintf(vm.app, sizeof(vm.app), "test");
	(void)snprintf(vm.region, sizeof(vm.region), "loc");
	(void)snprintf(vm.host, sizeof(vm.host), "0001");
	(void)snprintf(vm.instance, sizeof(vm.instance), "00000000000001");
	return vm;
}
