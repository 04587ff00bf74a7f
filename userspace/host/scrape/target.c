/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/scrape/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"

/* The first address that is no bridge to the host itself: 127/8, ::1, 0/8, ::, multicast. */
bool target_is_bad_address(const struct net_addr *a, bool loopback)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t v6_loopback[16] = { [15] = 1 };
	const uint8_t *v4 = a->ip + 12;

	if (memcmp(a->ip, mapped, sizeof(mapped)) == 0) {
		if (v4[0] == 127)
			return !loopback;
		return v4[0] == 0 || v4[0] >= 224;
	}
	if (memcmp(a->ip, v6_loopback, sizeof(v6_loopback)) == 0)
		return !loopback;
	return net_addr_is_any(a) || a->ip[0] == 0xff;
}

void target_escape_path(const char *path, char *dst, size_t cap)
{
	size_t at = 0;

	for (; *path && at + 4 < cap; path++) {
		unsigned char c = (unsigned char)*path;

		if (c <= ' ' || c >= 0x7f || strchr("\"#<>[\\]^`{|}", c))
			at += (size_t)snprintf(dst + at, cap - at, "%%%02X", c);
		else
			dst[at++] = (char)c;
	}
	dst[at] = '\0';
}

static void make_url(struct target *t, const struct net_addr *a, uint16_t port, const char *path)
{
	char address[NET_ENDPOINT_TEXT_CAP], escaped[TARGET_URL_CAP - 128];

	net_addr_format(a, address);
	target_escape_path(path, escaped, sizeof(escaped));
	bool v6 = strchr(address, ':');

	(void)snprintf(t->url, sizeof(t->url), "http://%s%s%s:%u%s", v6 ? "[" : "", address,
	               v6 ? "]" : "", port, escaped);
}

/* Spread over the interval by a number that stays the same as long as the names do. */
static int64_t offset_of(const struct target *t)
{
	uint64_t hash = hash_str(str_from(t->vm->instance));

	hash = hash_bytes(t->port, strlen(t->port), hash);
	hash = hash_bytes(t->path, strlen(t->path), hash);
	return (int64_t)(hash >> 16);
}

struct target *target_new(struct target_vm *of, const struct vm *vm, uint32_t i, bool loopback)
{
	struct target *t = mem_zalloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->vm = of;
	of->n_targets++;
	(void)snprintf(t->port, sizeof(t->port), "%u", vm->scrapes[i].port);
	(void)snprintf(t->path, sizeof(t->path), "%s", vm->scrapes[i].path);
	t->is_bad_address =
		vm->n_addresses == 0 || target_is_bad_address(&vm->addresses[0], loopback);
	if (!t->is_bad_address)
		make_url(t, &vm->addresses[0], vm->scrapes[i].port, t->path);
	t->offset_ms = offset_of(t);
	t->of = (struct reading_of){
		.owner = { .id = of->id,
		           .org = of->org,
		           .app = of->app,
		           .host = of->host,
		           .instance = of->instance,
		           .region = of->region },
		.port = t->port,
		.path = t->path,
	};
	return t;
}

void target_free(struct target *t)
{
	if (!t)
		return;
	if (--t->vm->n_targets == 0)
		free(t->vm);
	series_set_done(&t->series);
	free(t);
}

int64_t target_next_ms(struct target *t, int64_t now_ms, int64_t interval_ms)
{
	int64_t offset_ms = t->offset_ms % interval_ms;
	int64_t next_ms = now_ms - now_ms % interval_ms + offset_ms;

	if (next_ms <= now_ms)
		next_ms += interval_ms;
	/* Only a clock that was set back leads to a moment that has been. */
	if (next_ms <= t->last_ts_ms) {
		t->offset_ms++;
		next_ms++;
	}
	t->last_ts_ms = next_ms;
	return next_ms;
}
