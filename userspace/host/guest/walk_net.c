/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /proc/net/dev, of all interfaces but the loopback.
 *
 * Every driver keeps its counters where it likes. Known are virtio_net, dummy, drivers that use the
 * kernel's own per-CPU counters, and those that use the device's own struct; an interface of any
 * other driver is left out, since its struct would be plausible and wrong.
 *
 * Source: net/core/dev.c (dev_get_stats), net/core/net-procfs.c (dev_seq_printf_stats),
 * drivers/net/virtio_net.c (virtnet_stats), drivers/net/dummy.c.
 */
#include <errno.h>

#include "userspace/base/util.h"
#include "userspace/host/guest/walk.h"

#define DEVICES_MAX   64u
#define PRIVATE_ALIGN 32u /* NETDEV_ALIGN */
#define QUEUES_MAX    64u
#define KIND_CAP      16
#define NAME_DRIVER   "virtio_net"
#define KIND_DUMMY    "dummy"

struct counters { /* struct rtnl_link_stats64, as far as it is shown */
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped,
		tx_dropped, multicast, collisions;
	uint64_t rx_length, rx_over, rx_crc, rx_frame, rx_fifo, rx_missed;
	uint64_t tx_aborted, tx_carrier, tx_fifo, tx_heartbeat, tx_window;
	uint64_t rx_compressed, tx_compressed;
};

static const struct {
	enum profile_field field;
	size_t offset;
} device_counters[] = {
#define ROW(name, member)                                       \
	{                                                       \
		F_NET_##name, offsetof(struct counters, member) \
	}
	ROW(RX_PACKETS, rx_packets),
	ROW(TX_PACKETS, tx_packets),
	ROW(RX_BYTES, rx_bytes),
	ROW(TX_BYTES, tx_bytes),
	ROW(RX_ERRORS, rx_errors),
	ROW(TX_ERRORS, tx_errors),
	ROW(RX_DROPPED, rx_dropped),
	ROW(TX_DROPPED, tx_dropped),
	ROW(MULTICAST, multicast),
	ROW(COLLISIONS, collisions),
	ROW(RX_LENGTH, rx_length),
	ROW(RX_OVER, rx_over),
	ROW(RX_CRC, rx_crc),
	ROW(RX_FRAME, rx_frame),
	ROW(RX_FIFO, rx_fifo),
	ROW(RX_MISSED, rx_missed),
	ROW(TX_ABORTED, tx_aborted),
	ROW(TX_CARRIER, tx_carrier),
	ROW(TX_FIFO, tx_fifo),
	ROW(TX_HEARTBEAT, tx_heartbeat),
	ROW(TX_WINDOW, tx_window),
	ROW(RX_COMPRESSED, rx_compressed),
	ROW(TX_COMPRESSED, tx_compressed),
#undef ROW
};

/* The device's own struct, of a machine word each. */
static void read_device(struct walk *w, uint64_t device, struct counters *c)
{
	uint64_t stats = walk_place(w, device, F_DEVICE_STATS);

	for (size_t i = 0; i < ARRAY_SIZE(device_counters); i++) {
		uint64_t v = walk_get(w, stats, device_counters[i].field);

		memcpy((char *)c + device_counters[i].offset, &v, sizeof(v));
	}
}

static void read_tunnel(struct walk *w, uint64_t device, struct counters *c)
{
	uint64_t per_cpu = walk_get(w, device, F_DEVICE_CPU_STATS);

	read_device(w, device, c);
	WALK_EACH_CPU(cpu, w->possible)
	{
		uint64_t part = walk_per_cpu(w, per_cpu, cpu);

		if (walk_failed(w))
			return;
		c->rx_packets += walk_get(w, part, F_TUNNEL_RX_PACKETS);
		c->rx_bytes += walk_get(w, part, F_TUNNEL_RX_BYTES);
		c->tx_packets += walk_get(w, part, F_TUNNEL_TX_PACKETS);
		c->tx_bytes += walk_get(w, part, F_TUNNEL_TX_BYTES);
	}
}

/* A dummy sends, and nothing else. */
static void read_dummy(struct walk *w, uint64_t device, struct counters *c)
{
	uint64_t per_cpu = walk_get(w, device, F_DEVICE_CPU_STATS);

	WALK_EACH_CPU(cpu, w->possible)
	{
		uint64_t part = walk_per_cpu(w, per_cpu, cpu);

		if (walk_failed(w))
			return;
		c->tx_packets += walk_get(w, part, F_LOCAL_PACKETS);
		c->tx_bytes += walk_get(w, part, F_LOCAL_BYTES);
	}
}

static uint64_t private_of(const struct walk *w, uint64_t device)
{
	uint64_t bytes = (uint64_t)walk_value(w, V_DEVICE_BYTES);

	if (walk_has(w, F_DEVICE_PRIVATE))
		return walk_place(w, device, F_DEVICE_PRIVATE);
	return device + (bytes + PRIVATE_ALIGN - 1) / PRIVATE_ALIGN * PRIVATE_ALIGN;
}

static void read_virtio(struct walk *w, uint64_t device, struct counters *c)
{
	uint64_t info = private_of(w, device);
	uint64_t rx = walk_get(w, info, F_VIRTIO_RX), tx = walk_get(w, info, F_VIRTIO_TX);
	uint64_t n = walk_get(w, info, F_VIRTIO_N_PAIRS);
	struct counters own = { 0 };

	if (n > QUEUES_MAX)
		mem_fail(w->m, -ELOOP);
	for (uint64_t i = 0; i < n && !walk_failed(w); i++) {
		c->rx_packets += walk_get(w, rx, F_VIRTIO_RX_PACKETS);
		c->rx_bytes += walk_get(w, rx, F_VIRTIO_RX_BYTES);
		c->rx_dropped += walk_get(w, rx, F_VIRTIO_RX_DROPS);
		c->tx_packets += walk_get(w, tx, F_VIRTIO_TX_PACKETS);
		c->tx_bytes += walk_get(w, tx, F_VIRTIO_TX_BYTES);
		c->tx_errors += walk_get(w, tx, F_VIRTIO_TX_TIMEOUTS);
		rx += (uint64_t)walk_value(w, V_VIRTIO_RX_BYTES);
		tx += (uint64_t)walk_value(w, V_VIRTIO_TX_BYTES);
	}
	read_device(w, device, &own);
	c->tx_dropped = own.tx_dropped;
	c->tx_fifo = own.tx_fifo;
	c->rx_length = own.rx_length;
	c->rx_frame = own.rx_frame;
}

/* ---- which driver it is --------------------------------------------------------------------- */

static bool is_virtio(struct walk *w, uint64_t device)
{
	uint64_t parent = walk_get(w, device, F_DEVICE_PARENT);
	uint64_t driver = parent ? walk_get(w, parent, F_DRIVER_OF) : 0;
	char name[KIND_CAP] = "";

	if (driver != 0)
		walk_text(w, walk_get(w, driver, F_DRIVER_NAME), name, sizeof(name));
	return strcmp(name, NAME_DRIVER) == 0;
}

static bool is_dummy(struct walk *w, uint64_t device)
{
	uint64_t ops = walk_get(w, device, F_DEVICE_LINK_OPS);
	char kind[KIND_CAP] = "";

	if (ops != 0)
		walk_text(w, walk_get(w, ops, F_LINK_KIND), kind, sizeof(kind));
	return strcmp(kind, KIND_DUMMY) == 0;
}

/* Counters that the core itself knows how to sum up, by a mark in the device (since 6.11). */
static bool read_marked(struct walk *w, uint64_t device, struct counters *c)
{
	int64_t kind = walk_has(w, F_DEVICE_STAT_KIND)
	                       ? (int64_t)walk_get(w, device, F_DEVICE_STAT_KIND)
	                       : -1;

	if (kind >= 0 && w->p->values_there[V_STAT_KIND_TUNNEL] &&
	    kind == walk_value(w, V_STAT_KIND_TUNNEL)) {
		read_tunnel(w, device, c);
		return true;
	}
	if (kind >= 0 && w->p->values_there[V_STAT_KIND_DROPS] &&
	    kind == walk_value(w, V_STAT_KIND_DROPS))
		return false;
	read_device(w, device, c);
	return true;
}

static bool read_counters(struct walk *w, uint64_t device, struct counters *c)
{
	uint64_t ops = walk_get(w, device, F_DEVICE_OPS);
	uint64_t stats64 = walk_get(w, ops, F_OPS_STATS64);

	if (stats64 == 0 && walk_get(w, ops, F_OPS_STATS) == 0)
		return read_marked(w, device, c);
	if (stats64 != 0 && walk_has_symbol(w, S_NET_TUNNEL_STATS) &&
	    stats64 == walk_symbol(w, S_NET_TUNNEL_STATS)) {
		read_tunnel(w, device, c);
		return true;
	}
	if (is_dummy(w, device)) {
		read_dummy(w, device, c);
		return true;
	}
	if (profile_has(w->p, NEED_VIRTIO_NET) && is_virtio(w, device)) {
		read_virtio(w, device, c);
		return true;
	}
	return false;
}

/* Drops that the core counts for every driver. */
static void add_core(struct walk *w, uint64_t device, struct counters *c)
{
	uint64_t per_cpu = walk_get(w, device, F_DEVICE_CORE_STATS);

	if (per_cpu == 0)
		return;
	WALK_EACH_CPU(cpu, w->possible)
	{
		uint64_t part = walk_per_cpu(w, per_cpu, cpu);

		if (walk_failed(w))
			return;
		c->rx_dropped += walk_get(w, part, F_CORE_RX_DROPPED);
		c->tx_dropped += walk_get(w, part, F_CORE_TX_DROPPED);
	}
}

/* The columns as the kernel folds them. */
static void set_columns(const struct counters *c, uint64_t v[GUEST_NET_N])
{
	v[GUEST_NET_RX_BYTES] = c->rx_bytes;
	v[GUEST_NET_RX_PACKETS] = c->rx_packets;
	v[GUEST_NET_RX_ERRS] = c->rx_errors;
	v[GUEST_NET_RX_DROP] = c->rx_dropped + c->rx_missed;
	v[GUEST_NET_RX_FIFO] = c->rx_fifo;
	v[GUEST_NET_RX_FRAME] = c->rx_length + c->rx_over + c->rx_crc + c->rx_frame;
	v[GUEST_NET_RX_COMPRESSED] = c->rx_compressed;
	v[GUEST_NET_RX_MULTICAST] = c->multicast;
	v[GUEST_NET_TX_BYTES] = c->tx_bytes;
	v[GUEST_NET_TX_PACKETS] = c->tx_packets;
	v[GUEST_NET_TX_ERRS] = c->tx_errors;
	v[GUEST_NET_TX_DROP] = c->tx_dropped;
	v[GUEST_NET_TX_FIFO] = c->tx_fifo;
	v[GUEST_NET_TX_COLLS] = c->collisions;
	v[GUEST_NET_TX_CARRIER] = c->tx_carrier + c->tx_aborted + c->tx_window + c->tx_heartbeat;
	v[GUEST_NET_TX_COMPRESSED] = c->tx_compressed;
}

void walk_nets(struct walk *w)
{
	uint64_t head = walk_place(w, walk_symbol(w, S_NET), F_NET_DEVICES), device;
	struct walk_list devices =
		walk_list_begin(head, w->p->fields[F_DEVICE_SIBLING].offset, DEVICES_MAX);

	w->out->n_nets = 0;
	while ((device = walk_list_next(w, &devices)) != 0 && w->out->n_nets < GUEST_NETS_MAX) {
		struct guest_net *out = &w->out->nets[w->out->n_nets];
		struct counters c = { 0 };

		walk_text(w, walk_place(w, device, F_DEVICE_NAME), out->name, sizeof(out->name));
		if (strcmp(out->name, "lo") == 0 || !read_counters(w, device, &c))
			continue;
		add_core(w, device, &c);
		set_columns(&c, out->v);
		w->out->n_nets++;
	}
}
