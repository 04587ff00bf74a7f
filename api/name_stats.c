/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/name_stats.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/clock.h"

#define ORGS_MAX 100000u

/* One table for all: the key is "ORG/NAME", and no slug has a slash in it. */
struct name_stats {
	pthread_mutex_t lock;
	struct counts uses, names_of; /* names_of: how many an organisation has */
	uint64_t since_s;
};

int name_stats_new(struct name_stats **ret)
{
	struct name_stats *s = mem_zalloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->names_of = COUNTS_INIT(ORGS_MAX);
	s->since_s = (uint64_t)clock_unix_ms() / 1000;
	*ret = s;
	return 0;
}

void name_stats_free(struct name_stats *s)
{
	if (!s)
		return;
	counts_done(&s->uses);
	counts_done(&s->names_of);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void put_key(struct buf *key, struct str org, struct str name)
{
	buf_put_str(key, org);
	buf_putc(key, '/');
	buf_put_str(key, name);
}

static struct count *use_of(struct name_stats *s, struct str org, struct str key)
{
	struct count *use = counts_find(&s->uses, key), *names;

	if (use)
		return use;
	names = counts_at(&s->names_of, org);
	if (!names || names->n >= NAME_STATS_MAX)
		return NULL;
	use = counts_at(&s->uses, key);
	names->n += use != NULL;
	return use;
}

void name_stats_add(struct name_stats *s, struct str org, struct str name)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT;
	struct count *use;

	put_key(&key, org, name);
	if (key.err < 0)
		return;
	pthread_mutex_lock(&s->lock);
	use = use_of(s, org, buf_str(&key));
	if (use) {
		use->n++;
		use->last = (uint64_t)clock_unix_ms() / 1000;
	}
	pthread_mutex_unlock(&s->lock);
}

void name_stats_get(struct name_stats *s, struct str org, struct str name, struct name_use *ret)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT;
	const struct count *use;

	*ret = (struct name_use){ 0 };
	put_key(&key, org, name);
	if (key.err < 0)
		return;
	pthread_mutex_lock(&s->lock);
	use = counts_find(&s->uses, buf_str(&key));
	if (use)
		*ret = (struct name_use){ use->n, use->last };
	pthread_mutex_unlock(&s->lock);
}

uint64_t name_stats_since_s(const struct name_stats *s)
{
	return s->since_s;
}
