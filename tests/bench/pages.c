/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The readings of periscope-host --simulate as pages for a scraper: one page for each made-up VM.
 *
 *	pages ADDRESS PORT VMS=1000,SERIES=150 INTERVAL_S
 *
 * GET /N is the N-th VM's page, without the labels app, host, instance and region, which a scraper
 * adds of its own knowledge. All pages change once in the interval, by the numbers that the daemon
 * itself would have read. GET /targets is a file for Prometheus' file_sd: every page with its
 * labels. One thread and epoll, keep-alive; whoever asks is a benchmark and no enemy.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/simulate.h"
#include "userspace/wire/promtext.h"

#define EVENTS_MAX      64
#define PAGE_LABELS_MAX 16u
#define HEAD_BYTES      256u
#define ASKED_BYTES     4096u
#define LISTENING       (-1)
#define TICKING         (-2)

static const char *const standard[] = { "app", "host", "instance", "region" };

struct pages {
	struct simulation *simulation;
	uint32_t n_vms;
	struct buf *pages; /* [n_vms] */
	struct buf targets;
	char instance[32]; /* of the VM that is being written */
	uint32_t at, n_begun;
	int epoll_fd, listen_fd, timer_fd;
	struct buf out;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "pages: %s failed\n", what);
	exit(1);
}

/* ---- pages ---------------------------------------------------------------------------------- */

static bool is_standard(struct str name)
{
	for (size_t i = 0; i < ARRAY_SIZE(standard); i++) {
		if (str_eqc(name, standard[i]))
			return true;
	}
	return false;
}

static void put_target(struct pages *p, const struct label *labels, uint32_t n)
{
	buf_printf(&p->targets,
	           "%s{\"targets\": [\"@\"], \"labels\": {\"__metrics_path__\": \"/%u\"",
	           p->at > 0 ? ",\n" : "[", p->at);
	for (uint32_t i = 0; i < n; i++) {
		if (is_standard(labels[i].name))
			buf_printf(&p->targets, ", \"%.*s\": \"%.*s\"", STR_FMT(labels[i].name),
			           STR_FMT(labels[i].value));
	}
	buf_puts(&p->targets, "}}");
}

/* The VMs come one after another: another instance is the next page. */
static int on_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n,
                     const struct sample *s)
{
	struct pages *p = ctx;
	struct label rest[PAGE_LABELS_MAX];
	uint32_t n_rest = 0;

	(void)id;
	must(n <= PAGE_LABELS_MAX, "counting labels");
	for (uint32_t i = 0; i < n; i++) {
		if (!is_standard(labels[i].name))
			rest[n_rest++] = labels[i];
		if (!str_eqc(labels[i].name, "instance") || str_eqc(labels[i].value, p->instance))
			continue;
		p->at = p->n_begun++;
		(void)snprintf(p->instance, sizeof(p->instance), "%.*s", STR_FMT(labels[i].value));
		put_target(p, labels, n);
	}
	promtext_write_sample(&p->pages[p->at], rest, n_rest, s->value, NULL);
	return 0;
}

static void render(struct pages *p)
{
	struct batch *b = NULL;

	for (uint32_t i = 0; i < p->n_vms; i++)
		p->pages[i].len = 0;
	p->targets.len = 0;
	p->instance[0] = '\0';
	p->n_begun = 0;
	must(batch_new(&b, SIZE_MAX) == 0, "batch_new");
	must(simulation_collect(p->simulation, clock_unix_ms(), b) == 0, "simulation_collect");
	must(batch_each(b, false, on_sample, p) == 0, "batch_each");
	must(p->n_begun == p->n_vms, "finding every VM");
	buf_puts(&p->targets, "]\n");
	batch_free(b);
}

/* ---- HTTP ----------------------------------------------------------------------------------- */

static void watch(struct pages *p, int fd, int what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = what };

	must(epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void accept_one(struct pages *p)
{
	int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	watch(p, fd, fd);
}

static const struct buf *page_of(const struct pages *p, const char *asked)
{
	struct str path = str_from(asked + strlen("GET /")), number, rest;
	uint64_t i;

	(void)str_cut(path, ' ', &number, &rest);
	if (str_eqc(number, "targets"))
		return &p->targets;
	return num_parse_u64(number, &i) == 0 && i < p->n_vms ? &p->pages[i] : NULL;
}

/* False: the connection ends. A request is taken to come in one piece; an answer waits for room. */
static bool serve(struct pages *p, int fd)
{
	char asked[ASKED_BYTES + 1];
	ssize_t n = recv(fd, asked, ASKED_BYTES, 0);

	if (n <= 0)
		return false;
	asked[n] = '\0';
	if (strncmp(asked, "GET /", 5) != 0 || !strstr(asked, "\r\n\r\n"))
		return false;
	const struct buf *page = page_of(p, asked);

	if (!page)
		return false;
	p->out.len = 0;
	buf_printf(&p->out,
	           "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
	           "Content-Length: %zu\r\n\r\n",
	           page->len);
	buf_put(&p->out, page->p, page->len);
	return send(fd, p->out.p, p->out.len, MSG_NOSIGNAL) == (ssize_t)p->out.len;
}

static void run(struct pages *p)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t ticks;

	for (;;) {
		int n = epoll_wait(p->epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == LISTENING)
				accept_one(p);
			else if (fd == TICKING && read(p->timer_fd, &ticks, sizeof(ticks)) > 0)
				render(p);
			else if (fd >= 0 && !serve(p, fd))
				(void)close(fd);
		}
	}
}

static void open_all(struct pages *p, const char *address, uint16_t port, int64_t interval_s)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct itimerspec every = { .it_interval.tv_sec = interval_s,
		                          .it_value.tv_sec = interval_s };

	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	must(inet_pton(AF_INET, address, &at.sin_addr) == 1, "reading the address");
	must(bind(p->listen_fd, (const struct sockaddr *)&at, sizeof(at)) == 0, "bind");
	must(listen(p->listen_fd, SOMAXCONN) == 0, "listen");
	must(timerfd_settime(p->timer_fd, 0, &every, NULL) == 0, "timerfd_settime");
	watch(p, p->listen_fd, LISTENING);
	watch(p, p->timer_fd, TICKING);
}

int main(int argc, char **argv)
{
	struct pages p = { 0 };
	struct simulate_opts opts;
	struct err e = ERR_INIT;
	uint64_t port, interval_s;

	if (argc != 5 || num_parse_u64(str_from(argv[2]), &port) < 0 || port > UINT16_MAX ||
	    simulate_parse(argv[3], &opts, &e) < 0 ||
	    num_parse_u64(str_from(argv[4]), &interval_s) < 0) {
		(void)fprintf(stderr, "usage: pages ADDRESS PORT VMS=1000,SERIES=150 INTERVAL_S\n");
		return 2;
	}
	p.n_vms = opts.n_vms;
	p.pages = calloc(opts.n_vms + 1, sizeof(*p.pages));
	must(p.pages && simulation_new(&p.simulation, &opts, "d001", "dev") == 0, "memory");
	render(&p);
	open_all(&p, argv[1], (uint16_t)port, (int64_t)interval_s);
	run(&p);
	return 0;
}
