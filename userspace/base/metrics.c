/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "userspace/base/util.h"

#define COLLECTORS_MAX 16

static struct metric *first, **last = &first;

static pthread_mutex_t collectors_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	metrics_collect_f fn;
	void *ctx;
} collectors[COLLECTORS_MAX];
static size_t n_collectors;

void metric_register(struct metric *m)
{
	/* Rows of one family may come from several places: keep them together, for the format. */
	for (struct metric *at = first; at; at = at->next) {
		if (strcmp(at->name, m->name) == 0 &&
		    (!at->next || strcmp(at->next->name, m->name) != 0)) {
			m->next = at->next;
			at->next = m;
			if (last == &at->next)
				last = &m->next;
			return;
		}
	}
	*last = m;
	last = &m->next;
}

void metrics_collector_add(metrics_collect_f fn, void *ctx)
{
	pthread_mutex_lock(&collectors_lock);
	assert(n_collectors < COLLECTORS_MAX);
	collectors[n_collectors].fn = fn;
	collectors[n_collectors++].ctx = ctx;
	pthread_mutex_unlock(&collectors_lock);
}

void metrics_collector_del(metrics_collect_f fn, void *ctx)
{
	pthread_mutex_lock(&collectors_lock);
	for (size_t i = 0; i < n_collectors; i++) {
		if (collectors[i].fn == fn && collectors[i].ctx == ctx) {
			memmove(&collectors[i], &collectors[i + 1],
			        (n_collectors - i - 1) * sizeof(collectors[0]));
			n_collectors--;
			break;
		}
	}
	pthread_mutex_unlock(&collectors_lock);
}

static void put_help(struct buf *out, const char *help)
{
	for (; *help; help++) {
		if (*help == '\n')
			buf_puts(out, "\\n");
		else if (*help == '\\')
			buf_puts(out, "\\\\");
		else
			buf_putc(out, *help);
	}
}

void metrics_put_family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s ", name);
	put_help(out, help);
	buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

static void put_name(struct buf *out, const char *name, const char *labels)
{
	buf_puts(out, name);
	if (labels[0] != '\0')
		buf_printf(out, "{%s}", labels);
	buf_putc(out, ' ');
}

void metrics_put(struct buf *out, const char *name, const char *labels, double value)
{
	put_name(out, name, labels);
	buf_put_double(out, value);
	buf_putc(out, '\n');
}

void metrics_put_label(struct buf *labels, const char *name, const char *value)
{
	buf_printf(labels, "%s%s=\"", labels->len > 0 ? "," : "", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			buf_putc(labels, '\\');
		buf_putc(labels, (unsigned char)*value >= ' ' ? *value : ' ');
	}
	buf_putc(labels, '"');
}

/* Digit by digit: a counter of bytes outgrows the 53 bits of a double. */
static void put_metric(struct buf *out, const struct metric *m)
{
	put_name(out, m->name, m->labels);
	buf_put_i64(out, atomic_load_explicit(&m->value, memory_order_relaxed));
	buf_putc(out, '\n');
}

void metrics_write(struct buf *out)
{
	const char *family = "";

	for (struct metric *m = first; m; m = m->next) {
		if (strcmp(family, m->name) != 0)
			metrics_put_family(out, m->name,
			                   m->type == METRIC_IS_COUNTER ? "counter" : "gauge",
			                   m->help);
		family = m->name;
		put_metric(out, m);
	}
	/* Under the lock: a collector that is being deleted has then run for the last time. */
	pthread_mutex_lock(&collectors_lock);
	for (size_t i = 0; i < n_collectors; i++)
		collectors[i].fn(out, collectors[i].ctx);
	pthread_mutex_unlock(&collectors_lock);
}
