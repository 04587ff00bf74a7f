/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/log.h"
#include "userspace/host/proxy/proxy_int.h"

_Static_assert(sizeof(struct net_addr) == sizeof(struct proxy_addr), "the same bytes");

static int claim_listeners(struct source *src, const struct conf_strings *v, uint32_t owner)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < v->n; i++) {
		struct net_endpoint at;

		r = net_endpoint_parse(v->v[i], &at);
		if (r == 0)
			r = names_claim_listener(src->names, &at, owner);
	}
	return r;
}

int attribution_add_routes(struct source *src, const struct conf_structs *routes)
{
	const struct route_conf *v = routes->v;
	int r = 0;

	for (size_t i = 0; r == 0 && i < routes->n; i++) {
		uint32_t owner;

		r = owners_take(src->owners, v[i].org, v[i].app, src->region, "", &owner);
		for (size_t j = 0; r == 0 && j < v[i].hostnames.n; j++)
			r = names_claim_host(src->names, v[i].hostnames.v[j], owner);
		if (r == 0)
			r = claim_listeners(src, &v[i].listeners, owner);
	}
	return r;
}

/* Series begin at 0 and not with the first event, so that no rate misses it. */
static void open_accounts(struct source *src, uint32_t owner)
{
	for (size_t i = 0; i < src->n_proxies; i++)
		(void)account_of(owners_get(src->owners, owner), src->proxies[i].place.colour);
}

static int claim_edge(struct source *src, const struct vm *vm, uint32_t owner)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < vm->n_hostnames; i++)
		r = names_claim_host(src->names, vm->hostnames[i], owner);
	for (uint32_t i = 0; r == 0 && i < vm->n_listeners; i++)
		r = names_claim_listener(src->names, &vm->listeners[i], owner);
	return r;
}

static int claim_addresses(struct source *src, const struct vm *vm, uint32_t owner)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < vm->n_addresses; i++) {
		r = names_claim_address(src->names, &vm->addresses[i], owner);
		if (r == 0)
			r = programs_set_vm(src->programs, &vm->addresses[i], owner);
	}
	return r;
}

static void describe_owner(struct source *src, uint32_t number, uint32_t edge, const struct vm *vm)
{
	struct owner *w = owners_get(src->owners, number);

	w->vm_id = vm->id;
	w->edge = edge;
	w->soft_limit = vm->soft_limit;
	w->hard_limit = vm->hard_limit;
}

int attribution_add_vm(struct source *src, const struct vm *vm)
{
	struct known_vm k = { .id = vm->id };
	int r = MEM_GROW(src->vms, src->vms_cap, src->n_vms + 1);

	if (r == 0)
		r = owners_take(src->owners, vm->org, vm->app, vm->region, vm->instance,
		                &k.instance);
	if (r == 0)
		r = owners_take(src->owners, vm->org, vm->app, src->region, "", &k.edge);
	if (r < 0)
		return r;
	src->vms[src->n_vms++] = k;
	describe_owner(src, k.instance, k.edge, vm);
	r = claim_addresses(src, vm, k.instance);
	if (r == 0)
		r = claim_edge(src, vm, k.edge);
	if (vm->n_addresses > 0)
		open_accounts(src, k.instance);
	if (vm->n_hostnames + vm->n_listeners > 0)
		open_accounts(src, k.edge);
	return r;
}

static void release_claims(struct source *src, const struct vm *vm, const struct known_vm *k)
{
	for (uint32_t i = 0; i < vm->n_hostnames; i++)
		names_release_host(src->names, vm->hostnames[i], k->edge);
	for (uint32_t i = 0; i < vm->n_listeners; i++)
		names_release_listener(src->names, &vm->listeners[i], k->edge);
	for (uint32_t i = 0; i < vm->n_addresses; i++) {
		uint32_t heir;

		names_release_address(src->names, &vm->addresses[i], k->instance);
		heir = names_by_address(src->names, &vm->addresses[i]);
		if (heir == OWNER_NOBODY)
			programs_unset_vm(src->programs, &vm->addresses[i]);
		else
			(void)programs_set_vm(src->programs, &vm->addresses[i], heir);
	}
}

/* Unless another one has the same labels by now. */
static void forget_vm(struct owner *w, const struct vm *vm)
{
	if (w->vm_id != vm->id)
		return;
	w->vm_id = 0;
	w->edge = OWNER_NOBODY;
}

void attribution_remove_vm(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_vms; i++) {
		const struct known_vm k = src->vms[i];

		if (k.id != vm->id)
			continue;
		release_claims(src, vm, &k);
		forget_vm(owners_get(src->owners, k.instance), vm);
		owners_release(src->owners, k.instance);
		owners_release(src->owners, k.edge);
		src->vms[i] = src->vms[--src->n_vms];
		return;
	}
}

uint32_t attribution_of(const struct source *src, uint8_t role, const struct proxy_pair *pair)
{
	struct net_endpoint at = { .port = pair->local_port };
	struct net_addr remote;

	if (role == PROXY_APP) {
		memcpy(&remote, &pair->remote, sizeof(remote));
		return names_by_address(src->names, &remote);
	}
	memcpy(&at.addr, &pair->local, sizeof(at.addr));
	return names_by_listener(src->names, &at);
}
