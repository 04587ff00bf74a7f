/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/volumes/server.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/volumes/dm.h"
#include "userspace/volumes/lvm_tags.h"
#include "userspace/volumes/wire.h"

#define CLIENTS_MAX     8
#define TAGS_EVERY_NS   (600ull * 1000000000) /* tags change without any event */
#define TAGS_AT_MOST_NS (10ull * 1000000000)
#define TAGS_TIMEOUT_NS (60ull * 1000000000)
#define KEEP_ALIVE_MS   5000

struct server {
	int listener;
	char path[108];
	int clients[CLIENTS_MAX]; /* -1 = free */
	struct lvm_tags tags;
	struct lvm_query *query; /* under way; NULL = none */
	uint64_t query_ns;       /* when the last one began; 0 = never */
	size_t n_known;          /* thin devices that the last query knew of */
	bool no_lvs;
	struct volumes_answer answer;
};

void server_close(struct server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (s->clients[i] >= 0)
			(void)close(s->clients[i]);
	}
	if (s->listener >= 0) {
		(void)close(s->listener);
		(void)unlink(s->path);
	}
	lvm_query_free(s->query);
	lvm_tags_done(&s->tags);
	free(s);
}

/* Whether somebody listens there: a socket whose owner was killed stays behind. */
static bool is_answered(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool answered = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;

	if (fd >= 0)
		(void)close(fd);
	return answered;
}

static int listen_at(struct server *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memcpy(addr.sun_path, s->path, sizeof(addr.sun_path));
	if (is_answered(&addr))
		return -EADDRINUSE;
	(void)unlink(s->path);
	s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return neg_errno();
	mode_t before = umask(0117);
	int r = bind(s->listener, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? neg_errno()
	                                                                            : 0;

	(void)umask(before);
	if (r == 0 && listen(s->listener, CLIENTS_MAX) < 0)
		r = neg_errno();
	return r;
}

int server_open(struct server **ret, const char *path, struct err *e)
{
	struct server *s = mem_zalloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->listener = -1;
	memset(s->clients, 0xff, sizeof(s->clients));
	if (strlen(path) >= sizeof(s->path)) {
		server_close(s);
		return err_set(e, -ENAMETOOLONG, "socket: %.60s… is longer than %zu bytes", path,
		               sizeof(s->path) - 1);
	}
	memcpy(s->path, path, strlen(path));
	r = listen_at(s);
	if (r < 0) {
		server_close(s);
		return err_set(e, r, "socket %.108s: %s", path, strerror(-r));
	}
	*ret = s;
	return 0;
}

/* ---- tags ----------------------------------------------------------------------------------- */

static void start_query(struct server *s)
{
	int r = lvm_query_start(&s->query);

	s->query_ns = clock_mono_ns();
	if (r == 0)
		return;
	s->query = NULL;
	s->no_lvs = r == -ENOENT;
	log_warn("tags of logical volumes cannot be read", STRV("why", strerror(-r)));
}

/* @n_thin devices are there now. */
static void refresh_tags(struct server *s, size_t n_thin)
{
	uint64_t age_ns = s->query_ns ? clock_mono_ns() - s->query_ns : UINT64_MAX;

	if (s->query && age_ns > TAGS_TIMEOUT_NS) {
		log_warn("lvs does not answer");
		lvm_query_free(s->query);
		s->query = NULL;
	}
	if (s->query || s->no_lvs || n_thin == 0)
		return;
	if (age_ns > TAGS_EVERY_NS || (n_thin != s->n_known && age_ns > TAGS_AT_MOST_NS)) {
		start_query(s);
		s->n_known = n_thin;
	}
}

static void read_query(struct server *s)
{
	int r = lvm_query_read(s->query, &s->tags);

	if (r == 0)
		return;
	if (r < 0)
		log_warn("tags of logical volumes were not read", STRV("why", strerror(-r)));
	lvm_query_free(s->query);
	s->query = NULL;
}

/* ---- answering ------------------------------------------------------------------------------ */

struct reply {
	struct server *s;
	int client;
	size_t n_sent, n_thin;
};

static int send_answer(struct reply *reply, bool is_last)
{
	struct volumes_answer *a = &reply->s->answer;
	size_t bytes =
		offsetof(struct volumes_answer, records) + a->n_records * sizeof(a->records[0]);

	a->is_last = is_last;
	ssize_t n = send(reply->client, a, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

	reply->n_sent += a->n_records;
	a->n_records = 0;
	return n < 0 ? neg_errno() : 0;
}

static int on_device(void *ctx, const struct volumes_record *rec, const char *uuid)
{
	struct reply *reply = ctx;
	struct volumes_answer *a = &reply->s->answer;
	const struct lvm_tags_row *tags = lvm_tags_find(&reply->s->tags, uuid);
	struct volumes_record *to = &a->records[a->n_records];

	if (reply->n_sent >= VOLUMES_ALL_MAX)
		return 0;
	*to = *rec;
	reply->n_thin += rec->kind == VOLUMES_THIN;
	if (tags) {
		memcpy(to->volume, tags->volume, sizeof(to->volume));
		memcpy(to->org, tags->org, sizeof(to->org));
		memcpy(to->app, tags->app, sizeof(to->app));
	}
	return ++a->n_records == VOLUMES_RECORDS_MAX ? send_answer(reply, false) : 0;
}

/* A client that does not take what it asked for is let go. */
static int answer(struct server *s, int client, const struct volumes_request *req)
{
	struct reply reply = { .s = s, .client = client };
	struct volumes_answer *a = &s->answer;
	struct err e = ERR_INIT;

	*a = (struct volumes_answer){ .magic = VOLUMES_MAGIC, .seq = req->seq };
	a->error = dm_each(on_device, &reply, &e);
	if (a->error < 0) {
		a->n_records = 0;
		(void)snprintf(a->why, sizeof(a->why), "%.120s",
		               e.msg[0] ? e.msg : strerror(-a->error));
	}
	refresh_tags(s, reply.n_thin);
	return send_answer(&reply, true);
}

static int serve(struct server *s, int client)
{
	struct volumes_request req;
	ssize_t n = recv(client, &req, sizeof(req), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != (ssize_t)sizeof(req) || req.magic != VOLUMES_MAGIC)
		return -EPIPE; /* gone, or nobody of ours */
	return answer(s, client, &req);
}

static void accept_client(struct server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
		if (s->clients[i] < 0) {
			s->clients[i] = fd;
			return;
		}
	}
	if (fd >= 0)
		(void)close(fd);
}

/* ---- loop ----------------------------------------------------------------------------------- */

enum {
	AT_END,
	AT_LISTENER,
	AT_QUERY,
	AT_CLIENTS,
	N_FDS = AT_CLIENTS + CLIENTS_MAX
};

static int wait_for_work(const struct server *s, int end_fd, struct pollfd fds[N_FDS])
{
	fds[AT_END] = (struct pollfd){ end_fd, POLLIN, 0 };
	fds[AT_LISTENER] = (struct pollfd){ s->listener, POLLIN, 0 };
	fds[AT_QUERY] = (struct pollfd){ s->query ? lvm_query_fd(s->query) : -1, POLLIN, 0 };
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		fds[AT_CLIENTS + i] = (struct pollfd){ s->clients[i], POLLIN, 0 };
	return poll(fds, N_FDS, KEEP_ALIVE_MS) < 0 && errno != EINTR ? neg_errno() : 0;
}

int server_run(struct server *s, int end_fd)
{
	struct pollfd fds[N_FDS];

	for (;;) {
		int r = wait_for_work(s, end_fd, fds);

		if (r < 0)
			return r;
		if (fds[AT_END].revents)
			return 0;
		if (fds[AT_QUERY].revents && s->query)
			read_query(s);
		for (size_t i = 0; i < CLIENTS_MAX; i++) {
			if (fds[AT_CLIENTS + i].revents && serve(s, s->clients[i]) < 0) {
				(void)close(s->clients[i]);
				s->clients[i] = -1;
			}
		}
		if (fds[AT_LISTENER].revents)
			accept_client(s);
		while (!s->query && waitpid(-1, NULL, WNOHANG) > 0) {
		}
	}
}
