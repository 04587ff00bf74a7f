/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of four; within a set, the one that was asked for least recently goes. */
#include "userspace/host/proxy/hosts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

struct entry {
	uint32_t hash; /* 0: free */
	uint32_t used; /* turn in which it was asked for last */
	uint16_t len;
	char name[HOSTS_NAME_CAP];
};

struct hosts {
	struct entry sets[HOSTS_SETS][HOSTS_WAYS];
	uint32_t turn;
};

int hosts_new(struct hosts **ret)
{
	struct hosts *h = mem_zalloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	*ret = h;
	return 0;
}

void hosts_free(struct hosts *h)
{
	free(h);
}

static struct entry *find(struct hosts *h, uint32_t hash, struct entry **ret_oldest)
{
	struct entry *set = h->sets[hash % HOSTS_SETS], *oldest = set;

	h->turn++;
	for (unsigned i = 0; i < HOSTS_WAYS; i++) {
		if (set[i].hash == hash) {
			set[i].used = h->turn;
			return &set[i];
		}
		if (h->turn - set[i].used > h->turn - oldest->used)
			oldest = &set[i];
	}
	*ret_oldest = oldest;
	return NULL;
}

void hosts_put(struct hosts *h, uint32_t hash, struct str name)
{
	struct entry *oldest = NULL, *e = find(h, hash, &oldest);

	if (!e)
		e = oldest;
	e->hash = hash;
	e->used = h->turn;
	e->len = (uint16_t)MIN(name.len, (size_t)HOSTS_NAME_CAP);
	memcpy(e->name, name.p, e->len);
}

struct str hosts_get(struct hosts *h, uint32_t hash)
{
	struct entry *oldest, *e = hash != 0 ? find(h, hash, &oldest) : NULL;

	return e ? (struct str){ e->name, e->len } : STR_NULL;
}
