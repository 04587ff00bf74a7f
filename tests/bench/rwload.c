/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends a file of rwgen to a remote-write URL on 127.0.0.1, over some keep-alive connections that
 * take the next request from the file as soon as the last one is answered.
 *
 *	rwload PORT PATH FILE CONNECTIONS
 *
 * Prints "seconds S requests N bad N bytes N"; exits 1 when an answer was no 2xx.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/num.h"

#define CONNECTIONS_MAX 64u
#define ANSWER_BYTES    65536u

struct load {
	uint16_t port;
	const char *path;
	const uint8_t *file;
	size_t file_bytes, at;
	pthread_mutex_t lock; /* of @at */
	atomic_ulong n_requests, n_bad;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "rwload: %s failed\n", what);
	exit(1);
}

static int dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0, "socket");
	must(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0, "connect");
	return fd;
}

static void send_all(int fd, const void *p, size_t bytes)
{
	for (const char *at = p; bytes > 0;) {
		ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);

		must(n > 0, "send");
		at += n;
		bytes -= (size_t)n;
	}
}

/* The next request of the file; false at its end. */
static bool next(struct load *l, const uint8_t **ret, uint32_t *ret_bytes)
{
	bool some = false;

	pthread_mutex_lock(&l->lock);
	if (l->at + sizeof(*ret_bytes) <= l->file_bytes) {
		memcpy(ret_bytes, l->file + l->at, sizeof(*ret_bytes));
		*ret = l->file + l->at + sizeof(*ret_bytes);
		l->at += sizeof(*ret_bytes) + *ret_bytes;
		must(l->at <= l->file_bytes, "reading the file");
		some = true;
	}
	pthread_mutex_unlock(&l->lock);
	return some;
}

static size_t content_length(const char *head, const char *end)
{
	for (const char *line = strstr(head, "\r\n"); line && line < end;
	     line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, "content-length:", 15) == 0)
			return strtoul(line + 17, NULL, 10);
	}
	return 0;
}

/* Reads one whole answer; returns its status. */
static int answer(int fd, char *text)
{
	const char *end = NULL;
	size_t got = 0;

	while (!end) {
		ssize_t n = recv(fd, text + got, ANSWER_BYTES - 1 - got, 0);

		must(n > 0, "receiving an answer");
		got += (size_t)n;
		text[got] = '\0';
		end = strstr(text, "\r\n\r\n");
	}
	size_t all = (size_t)(end + 4 - text) + content_length(text, end);

	must(all < ANSWER_BYTES && got >= 12, "reading an answer");
	while (got < all) {
		ssize_t n = recv(fd, text + got, all - got, 0);

		must(n > 0, "receiving an answer");
		got += (size_t)n;
	}
	text[got] = '\0';
	return (int)strtol(text + 9, NULL, 10);
}

static void *run(void *ctx)
{
	struct load *l = ctx;
	_cleanup_free_ char *text = malloc(ANSWER_BYTES);
	int fd = dial(l->port);
	const uint8_t *body;
	uint32_t bytes;
	char head[512];

	must(text != NULL, "malloc");
	while (next(l, &body, &bytes)) {
		int n = snprintf(head, sizeof(head),
		                 "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		                 "Content-Encoding: snappy\r\n"
		                 "Content-Type: application/x-protobuf\r\n"
		                 "X-Prometheus-Remote-Write-Version: 0.1.0\r\n"
		                 "Content-Length: %u\r\n\r\n",
		                 l->path, bytes);

		must(n > 0 && n < (int)sizeof(head), "the path");
		send_all(fd, head, (size_t)n);
		send_all(fd, body, bytes);
		atomic_fetch_add(&l->n_requests, 1);
		if (answer(fd, text) / 100 != 2 && atomic_fetch_add(&l->n_bad, 1) == 0)
			(void)fprintf(stderr, "rwload: %.500s\n", text);
	}
	(void)close(fd);
	return NULL;
}

static void map_file(struct load *l, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	must(fd >= 0 && fstat(fd, &st) == 0, "opening the file");
	l->file_bytes = (size_t)st.st_size;
	void *p = mmap(NULL, l->file_bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);

	must(p != MAP_FAILED, "mmap");
	l->file = p;
}

static uint64_t number(const char *text, uint64_t max)
{
	uint64_t v = 0;

	must(num_parse_u64(str_from(text), &v) == 0 && v > 0 && v <= max, "reading the arguments");
	return v;
}

int main(int argc, char **argv)
{
	struct load l = { .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[CONNECTIONS_MAX];

	if (argc != 5) {
		(void)fprintf(stderr, "usage: rwload PORT PATH FILE CONNECTIONS\n");
		return 2;
	}
	l.port = (uint16_t)number(argv[1], UINT16_MAX);
	l.path = argv[2];
	map_file(&l, argv[3]);
	size_t n = number(argv[4], CONNECTIONS_MAX);
	uint64_t start_ns = clock_mono_ns();

	for (size_t i = 0; i < n; i++)
		must(pthread_create(&threads[i], NULL, run, &l) == 0, "pthread_create");
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
	(void)printf("seconds %.3f requests %lu bad %lu bytes %zu\n",
	             (double)(clock_mono_ns() - start_ns) / 1e9, atomic_load(&l.n_requests),
	             atomic_load(&l.n_bad), l.file_bytes);
	return atomic_load(&l.n_bad) > 0;
}
