/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One hash table for all three kinds of keys; an entry is a claim. Claims of the same key hang
 * together in the order in which they were made, so the first one is the answer.
 */
#include "userspace/host/proxy/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"
#include "userspace/host/proxy/owners.h"

#define SLOTS_MIN 64u

enum kind {
	HOST,
	LISTENER,
	ADDRESS
};

struct claim {
	struct claim *next; /* of the same slot */
	enum kind kind;
	uint32_t owner, n; /* how many times it was made */
	size_t len;
	char key[];
};

struct names {
	struct claim **slots;
	size_t n, n_slots;
};

int names_new(struct names **ret)
{
	struct names *n = mem_zalloc(1, sizeof(*n));

	if (n)
		n->slots = mem_zalloc(SLOTS_MIN, sizeof(struct claim *));
	if (!n || !n->slots) {
		free(n);
		return -ENOMEM;
	}
	n->n_slots = SLOTS_MIN;
	*ret = n;
	return 0;
}

void names_free(struct names *n)
{
	for (size_t i = 0; n && i < n->n_slots; i++) {
		struct claim *c = n->slots[i], *next;

		for (; c; c = next) {
			next = c->next;
			free(c);
		}
	}
	if (n)
		free(n->slots);
	free(n);
}

static struct claim **slot_of(const struct names *n, enum kind kind, const void *key, size_t len)
{
	return &n->slots[hash_bytes(key, len, kind) & (n->n_slots - 1)];
}

/* Order within a slot stays: it decides between two apps. */
static int grow(struct names *n)
{
	size_t n_slots = n->n_slots * 2;
	struct claim **slots, **old = n->slots;

	if (n->n < n->n_slots)
		return 0;
	slots = mem_zalloc(n_slots, sizeof(struct claim *));
	if (!slots)
		return -ENOMEM;
	n->slots = slots;
	n->n_slots = n_slots;
	for (size_t i = 0; i < n_slots / 2; i++) {
		struct claim *c = old[i], *next;

		for (; c; c = next) {
			struct claim **at = slot_of(n, c->kind, c->key, c->len);

			next = c->next;
			while (*at)
				at = &(*at)->next;
			c->next = NULL;
			*at = c;
		}
	}
	free(old);
	return 0;
}

static bool is_key(const struct claim *c, enum kind kind, const void *key, size_t len)
{
	return c->kind == kind && c->len == len && memcmp(c->key, key, len) == 0;
}

static int claim(struct names *n, enum kind kind, const void *key, size_t len, uint32_t owner)
{
	struct claim **at, *c;
	int r = grow(n);

	if (r < 0)
		return r;
	for (at = slot_of(n, kind, key, len); *at; at = &(*at)->next) {
		if ((*at)->owner == owner && is_key(*at, kind, key, len)) {
			(*at)->n++;
			return 0;
		}
	}
	if (n->n >= NAMES_MAX)
		return -ENOSPC;
	c = mem_zalloc(1, sizeof(*c) + len);
	if (!c)
		return -ENOMEM;
	*c = (struct claim){ .kind = kind, .owner = owner, .n = 1, .len = len };
	memcpy(c->key, key, len);
	*at = c;
	n->n++;
	return 0;
}

static void release(struct names *n, enum kind kind, const void *key, size_t len, uint32_t owner)
{
	struct claim **at = slot_of(n, kind, key, len), *c;

	while (*at && !((*at)->owner == owner && is_key(*at, kind, key, len)))
		at = &(*at)->next;
	c = *at;
	if (!c || --c->n > 0)
		return;
	*at = c->next;
	free(c);
	n->n--;
}

static uint32_t look_up(const struct names *n, enum kind kind, const void *key, size_t len)
{
	const struct claim *c = *slot_of(n, kind, key, len);

	while (c && !is_key(c, kind, key, len))
		c = c->next;
	return c ? c->owner : OWNER_NOBODY;
}

int names_claim_host(struct names *n, const char *hostname, uint32_t owner)
{
	return claim(n, HOST, hostname, strlen(hostname), owner);
}

int names_claim_listener(struct names *n, const struct net_endpoint *at, uint32_t owner)
{
	return claim(n, LISTENER, at, sizeof(*at), owner);
}

int names_claim_address(struct names *n, const struct net_addr *addr, uint32_t owner)
{
	return claim(n, ADDRESS, addr, sizeof(*addr), owner);
}

void names_release_host(struct names *n, const char *hostname, uint32_t owner)
{
	release(n, HOST, hostname, strlen(hostname), owner);
}

void names_release_listener(struct names *n, const struct net_endpoint *at, uint32_t owner)
{
	release(n, LISTENER, at, sizeof(*at), owner);
}

void names_release_address(struct names *n, const struct net_addr *addr, uint32_t owner)
{
	release(n, ADDRESS, addr, sizeof(*addr), owner);
}

/* The name alone, in lower case; 0: it can be none of ours. */
static size_t normalise(struct str host, char dst[VM_HOSTNAME_CAP])
{
	const char *colon = host.len > 0 ? memchr(host.p, ':', host.len) : NULL;

	if (colon)
		host.len = (size_t)(colon - host.p);
	if (host.len > 0 && host.p[host.len - 1] == '.')
		host.len--;
	if (host.len >= VM_HOSTNAME_CAP)
		return 0;
	for (size_t i = 0; i < host.len; i++) {
		char c = host.p[i];

		dst[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	return host.len;
}

uint32_t names_by_host(const struct names *n, struct str hostname)
{
	char name[VM_HOSTNAME_CAP];
	size_t len = normalise(hostname, name);
	uint32_t owner = len > 0 ? look_up(n, HOST, name, len) : OWNER_NOBODY;
	char *dot = len > 0 ? memchr(name, '.', len) : NULL;

	if (owner != OWNER_NOBODY || !dot || dot == name)
		return owner;
	dot[-1] = '*';
	return look_up(n, HOST, dot - 1, len - (size_t)(dot - 1 - name));
}

uint32_t names_by_listener(const struct names *n, const struct net_endpoint *at)
{
	struct net_endpoint any = { .port = at->port };
	uint32_t owner = look_up(n, LISTENER, at, sizeof(*at));

	return owner != OWNER_NOBODY ? owner : look_up(n, LISTENER, &any, sizeof(any));
}

uint32_t names_by_address(const struct names *n, const struct net_addr *addr)
{
	return look_up(n, ADDRESS, addr, sizeof(*addr));
}
