/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring of slots, used in turn: looking one up walks them, which a hello in pieces may cost. Which
 * bytes are there is a list of runs; a stream in more runs than that is nobody's hello.
 */
#include "userspace/host/proxy/hellos.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define RUNS_MAX 16

struct run {
	uint32_t from, to;
};

struct hello {
	uint64_t cookie; /* 0: free */
	uint8_t *bytes;
	size_t cap;
	struct run runs[RUNS_MAX]; /* ascending, apart */
	uint32_t n_runs;
};

struct hellos {
	struct hello slots[HELLOS_MAX];
	size_t next, n;
	uint64_t n_evicted;
};

int hellos_new(struct hellos **ret)
{
	struct hellos *h = mem_zalloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	*ret = h;
	return 0;
}

void hellos_free(struct hellos *h)
{
	for (size_t i = 0; h && i < HELLOS_MAX; i++)
		free(h->slots[i].bytes);
	free(h);
}

static void release(struct hellos *h, struct hello *s)
{
	free(s->bytes);
	*s = (struct hello){ 0 };
	h->n--;
}

static struct hello *find(struct hellos *h, uint64_t cookie)
{
	for (size_t i = 0; h->n > 0 && i < HELLOS_MAX; i++) {
		if (h->slots[i].cookie == cookie)
			return &h->slots[i];
	}
	return NULL;
}

static struct hello *add(struct hellos *h, uint64_t cookie)
{
	struct hello *s = &h->slots[h->next];

	h->next = (h->next + 1) % HELLOS_MAX;
	if (s->cookie != 0) {
		h->n_evicted++;
		release(h, s);
	}
	s->cookie = cookie;
	h->n++;
	return s;
}

/* Joins the run [from, to) with those that it touches. */
static int add_run(struct hello *s, uint32_t from, uint32_t to)
{
	uint32_t i = 0, j;

	while (i < s->n_runs && s->runs[i].to < from)
		i++;
	for (j = i; j < s->n_runs && s->runs[j].from <= to; j++) {
		from = MIN(from, s->runs[j].from);
		to = MAX(to, s->runs[j].to);
	}
	if (j == i && s->n_runs == RUNS_MAX)
		return -ENOSPC;
	memmove(&s->runs[i + 1], &s->runs[j], (s->n_runs - j) * sizeof(s->runs[0]));
	s->n_runs = s->n_runs - (j - i) + 1;
	s->runs[i] = (struct run){ from, to };
	return 0;
}

static int put(struct hello *s, uint32_t at, const uint8_t *bytes, uint32_t n)
{
	int r = MEM_GROW(s->bytes, s->cap, at + n);

	if (r < 0)
		return r;
	memcpy(s->bytes + at, bytes, n);
	return add_run(s, at, at + n);
}

int hellos_take(struct hellos *h, uint64_t cookie, uint32_t at, const uint8_t *bytes, uint32_t n,
                char ret_name[SNI_NAME_CAP])
{
	struct hello *s = find(h, cookie);
	int r;

	if (!s && at == 0) {
		r = sni_parse(bytes, n, ret_name);
		if (r != -EAGAIN)
			return r;
	}
	if (n == 0 || at >= SNI_STREAM_BYTES || n > SNI_STREAM_BYTES - at)
		return -EBADMSG;
	if (!s)
		s = add(h, cookie);
	r = put(s, at, bytes, n);
	if (r == 0)
		r = s->runs[0].from == 0 ? sni_parse(s->bytes, s->runs[0].to, ret_name) : -EAGAIN;
	if (r != -EAGAIN)
		release(h, s);
	return r;
}

void hellos_forget(struct hellos *h, uint64_t cookie)
{
	struct hello *s = find(h, cookie);

	if (s)
		release(h, s);
}

size_t hellos_count(const struct hellos *h)
{
	return h->n;
}

uint64_t hellos_n_evicted(const struct hellos *h)
{
	return h->n_evicted;
}
