/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source balloon: the memory of guests that cannot be read, as their balloon driver tells it
 * (balloon.h). Only of VMs whose description names their monitor's socket.
 *
 * A tick asks all monitors when it begins, on connections of its own, and takes what has come when
 * it is this source's turn, waiting WAIT_MS for all together at most: who is late has no samples in
 * this tick. The connections are closed then; QEMU serves one client at a time.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/clock.h"
#include "userspace/base/err.h"
#include "userspace/base/util.h"
#include "userspace/host/balloon.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"

#define WAIT_MS 50

struct asked {
	const struct vm *vm;
	int fd; /* -1: not asked in this tick */
	char device[BALLOON_PATH_CAP];
	struct buf answer;
};

struct source {
	uint32_t interval_s;
	struct asked **all;
	size_t n, cap;
};

static void hang_up(struct asked *a)
{
	if (a->fd >= 0)
		(void)close(a->fd);
	a->fd = -1;
	buf_clear(&a->answer);
}

static void asked_free(struct asked *a)
{
	hang_up(a);
	buf_done(&a->answer);
	free(a);
}

static void balloon_set_conf(struct source *src, const struct host_conf *conf)
{
	src->interval_s = (uint32_t)MAX(conf->interval_ms / 1000, (int64_t)1);
}

static int balloon_open(struct source **ret, const struct host_conf *conf, struct err *e)
{
	struct source *src = mem_zalloc(1, sizeof(*src));

	(void)e;
	if (!src)
		return -ENOMEM;
	balloon_set_conf(src, conf);
	*ret = src;
	return 0;
}

static void balloon_free(struct source *src)
{
	for (size_t i = 0; src && i < src->n; i++)
		asked_free(src->all[i]);
	if (src)
		free(src->all);
	free(src);
}

static int balloon_vm_added(struct source *src, const struct vm *vm)
{
	struct asked *a;

	if (!vm->monitor_socket[0] || (vm->vmm != VMM_QEMU && vm->vmm != VMM_FIRECRACKER))
		return 0;
	a = mem_zalloc(1, sizeof(*a));
	if (!a || MEM_GROW(src->all, src->cap, src->n + 1) < 0) {
		free(a);
		return -ENOMEM;
	}
	*a = (struct asked){ .vm = vm, .fd = -1, .answer = BUF_INIT };
	src->all[src->n++] = a;
	return 0;
}

static void balloon_vm_gone(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n; i++) {
		if (src->all[i]->vm->id != vm->id)
			continue;
		asked_free(src->all[i]);
		src->all[i] = src->all[--src->n];
		return;
	}
}

/* ---- a tick --------------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(to.sun_path))
		return -1;
	memcpy(to.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static void ask(const struct source *src, struct asked *a)
{
	struct buf request = BUF_INIT;

	hang_up(a);
	a->fd = connect_to(a->vm->monitor_socket);
	if (a->vm->vmm == VMM_QEMU)
		balloon_ask_qmp(a->device, src->interval_s, &request);
	else
		balloon_ask_firecracker(&request);
	if (a->fd >= 0 && (request.err < 0 || send(a->fd, request.p, request.len, MSG_NOSIGNAL) !=
	                                              (ssize_t)request.len))
		hang_up(a);
	buf_done(&request);
}

static void balloon_begin(struct source *src)
{
	for (size_t i = 0; i < src->n; i++)
		ask(src, src->all[i]);
}

/* What has come; false when nothing more will. */
static bool receive(struct asked *a)
{
	char bytes[4096];
	ssize_t n;

	while ((n = recv(a->fd, bytes, sizeof(bytes), 0)) > 0) {
		buf_put(&a->answer, bytes, (size_t)n);
		if (a->answer.len > BALLOON_ANSWER_BYTES_MAX || a->answer.err < 0)
			return false;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static int parse(struct asked *a, struct balloon_memory *ret)
{
	if (a->vm->vmm == VMM_QEMU)
		return balloon_read_qmp(buf_str(&a->answer), a->device, ret);
	return balloon_read_firecracker(buf_str(&a->answer), ret);
}

/* Waits until @until_ns at most. */
static int answer_of(struct asked *a, uint64_t until_ns, struct balloon_memory *ret)
{
	for (;;) {
		bool more = receive(a);
		int r = parse(a, ret);
		uint64_t now_ns = clock_mono_ns();
		struct pollfd p = { a->fd, POLLIN, 0 };

		if (r != -EAGAIN || !more || now_ns >= until_ns)
			return r;
		(void)poll(&p, 1, (int)((until_ns - now_ns) / 1000000) + 1);
	}
}

static int emit(const struct balloon_memory *m, struct batch *out)
{
	int r = batch_add(out, FLY_INSTANCE_MEMORY_MEM_TOTAL, NULL, (double)m->total);

	if (r == 0)
		r = batch_add(out, FLY_INSTANCE_MEMORY_MEM_FREE, NULL, (double)m->free);
	return r < 0 ? r
	             : batch_add(out, FLY_INSTANCE_MEMORY_MEM_AVAILABLE, NULL,
	                         (double)m->available);
}

static int balloon_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	const uint64_t until_ns = clock_mono_ns() + WAIT_MS * 1000000ull;
	int r = 0;

	(void)e;
	for (size_t i = 0; i < src->n && r == 0; i++) {
		struct asked *a = src->all[i];
		struct balloon_memory m;

		if (a->fd < 0)
			continue;
		if (answer_of(a, until_ns, &m) == 0) {
			r = batch_begin_vm(out, a->vm, now_ms);
			if (r == 0)
				r = emit(&m, out);
		}
		hang_up(a);
	}
	return r;
}

const struct source_ops balloon_source = {
	.name = "balloon",
	.open = balloon_open,
	.set_conf = balloon_set_conf,
	.vm_added = balloon_vm_added,
	.vm_gone = balloon_vm_gone,
	.begin = balloon_begin,
	.collect = balloon_collect,
	.free = balloon_free,
};
