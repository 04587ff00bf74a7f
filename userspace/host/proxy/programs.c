/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/proxy/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/util.h"

#include "proxy.skel.h"

#define CONNS_PER_READ 256u /* some 64 KiB: the iterator's own buffer is not larger */

struct programs {
	int vm_addrs_fd, ring_fd;
	struct ring_buffer *ring;
	programs_rec_f fn;
	void *ctx;
};

struct program {
	struct proxy_bpf *skel;
	struct bpf_link *iter, *sockops, *ingress, *egress;
	struct proxy_conn_rec *conns; /* [CONNS_PER_READ], scratch of one read */
};

_Static_assert(sizeof(struct net_addr) == sizeof(struct proxy_addr), "the same bytes");

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

void programs_close(struct programs *all)
{
	if (!all)
		return;
	ring_buffer__free(all->ring);
	close_fd(all->ring_fd);
	close_fd(all->vm_addrs_fd);
	free(all);
}

DEFINE_CLEANUP(struct programs *, programs_close);
DEFINE_CLEANUP(struct program *, program_close);

static int on_record(void *ctx, void *data, size_t bytes)
{
	const struct programs *all = ctx;

	if (bytes >= sizeof(struct proxy_rec))
		all->fn(all->ctx, data, bytes);
	return 0;
}

static int create_shared(struct programs *all, struct err *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);

	all->ring_fd =
		bpf_map_create(BPF_MAP_TYPE_RINGBUF, "proxy_ring", 0, 0, PROXY_RING_BYTES, NULL);
	if (all->ring_fd < 0)
		return err_set(e, all->ring_fd, "proxy: no ring buffer: %s",
		               strerror(-all->ring_fd));
	all->vm_addrs_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "vm_addrs", sizeof(struct proxy_addr),
	                                  sizeof(__u32), PROXY_VMS_MAX, &opts);
	if (all->vm_addrs_fd < 0)
		return err_set(e, all->vm_addrs_fd, "proxy: no map of addresses: %s",
		               strerror(-all->vm_addrs_fd));
	all->ring = ring_buffer__new(all->ring_fd, on_record, all, NULL);
	if (!all->ring)
		return err_set(e, neg_errno(), "proxy: no ring buffer: %s", strerror(errno));
	return 0;
}

int programs_open(struct programs **ret, programs_rec_f fn, void *ctx, struct err *e)
{
	_cleanup_(programs_closep) struct programs *all = mem_zalloc(1, sizeof(*all));
	int r;

	if (!all)
		return -ENOMEM;
	all->ring_fd = all->vm_addrs_fd = -1;
	all->fn = fn;
	all->ctx = ctx;
	r = create_shared(all, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(all);
	return 0;
}

int programs_consume(struct programs *all)
{
	return ring_buffer__consume(all->ring);
}

int programs_set_vm(struct programs *all, const struct net_addr *addr, uint32_t owner)
{
	return bpf_map_update_elem(all->vm_addrs_fd, addr, &owner, BPF_ANY);
}

void programs_unset_vm(struct programs *all, const struct net_addr *addr)
{
	(void)bpf_map_delete_elem(all->vm_addrs_fd, addr);
}

/* ---- one proxy ------------------------------------------------------------------------------ */

void program_detach(struct program *p)
{
	struct bpf_link **const links[] = { &p->sockops, &p->ingress, &p->egress };

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		bpf_link__destroy(*links[i]);
		*links[i] = NULL;
	}
}

void program_close(struct program *p)
{
	if (!p)
		return;
	program_detach(p);
	bpf_link__destroy(p->iter);
	proxy_bpf__destroy(p->skel);
	free(p->conns);
	free(p);
}

static int load(struct program *p, const struct programs *all, uint32_t index, struct err *e)
{
	int r;

	p->skel = proxy_bpf__open();
	if (!p->skel)
		return err_set(e, neg_errno(), "proxy: cannot be opened: %s", strerror(errno));
	p->skel->rodata->proxy_index = index;
	r = bpf_map__reuse_fd(p->skel->maps.proxy_ring, all->ring_fd);
	if (r == 0)
		r = bpf_map__reuse_fd(p->skel->maps.vm_addrs, all->vm_addrs_fd);
	if (r == 0)
		r = proxy_bpf__load(p->skel);
	if (r < 0)
		return err_set(e, r, "proxy: the kernel refused it: %s", strerror(-r));
	p->iter = bpf_program__attach_iter(p->skel->progs.proxy_iter, NULL);
	if (!p->iter)
		return err_set(e, neg_errno(), "proxy: no iterator: %s", strerror(errno));
	return 0;
}

static int set_listeners(struct program *p, const struct net_endpoint *v, size_t n)
{
	int fd = bpf_map__fd(p->skel->maps.listeners), r = 0;
	__u32 one = 1;

	p->skel->bss->settings.all_listeners = n == 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct proxy_endpoint key = { .port = v[i].port };

		memcpy(&key.addr, &v[i].addr, sizeof(key.addr));
		r = bpf_map_update_elem(fd, &key, &one, BPF_ANY);
	}
	return r;
}

int program_open(struct program **ret, struct programs *all, uint32_t index,
                 const struct net_endpoint *listeners, size_t n_listeners, struct err *e)
{
	_cleanup_(program_closep) struct program *p = mem_zalloc(1, sizeof(*p));
	int r;

	if (p)
		p->conns = mem_zalloc(CONNS_PER_READ, sizeof(*p->conns));
	if (!p || !p->conns)
		return -ENOMEM;
	r = load(p, all, index, e);
	if (r == 0)
		r = set_listeners(p, listeners, n_listeners);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

int program_attach(struct program *p, int cgroup_fd, uint64_t cgroup_id, struct err *e)
{
	const struct {
		const struct bpf_program *program;
		struct bpf_link **link;
	} rows[] = {
		/* In this order: a connection that is known has all of its packets looked at. */
		{ p->skel->progs.proxy_ingress, &p->ingress },
		{ p->skel->progs.proxy_egress, &p->egress },
		{ p->skel->progs.proxy_sockops, &p->sockops },
	};

	program_detach(p);
	p->skel->bss->settings.cgroup_id = cgroup_id;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		*rows[i].link = bpf_program__attach_cgroup(rows[i].program, cgroup_fd);
		if (!*rows[i].link) {
			int r = neg_errno();

			program_detach(p);
			return err_set(e, r, "proxy: cannot attach to the cgroup: %s",
			               strerror(-r));
		}
	}
	return 0;
}

static uint32_t set_rules(struct h1_rule rules[H1_RULES_MAX], const struct conf_strings *texts)
{
	uint32_t n = 0;

	for (size_t i = 0; i < texts->n && n < H1_RULES_MAX; i++) {
		size_t len = strlen(texts->v[i]);

		if (len == 0 || len >= H1_RULE_CAP)
			continue;
		rules[n] = (struct h1_rule){ .len = (__u32)len };
		memcpy(rules[n].text, texts->v[i], len);
		memset(rules[n++].mask, 0xff, len);
	}
	return n;
}

void program_set_checks(struct program *p, const struct conf_strings *paths,
                        const struct conf_strings *agents)
{
	struct h1_rules *rules = &p->skel->bss->settings.checks;

	rules->n_paths = set_rules(rules->paths, paths);
	rules->n_agents = set_rules(rules->agents, agents);
}

bool program_is_attached(const struct program *p)
{
	return p->sockops != NULL;
}

static int read_conns(struct program *p, int fd, program_conn_f fn, void *ctx)
{
	for (;;) {
		ssize_t n = read(fd, p->conns, CONNS_PER_READ * sizeof(*p->conns));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return n < 0 ? neg_errno() : 0;
		/* The kernel hands out whole records, as many as fit. */
		for (size_t i = 0; i < (size_t)n / sizeof(*p->conns); i++)
			fn(ctx, &p->conns[i]);
	}
}

int program_each_conn(struct program *p, bool adopt, program_conn_f fn, void *ctx)
{
	_cleanup_close_ int fd = bpf_iter_create(bpf_link__fd(p->iter));
	int r;

	if (fd < 0)
		return fd;
	p->skel->bss->settings.adopt = adopt;
	r = read_conns(p, fd, fn, ctx);
	p->skel->bss->settings.adopt = 0;
	return r;
}

void program_counters(const struct program *p, struct proxy_counters *ret)
{
	*ret = p->skel->bss->counters;
}
