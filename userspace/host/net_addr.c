/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/net_addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "userspace/base/num.h"
#include "userspace/base/str.h"

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool is_v4(const struct net_addr *a)
{
	return memcmp(a->ip, mapped, sizeof(mapped)) == 0;
}

int net_addr_parse(const char *text, struct net_addr *ret)
{
	struct net_addr a = { 0 };

	if (inet_pton(AF_INET, text, a.ip + sizeof(mapped)) == 1)
		memcpy(a.ip, mapped, sizeof(mapped));
	else if (inet_pton(AF_INET6, text, a.ip) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

static int parse_host(struct str host, struct net_addr *ret)
{
	char text[NET_ENDPOINT_TEXT_CAP];
	bool bracketed = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';

	if (str_eqc(host, "*")) {
		*ret = (struct net_addr){ 0 };
		return 0;
	}
	if (bracketed)
		host = (struct str){ host.p + 1, host.len - 2 };
	if (host.len >= sizeof(text))
		return -EINVAL;
	memcpy(text, host.p, host.len);
	text[host.len] = '\0';
	if (net_addr_parse(text, ret) < 0)
		return -EINVAL;
	return bracketed == (strchr(text, ':') != NULL) ? 0 : -EINVAL;
}

int net_endpoint_parse(const char *text, struct net_endpoint *ret)
{
	const char *colon = strrchr(text, ':');
	struct net_endpoint e;
	uint64_t port;

	if (!colon || num_parse_u64(str_from(colon + 1), &port) < 0 || port == 0 ||
	    port > UINT16_MAX)
		return -EINVAL;
	if (parse_host((struct str){ text, (size_t)(colon - text) }, &e.addr) < 0)
		return -EINVAL;
	e.port = (uint16_t)port;
	*ret = e;
	return 0;
}

bool net_addr_is_any(const struct net_addr *a)
{
	static const struct net_addr any;

	return memcmp(a, &any, sizeof(any)) == 0;
}

void net_addr_format(const struct net_addr *a, char dst[NET_ENDPOINT_TEXT_CAP])
{
	const char *text =
		is_v4(a) ? inet_ntop(AF_INET, a->ip + sizeof(mapped), dst, NET_ENDPOINT_TEXT_CAP)
			 : inet_ntop(AF_INET6, a->ip, dst, NET_ENDPOINT_TEXT_CAP);

	if (!text)
		dst[0] = '\0';
}
