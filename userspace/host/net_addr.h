/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * IP addresses, and addresses with a port, as settings and descriptions write them. IPv4 is kept as
 * IPv6 has it (::ffff:a.b.c.d), so that one comparison and one kind of map key do for both; all
 * zeroes are "any".
 *
 * Threads  Pure functions.
 */

#include <stdbool.h>
#include <stdint.h>

#define NET_ENDPOINT_TEXT_CAP 56 /* the longest text, NUL included */

struct net_addr {
	uint8_t ip[16];
};

struct net_endpoint {
	struct net_addr addr;
	uint16_t port; /* host order, never 0 */
};

/* "10.0.0.7", "fdaa::3"; no name, no prefix length. 0 or -EINVAL. */
int net_addr_parse(const char *text, struct net_addr *ret);

/* "10.0.0.7:443", "[fdaa::3]:443", "*:443". 0 or -EINVAL. */
int net_endpoint_parse(const char *text, struct net_endpoint *ret);

bool net_addr_is_any(const struct net_addr *a);
void net_addr_format(const struct net_addr *a, char dst[NET_ENDPOINT_TEXT_CAP]);
