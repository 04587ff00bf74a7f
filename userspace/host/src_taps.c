/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source taps: what each VM received and sent, from the counters of its taps, seen in a mirror:
 * what a tap transmits the guest receives. Bytes include the Ethernet header.
 *
 * Shape    one netlink socket for each network namespace that has VMs, closed with the last of
 *          them (an open socket would keep the namespace alive). Interfaces are found by name when
 *          a VM comes and again whenever an expected index is missing from a dump: a tap may be
 *          made again.
 * Peaks    sample() dumps the same counters and compares with the sample before.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "userspace/base/alloc.h"
#include "userspace/base/err.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/rtnl_stats.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"

/* What the guest calls the column, and where the tap counts it. NO_FIELD is 0 by nature. */
#define NO_FIELD SIZE_MAX
#define FIELD(f) offsetof(struct rtnl_link_stats64, f)

static const struct {
	enum series_id id;
	size_t offset, plus; /* the second is added, unless NO_FIELD */
} columns[] = {
	{ FLY_INSTANCE_NET_RECV_BYTES, FIELD(tx_bytes), NO_FIELD },
	{ FLY_INSTANCE_NET_RECV_PACKETS, FIELD(tx_packets), NO_FIELD },
	{ FLY_INSTANCE_NET_RECV_ERRS, FIELD(tx_errors), NO_FIELD },
	{ FLY_INSTANCE_NET_RECV_DROP, FIELD(tx_dropped), NO_FIELD },
	{ FLY_INSTANCE_NET_RECV_FIFO, FIELD(tx_fifo_errors), NO_FIELD },
	{ FLY_INSTANCE_NET_RECV_FRAME, NO_FIELD, NO_FIELD },
	{ FLY_INSTANCE_NET_RECV_COMPRESSED, FIELD(tx_compressed), NO_FIELD },
	{ FLY_INSTANCE_NET_RECV_MULTICAST, NO_FIELD, NO_FIELD },
	{ FLY_INSTANCE_NET_SENT_BYTES, FIELD(rx_bytes), NO_FIELD },
	{ FLY_INSTANCE_NET_SENT_PACKETS, FIELD(rx_packets), NO_FIELD },
	{ FLY_INSTANCE_NET_SENT_ERRS, FIELD(rx_errors), NO_FIELD },
	{ FLY_INSTANCE_NET_SENT_DROP, FIELD(rx_dropped), FIELD(rx_missed_errors) },
	{ FLY_INSTANCE_NET_SENT_FIFO, FIELD(rx_fifo_errors), NO_FIELD },
	{ FLY_INSTANCE_NET_SENT_COLLS, FIELD(collisions), NO_FIELD },
	{ FLY_INSTANCE_NET_SENT_CARRIER, NO_FIELD, NO_FIELD },
	{ FLY_INSTANCE_NET_SENT_COMPRESSED, FIELD(rx_compressed), NO_FIELD },
};

#define PEAK_NS       1e8 /* what a peak is the most of */
#define WINDOW_MIN_NS (50ull * 1000000)

struct peak {
	uint64_t last_bytes;
	double bytes; /* most in PEAK_NS since the last collection; < 0 = no window yet */
};

struct tap_slot {
	uint32_t ifindex; /* 0 = not found yet */
	bool seen;
	struct rtnl_link_stats64 stats;
	uint64_t sampled_ns; /* 0 = not yet */
	struct peak recv, sent;
};

struct vm_slot {
	const struct vm *vm; /* borrowed */
	struct netns_slot *netns;
	struct tap_slot taps[]; /* [vm->n_taps] */
};

struct netns_slot {
	dev_t dev; /* identity of the namespace */
	ino_t ino;
	struct rtnl_stats *rtnl;
	unsigned n_vms;
	/* All taps with an index, by it: made anew when they change. Two VMs may name one. */
	struct tap_slot **by_index;
	size_t n_by_index, by_index_cap;
	bool is_changed;
};

struct source {
	struct vm_slot **vms;
	struct netns_slot **netns;
	size_t n_vms, vms_cap, n_netns, netns_cap;
};

static int taps_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	struct source *src = mem_zalloc(1, sizeof(*src));
	struct rtnl_stats *probe;
	int r;

	(void)conf;
	if (!src)
		return -ENOMEM;
	r = rtnl_stats_open(&probe, 0);
	if (r < 0) {
		free(src);
		return err_set(e, r, "taps: no rtnetlink socket: %s", strerror(-r));
	}
	rtnl_stats_close(probe);
	*ret_src = src;
	return 0;
}

static void netns_release(struct source *src, struct netns_slot *ns)
{
	if (!ns || --ns->n_vms > 0)
		return;
	for (size_t i = 0; i < src->n_netns; i++) {
		if (src->netns[i] == ns)
			src->netns[i] = src->netns[--src->n_netns];
	}
	rtnl_stats_close(ns->rtnl);
	free(ns->by_index);
	free(ns);
}

static int netns_create(struct source *src, const struct stat *st, pid_t pid,
                        struct netns_slot **ret)
{
	struct netns_slot *ns = mem_zalloc(1, sizeof(*ns));
	int r = ns && MEM_GROW(src->netns, src->netns_cap, src->n_netns + 1) == 0 ? 0 : -ENOMEM;

	if (r == 0)
		r = rtnl_stats_open(&ns->rtnl, pid);
	if (r < 0) {
		free(ns);
		return r;
	}
	ns->dev = st->st_dev;
	ns->ino = st->st_ino;
	src->netns[src->n_netns++] = ns;
	*ret = ns;
	return 0;
}

static int netns_of(struct source *src, pid_t pid, struct netns_slot **ret)
{
	struct netns_slot *found = NULL;
	char path[64];
	struct stat st;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	if (stat(path, &st) < 0)
		return neg_errno();
	for (size_t i = 0; i < src->n_netns && !found; i++) {
		if (src->netns[i]->dev == st.st_dev && src->netns[i]->ino == st.st_ino)
			found = src->netns[i];
	}
	if (!found)
		r = netns_create(src, &st, pid, &found);
	if (r < 0)
		return r;
	found->n_vms++;
	*ret = found;
	return 0;
}

static void find_taps(struct vm_slot *slot)
{
	for (uint32_t i = 0; i < slot->vm->n_taps; i++) {
		struct tap_slot *tap = &slot->taps[i];
		uint32_t ifindex = rtnl_stats_ifindex(slot->netns->rtnl, slot->vm->taps[i].ifname);

		if (ifindex == tap->ifindex)
			continue;
		*tap = (struct tap_slot){ .ifindex = ifindex };
		tap->recv.bytes = tap->sent.bytes = -1;
		slot->netns->is_changed = true;
	}
}

static int taps_vm_added(struct source *src, const struct vm *vm)
{
	struct vm_slot *slot;
	int r;

	if (vm->n_taps == 0)
		return 0;
	slot = mem_zalloc(1, sizeof(*slot) + vm->n_taps * sizeof(slot->taps[0]));
	r = slot && MEM_GROW(src->vms, src->vms_cap, src->n_vms + 1) == 0 ? 0 : -ENOMEM;
	if (r == 0)
		r = netns_of(src, vm->pid, &slot->netns);
	if (r < 0) {
		free(slot);
		return r;
	}
	slot->vm = vm;
	find_taps(slot);
	src->vms[src->n_vms++] = slot;
	return 0;
}

static void taps_vm_gone(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_vms; i++) {
		if (src->vms[i]->vm->id != vm->id)
			continue;
		src->vms[i]->netns->is_changed = true;
		netns_release(src, src->vms[i]->netns);
		free(src->vms[i]);
		src->vms[i] = src->vms[--src->n_vms];
		return;
	}
}

static void taps_free(struct source *src)
{
	if (!src)
		return;
	while (src->n_vms > 0) {
		netns_release(src, src->vms[--src->n_vms]->netns);
		free(src->vms[src->n_vms]);
	}
	free(src->vms);
	free(src->netns);
	free(src);
}

/* ---- one dump of a namespace ----------------------------------------------------------------- */

static int cmp_ifindex(const void *a, const void *b)
{
	uint32_t x = (*(struct tap_slot *const *)a)->ifindex;
	uint32_t y = (*(struct tap_slot *const *)b)->ifindex;

	return x < y ? -1 : x > y;
}

static int sort_taps(const struct source *src, struct netns_slot *ns)
{
	ns->n_by_index = 0;
	for (size_t i = 0; i < src->n_vms; i++) {
		struct vm_slot *slot = src->vms[i];

		for (uint32_t t = 0; slot->netns == ns && t < slot->vm->n_taps; t++) {
			if (slot->taps[t].ifindex == 0)
				continue;
			if (MEM_GROW(ns->by_index, ns->by_index_cap, ns->n_by_index + 1) < 0)
				return -ENOMEM;
			ns->by_index[ns->n_by_index++] = &slot->taps[t];
		}
	}
	if (ns->n_by_index > 0)
		qsort(ns->by_index, ns->n_by_index, sizeof(struct tap_slot *), cmp_ifindex);
	ns->is_changed = false;
	return 0;
}

static size_t first_of_index(const struct netns_slot *ns, uint32_t ifindex)
{
	size_t lo = 0, hi = ns->n_by_index;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ns->by_index[mid]->ifindex < ifindex)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int on_stats(void *ctx, uint32_t ifindex, const struct rtnl_link_stats64 *stats)
{
	const struct netns_slot *ns = ctx;

	for (size_t i = first_of_index(ns, ifindex);
	     i < ns->n_by_index && ns->by_index[i]->ifindex == ifindex; i++) {
		ns->by_index[i]->stats = *stats;
		ns->by_index[i]->seen = true;
	}
	return 0;
}

static int dump_netns(const struct source *src, struct netns_slot *ns)
{
	int r = ns->is_changed ? sort_taps(src, ns) : 0;

	for (size_t i = 0; i < ns->n_by_index && r == 0; i++)
		ns->by_index[i]->seen = false;
	return r < 0 ? r : rtnl_stats_dump(ns->rtnl, on_stats, ns);
}

/* ---- collecting ----------------------------------------------------------------------------- */

static double column(const struct rtnl_link_stats64 *stats, size_t offset)
{
	__u64 v;

	if (offset == NO_FIELD)
		return 0;
	memcpy(&v, (const char *)stats + offset, sizeof(v));
	return (double)v;
}

static int emit_peak(struct batch *out, enum series_id id, const char *const *extra, struct peak *p)
{
	double bytes = p->bytes;

	p->bytes = -1;
	return bytes < 0 ? 0 : batch_add(out, id, extra, bytes);
}

static int emit_tap(struct vm_slot *slot, uint32_t t, struct batch *out)
{
	const char *extra[] = { slot->vm->taps[t].guest_name };
	const struct rtnl_link_stats64 *stats = &slot->taps[t].stats;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(columns) && r == 0; i++)
		r = batch_add(out, columns[i].id, extra,
		              column(stats, columns[i].offset) + column(stats, columns[i].plus));
	if (r == 0)
		r = emit_peak(out, FLY_INSTANCE_NET_RECV_BYTES_PEAK, extra, &slot->taps[t].recv);
	return r < 0 ? r
	             : emit_peak(out, FLY_INSTANCE_NET_SENT_BYTES_PEAK, extra, &slot->taps[t].sent);
}

static int emit_vm(struct vm_slot *slot, int64_t now_ms, struct batch *out)
{
	int r = batch_begin_vm(out, slot->vm, now_ms);
	bool missing = false;

	for (uint32_t t = 0; t < slot->vm->n_taps && r == 0; t++) {
		if (slot->taps[t].seen)
			r = emit_tap(slot, t, out);
		missing = missing || !slot->taps[t].seen;
	}
	if (missing)
		find_taps(slot); /* for the next tick */
	return r;
}

static int taps_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	int r, first = 0;

	/* One namespace that fails must not take the others with it. */
	for (size_t i = 0; i < src->n_netns; i++) {
		r = dump_netns(src, src->netns[i]);
		if (r < 0 && first == 0)
			first = err_set(e, r, "a network namespace does not answer: %s",
			                strerror(-r));
	}
	for (size_t i = 0; i < src->n_vms; i++) {
		r = emit_vm(src->vms[i], now_ms, out);
		if (r < 0)
			return r;
	}
	return first;
}

/* ---- peaks ---------------------------------------------------------------------------------- */

static void note_peak(struct peak *p, uint64_t bytes, uint64_t window_ns)
{
	if (window_ns > 0 && bytes >= p->last_bytes)
		p->bytes = MAX(p->bytes,
		               (double)(bytes - p->last_bytes) * PEAK_NS / (double)window_ns);
	p->last_bytes = bytes;
}

static void sample_tap(struct tap_slot *tap, uint64_t mono_ns)
{
	uint64_t window_ns = tap->sampled_ns ? mono_ns - tap->sampled_ns : 0;

	if (!tap->seen || (window_ns != 0 && window_ns < WINDOW_MIN_NS))
		return;
	note_peak(&tap->recv, tap->stats.tx_bytes, window_ns);
	note_peak(&tap->sent, tap->stats.rx_bytes, window_ns);
	tap->sampled_ns = mono_ns;
}

static int taps_sample(struct source *src, uint64_t mono_ns)
{
	int first = 0;

	for (size_t i = 0; i < src->n_netns; i++) {
		struct netns_slot *ns = src->netns[i];
		int r = dump_netns(src, ns);

		for (size_t t = 0; t < ns->n_by_index && r == 0; t++)
			sample_tap(ns->by_index[t], mono_ns);
		first = first < 0 ? first : r;
	}
	return first;
}

const struct source_ops taps_source = {
	.name = "taps",
	.open = taps_open,
	.vm_added = taps_vm_added,
	.vm_gone = taps_vm_gone,
	.collect = taps_collect,
	.sample = taps_sample,
	.free = taps_free,
};
