/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/rtnl_stats.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/util.h"

#define REPLY_BYTES ((size_t)64 << 10)
#define TIMEOUT_S   2
#define ERRNO_MAX   4095 /* include/linux/err.h */

struct rtnl_stats {
	int fd;    /* netlink */
	int ioctl; /* any socket of the same namespace, for SIOCGIFINDEX */
	uint32_t seq;
	char *reply;
};

/* ---- parsing -------------------------------------------------------------- */

static int parse_message(const struct nlmsghdr *h, rtnl_stats_f fn, void *ctx)
{
	const char *at = (const char *)h + NLMSG_HDRLEN, *end = (const char *)h + h->nlmsg_len;
	struct if_stats_msg msg;

	if ((size_t)(end - at) < NLMSG_ALIGN(sizeof(msg)))
		return -EBADMSG;
	memcpy(&msg, at, sizeof(msg));
	at += NLMSG_ALIGN(sizeof(msg));
	while ((size_t)(end - at) >= sizeof(struct rtattr)) {
		struct rtnl_link_stats64 stats = { 0 };
		struct rtattr a;

		memcpy(&a, at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > (size_t)(end - at))
			return -EBADMSG;
		if ((a.rta_type & NLA_TYPE_MASK) == IFLA_STATS_LINK_64) {
			/* Older kernels have fewer columns, newer ones more. */
			memcpy(&stats, at + RTA_LENGTH(0),
			       MIN(sizeof(stats), a.rta_len - (size_t)RTA_LENGTH(0)));
			return fn(ctx, msg.ifindex, &stats);
		}
		at += MIN((size_t)RTA_ALIGN(a.rta_len), (size_t)(end - at));
	}
	return 0;
}

static int parse_error(const struct nlmsghdr *h)
{
	int code;

	if (h->nlmsg_len < NLMSG_HDRLEN + sizeof(code))
		return -EBADMSG;
	memcpy(&code, (const char *)h + NLMSG_HDRLEN, sizeof(code));
	return code < 0 && code >= -ERRNO_MAX ? code : -EBADMSG;
}

int rtnl_stats_parse(const void *data, size_t bytes, uint32_t seq, rtnl_stats_f fn, void *ctx)
{
	const char *at = data, *end = at + bytes;
	int r;

	while ((size_t)(end - at) >= NLMSG_HDRLEN) {
		_Alignas(4) struct nlmsghdr h;

		memcpy(&h, at, sizeof(h));
		if (h.nlmsg_len < NLMSG_HDRLEN || h.nlmsg_len > (size_t)(end - at))
			return -EBADMSG;
		if (h.nlmsg_seq == seq && h.nlmsg_type == NLMSG_DONE)
			return 1;
		if (h.nlmsg_seq == seq && h.nlmsg_type == NLMSG_ERROR)
			return parse_error((const struct nlmsghdr *)(const void *)at);
		if (h.nlmsg_seq == seq && h.nlmsg_type == RTM_NEWSTATS) {
			r = parse_message((const struct nlmsghdr *)(const void *)at, fn, ctx);
			if (r < 0)
				return r;
		}
		at += MIN((size_t)NLMSG_ALIGN(h.nlmsg_len), (size_t)(end - at));
	}
	return 0;
}

/* ---- sockets -------------------------------------------------------------- */

static int open_sockets(struct rtnl_stats *s)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };

	s->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (s->fd < 0)
		return neg_errno();
	s->ioctl = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->ioctl < 0)
		return neg_errno();
	/* The kernel answers at once; this bounds the damage if it ever does not. */
	return setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0
	               ? neg_errno()
	               : 0;
}

/* Goes there, opens, and comes back. The thread must not stay there: abort is kinder than lying. */
static int open_in_netns(struct rtnl_stats *s, int pid)
{
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	_cleanup_close_ int there = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (there < 0 || home < 0)
		return neg_errno();
	if (setns(there, CLONE_NEWNET) < 0)
		return neg_errno();
	r = open_sockets(s);
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	return r;
}

int rtnl_stats_open(struct rtnl_stats **ret, int pid)
{
	struct rtnl_stats *s = mem_zalloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = s->ioctl = -1;
	s->reply = mem_alloc(REPLY_BYTES);
	r = !s->reply ? -ENOMEM : pid == 0 ? open_sockets(s) : open_in_netns(s, pid);
	if (r < 0) {
		rtnl_stats_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void rtnl_stats_close(struct rtnl_stats *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		(void)close(s->fd);
	if (s->ioctl >= 0)
		(void)close(s->ioctl);
	free(s->reply);
	free(s);
}

uint32_t rtnl_stats_ifindex(struct rtnl_stats *s, const char *ifname)
{
	struct ifreq req = { 0 };
	size_t len = strnlen(ifname, IFNAMSIZ);

	if (len == 0 || len == IFNAMSIZ)
		return 0;
	memcpy(req.ifr_name, ifname, len);
	if (ioctl(s->ioctl, SIOCGIFINDEX, &req) < 0 || req.ifr_ifindex <= 0)
		return 0;
	return (uint32_t)req.ifr_ifindex;
}

static int send_request(struct rtnl_stats *s)
{
	struct {
		struct nlmsghdr h;
		struct if_stats_msg msg;
	} req = {
		.h = { .nlmsg_len = sizeof(req),
		       .nlmsg_type = RTM_GETSTATS,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		       .nlmsg_seq = ++s->seq },
		.msg = { .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) },
	};

	return send(s->fd, &req, sizeof(req), 0) < 0 ? neg_errno() : 0;
}

int rtnl_stats_dump(struct rtnl_stats *s, rtnl_stats_f fn, void *ctx)
{
	int r = send_request(s);

	while (r == 0) {
		ssize_t n = recv(s->fd, s->reply, REPLY_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		r = rtnl_stats_parse(s->reply, (size_t)n, s->seq, fn, ctx);
	}
	return r < 0 ? r : 0;
}
