/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/volumes_client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

struct records {
	struct volumes_record *v;
	size_t n, cap;
};

struct volumes_client {
	char *path;
	int fd; /* -1 = not connected */
	uint32_t seq;
	uint64_t asked_ns;    /* the open question; 0 = none */
	uint64_t answered_ns; /* @whole was complete; 0 = there is none */
	struct records coming, whole;
	int error; /* of the last attempt or answer; 0 = none */
	char why[sizeof(((struct volumes_answer *)0)->why)];
	struct volumes_answer packet;
};

int volumes_client_new(struct volumes_client **ret, const char *path)
{
	struct volumes_client *c = mem_zalloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->fd = -1;
	c->path = mem_strndup(path, strlen(path));
	if (!c->path) {
		volumes_client_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

static void disconnect(struct volumes_client *c, int error)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	c->asked_ns = 0;
	c->error = error;
	c->why[0] = '\0';
}

void volumes_client_free(struct volumes_client *c)
{
	if (!c)
		return;
	disconnect(c, 0);
	free(c->path);
	free(c->coming.v);
	free(c->whole.v);
	free(c);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd, r;

	if (len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return neg_errno();
	/* A local socket connects at once or, when the other end is too busy, not at all. */
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	r = neg_errno();
	(void)close(fd);
	return r;
}

void volumes_client_ask(struct volumes_client *c)
{
	struct volumes_request req = { VOLUMES_MAGIC, c->seq + 1 };

	if (c->fd < 0) {
		int fd = connect_to(c->path);

		if (fd < 0) {
			disconnect(c, fd);
			return;
		}
		c->fd = fd;
	}
	if (c->asked_ns != 0) /* it hangs: more questions would not help it */
		return;
	if (send(c->fd, &req, sizeof(req), MSG_NOSIGNAL) < 0) {
		disconnect(c, neg_errno());
		return;
	}
	c->seq++;
	c->coming.n = 0;
	c->asked_ns = clock_mono_ns();
}

/* ---- answers -------------------------------------------------------------------------------- */

static bool is_text(const char *p, size_t cap)
{
	return memchr(p, '\0', cap) != NULL;
}

static bool is_record(const struct volumes_record *r)
{
	return (r->kind == VOLUMES_THIN || r->kind == VOLUMES_POOL) &&
	       is_text(r->name, sizeof(r->name)) && is_text(r->volume, sizeof(r->volume)) &&
	       is_text(r->org, sizeof(r->org)) && is_text(r->app, sizeof(r->app));
}

static bool is_answer(const struct volumes_client *c, size_t bytes)
{
	const struct volumes_answer *a = &c->packet;
	const size_t head = offsetof(struct volumes_answer, records);

	return bytes >= head && a->magic == VOLUMES_MAGIC && a->n_records <= VOLUMES_RECORDS_MAX &&
	       bytes == head + a->n_records * sizeof(a->records[0]) && a->error <= 0 &&
	       is_text(a->why, sizeof(a->why));
}

static void complete(struct volumes_client *c)
{
	struct records swap = c->whole;

	c->asked_ns = 0;
	c->error = c->packet.error;
	memcpy(c->why, c->packet.why, sizeof(c->why));
	if (c->error < 0)
		return;
	c->whole = c->coming;
	c->coming = swap;
	c->answered_ns = clock_mono_ns();
}

static int take_packet(struct volumes_client *c, size_t bytes)
{
	const struct volumes_answer *a = &c->packet;

	if (!is_answer(c, bytes))
		return -EBADMSG;
	if (a->seq != c->seq)
		return 0;
	if (c->coming.n + a->n_records > VOLUMES_ALL_MAX)
		return -EBADMSG;
	if (MEM_GROW(c->coming.v, c->coming.cap, c->coming.n + a->n_records) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < a->n_records; i++) {
		if (!is_record(&a->records[i]))
			return -EBADMSG;
		c->coming.v[c->coming.n++] = a->records[i];
	}
	if (a->is_last)
		complete(c);
	return 0;
}

/* Takes what has come. */
static void receive(struct volumes_client *c)
{
	while (c->fd >= 0 && c->asked_ns != 0) {
		ssize_t n = recv(c->fd, &c->packet, sizeof(c->packet), MSG_DONTWAIT);
		int r = n < 0 ? neg_errno() : n == 0 ? -ECONNRESET : take_packet(c, (size_t)n);

		if (r == -EAGAIN)
			return;
		if (r < 0 && r != -EINTR)
			disconnect(c, r);
	}
}

static void wait_for_answer(struct volumes_client *c, int wait_ms)
{
	const uint64_t until_ns = clock_mono_ns() + (uint64_t)wait_ms * 1000000;

	receive(c);
	while (c->asked_ns != 0) {
		uint64_t now_ns = clock_mono_ns();
		struct pollfd p = { c->fd, POLLIN, 0 };

		if (now_ns >= until_ns ||
		    poll(&p, 1, (int)((until_ns - now_ns) / 1000000) + 1) <= 0)
			return;
		receive(c);
	}
}

int volumes_client_take(struct volumes_client *c, int wait_ms,
                        const struct volumes_record **ret_records, size_t *ret_n, struct err *e)
{
	uint64_t now_ns;

	wait_for_answer(c, wait_ms);
	now_ns = clock_mono_ns();
	if (c->error < 0)
		return err_set(e, c->error, "%.100s: %s",
		               c->why[0] ? "periscope-host-volumes" : c->path,
		               c->why[0] ? c->why : strerror(-c->error));
	if (c->answered_ns == 0 || now_ns - c->answered_ns > VOLUMES_AGE_NS_MAX)
		return err_set(e, -ETIMEDOUT, "periscope-host-volumes does not answer%s",
		               c->asked_ns && now_ns - c->asked_ns > VOLUMES_AGE_NS_MAX
		                       ? ": device-mapper hangs"
		                       : "");
	*ret_records = c->whole.v;
	*ret_n = c->whole.n;
	return 0;
}
