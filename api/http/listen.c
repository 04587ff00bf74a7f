/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/http/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/num.h"

#define BACKLOG 1024

static int bad(struct str text, struct err *e)
{
	return err_set(e, -EINVAL,
	               "listen: \"%.*s\" is not an address like 127.0.0.1:8428 or [::1]:8428",
	               (int)(text.len < 80 ? text.len : 80), text.p);
}

/* Splits at the last colon; brackets belong to an IPv6 host. */
static int split(struct str text, struct str *ret_host, uint16_t *ret_port)
{
	size_t at = text.len;
	uint64_t port;

	while (at > 0 && text.p[at - 1] != ':')
		at--;
	if (at == 0 || num_parse_u64(str_skip(text, at), &port) < 0 || port > UINT16_MAX)
		return -EINVAL;
	struct str host = { text.p, at - 1 };

	if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = (struct str){ host.p + 1, host.len - 2 };
	else if (host.len > 0 && memchr(host.p, ':', host.len))
		return -EINVAL;
	*ret_host = host;
	*ret_port = (uint16_t)port;
	return 0;
}

int listen_parse(struct str text, struct listen_address *ret, struct err *e)
{
	struct listen_address a = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.sa;
	char host[INET6_ADDRSTRLEN];
	struct str name;
	uint16_t port;

	if (split(text, &name, &port) < 0 || name.len >= sizeof(host))
		return bad(text, e);
	if (name.len == 0)
		name = STR("0.0.0.0");
	if (str_eqc(name, "localhost"))
		name = STR("127.0.0.1");
	memcpy(host, name.p, name.len);
	host[name.len] = '\0';
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		a.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		a.len = sizeof(*v6);
	} else {
		return bad(text, e);
	}
	*ret = a;
	return 0;
}

bool listen_is_loopback(const struct listen_address *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->sa;

	if (a->sa.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return a->sa.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

int listen_open(const struct listen_address *a, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd =
		socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0)
		return err_set(e, neg_errno(), "listen: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&a->sa, a->len) < 0 || listen(fd, BACKLOG) < 0)
		return err_set(e, neg_errno(), "listen: %s", strerror(errno));
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int listen_print(const struct sockaddr *sa, char *dst, size_t cap)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
	bool v6 = sa->sa_family == AF_INET6;
	const void *address = v6 ? (const void *)&in6->sin6_addr : (const void *)&in4->sin_addr;
	char host[INET6_ADDRSTRLEN];

	if (!v6 && sa->sa_family != AF_INET)
		return -EINVAL;
	if (!inet_ntop(sa->sa_family, address, host, sizeof(host)))
		return neg_errno();
	(void)snprintf(dst, cap, v6 ? "[%s]:%u" : "%s:%u", host,
	               ntohs(v6 ? in6->sin6_port : in4->sin_port));
	return 0;
}

int listen_format(int fd, char *dst, size_t cap)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return neg_errno();
	return listen_print((const struct sockaddr *)&sa, dst, cap);
}
