/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Interface statistics by rtnetlink: RTM_GETSTATS with the filter IFLA_STATS_LINK_64, the
 * cheapest way that the kernel offers (a third of /proc/net/dev, a tenth of RTM_GETLINK).
 *
 * A socket belongs to the network namespace that it was made in, for ever, and keeps that
 * namespace alive: close it when the last VM in there is gone.
 */

#include <linux/if_link.h>
#include <stddef.h>
#include <stdint.h>

struct rtnl_stats;

/* In the network namespace of process @pid (0 = our own). -EPERM, -ENOENT, … */
int rtnl_stats_open(struct rtnl_stats **ret, int pid);
void rtnl_stats_close(struct rtnl_stats *s); /* NULL is fine */

typedef int (*rtnl_stats_f)(void *ctx, uint32_t ifindex, const struct rtnl_link_stats64 *stats);

/* All interfaces of the namespace. A negative result of @fn stops. */
int rtnl_stats_dump(struct rtnl_stats *s, rtnl_stats_f fn, void *ctx);

/* The index of an interface there; 0 when there is none of that name. */
uint32_t rtnl_stats_ifindex(struct rtnl_stats *s, const char *ifname);

/*
 * One datagram of the kernel's answer (untrusted in length, as every parser's input is).
 * 0 = more to come, 1 = the dump is complete, or a negative errno that the kernel reports.
 */
int rtnl_stats_parse(const void *data, size_t bytes, uint32_t seq, rtnl_stats_f fn, void *ctx);
