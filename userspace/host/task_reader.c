/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/task_reader.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/pidns.h"

#include "vm_task.skel.h"

#define RECORDS_PER_READ 512
#define STAT_BYTES_MAX   4096
#define STAT_UTIME       14 /* fields of /proc/PID/stat, counted from 1 (proc(5)) */
#define STAT_STIME       15
#define STAT_GTIME       43

struct watched {
	pid_t tgid;
	uint32_t slot;
};

struct task_reader {
	struct vm_task_bpf *skel; /* NULL = /proc */
	const uint64_t *used_ns;  /* [VM_TASK_VMS_MAX], the map's memory; NULL = no sampling */
	struct watched *watched;  /* for /proc */
	size_t n_watched, watched_cap;
	struct vm_task_rec *records; /* [RECORDS_PER_READ] */
	uint64_t ns_per_tick;
};

#define USED_BYTES (VM_TASK_VMS_MAX * sizeof(uint64_t))

static void unmap_used(struct task_reader *r)
{
	if (r->used_ns)
		(void)munmap((void *)(uintptr_t)r->used_ns, USED_BYTES);
	r->used_ns = NULL;
}

void task_reader_free(struct task_reader *r)
{
	if (!r)
		return;
	unmap_used(r);
	vm_task_bpf__destroy(r->skel);
	free(r->watched);
	free(r->records);
	free(r);
}

DEFINE_CLEANUP(struct task_reader *, task_reader_free);

static void map_used(struct task_reader *r)
{
	void *p = mmap(NULL, USED_BYTES, PROT_READ, MAP_SHARED,
	               bpf_map__fd(r->skel->maps.vm_used_ns), 0);

	r->used_ns = p == MAP_FAILED ? NULL : p;
}

static int try_load(struct task_reader *r, bool sample, struct err *e)
{
	int ret;

	r->skel = vm_task_bpf__open();
	if (!r->skel)
		return err_set(e, neg_errno(), "vm_task: cannot be opened, reading /proc: %s",
		               strerror(errno));
	r->skel->rodata->pidns_ino = pidns_ino_of_ours();
	(void)bpf_program__set_autoload(r->skel->progs.vm_task_sample, sample);
	ret = vm_task_bpf__load(r->skel);
	if (ret < 0)
		return err_set(e, ret, "vm_task: the kernel refused it, reading /proc: %s",
		               strerror(-ret));
	ret = vm_task_bpf__attach(r->skel);
	if (ret < 0)
		return err_set(e, ret, "vm_task: no task iterator, reading /proc: %s",
		               strerror(-ret));
	if (sample)
		map_used(r);
	return 0;
}

/* Peaks are a luxury: where the kernel refuses the sampling program, the rest goes without. */
static int load(struct task_reader *r, struct err *e)
{
	int ret = -EINVAL;

	for (int sample = 1; sample >= 0 && ret < 0; sample--) {
		ret = try_load(r, sample != 0, sample ? NULL : e);
		if (ret < 0) {
			vm_task_bpf__destroy(r->skel);
			r->skel = NULL;
		}
	}
	return ret;
}

int task_reader_open(struct task_reader **ret, bool allow_bpf, struct err *e)
{
	_cleanup_(task_reader_freep) struct task_reader *r = mem_zalloc(1, sizeof(*r));
	long hz = sysconf(_SC_CLK_TCK);

	if (!r)
		return -ENOMEM;
	r->records = mem_zalloc(RECORDS_PER_READ, sizeof(*r->records));
	if (!r->records)
		return -ENOMEM;
	r->ns_per_tick = 1000000000u / (uint64_t)(hz > 0 ? hz : 100);
	if (allow_bpf)
		(void)load(r, e);
	*ret = TAKE_PTR(r);
	return 0;
}

bool task_reader_uses_bpf(const struct task_reader *r)
{
	return r->skel != NULL;
}

int task_reader_watch(struct task_reader *r, pid_t tgid, uint32_t slot)
{
	__u32 key = (__u32)tgid;

	assert(slot < VM_TASK_VMS_MAX);
	if (r->skel)
		return bpf_map_update_elem(bpf_map__fd(r->skel->maps.vm_tgids), &key, &slot,
		                           BPF_ANY);
	if (r->n_watched == VM_TASK_VMS_MAX)
		return -ENOSPC;
	if (MEM_GROW(r->watched, r->watched_cap, r->n_watched + 1) < 0)
		return -ENOMEM;
	r->watched[r->n_watched++] = (struct watched){ tgid, slot };
	return 0;
}

void task_reader_unwatch(struct task_reader *r, pid_t tgid)
{
	__u32 key = (__u32)tgid;

	if (r->skel)
		(void)bpf_map_delete_elem(bpf_map__fd(r->skel->maps.vm_tgids), &key);
	for (size_t i = 0; i < r->n_watched; i++) {
		if (r->watched[i].tgid == tgid) {
			r->watched[i] = r->watched[--r->n_watched];
			return;
		}
	}
}

/* ---- the iterator --------------------------------------------------------- */

static int give(const struct vm_task_rec *v, size_t n, task_record_f fn, void *ctx)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = fn(ctx, &v[i]);
	return r;
}

/* A read returns whole records unless our buffer cuts one: the rest of it comes with the next. */
static int read_bpf(struct task_reader *r, task_record_f fn, void *ctx)
{
	_cleanup_close_ int fd = bpf_iter_create(bpf_link__fd(r->skel->links.vm_task_iter));
	char *bytes = (char *)r->records;
	size_t have = 0;

	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t n = read(fd, bytes + have, RECORDS_PER_READ * sizeof(*r->records) - have);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return neg_errno();
		if (n == 0)
			return have == 0 ? 0 : -EBADMSG;
		have += (size_t)n;
		size_t whole = have / sizeof(*r->records);
		int ret = give(r->records, whole, fn, ctx);

		if (ret < 0)
			return ret;
		have -= whole * sizeof(*r->records);
		memmove(bytes, bytes + whole * sizeof(*r->records), have);
	}
}

/* ---- /proc ---------------------------------------------------------------- */

static int take_field(struct str *text, uint64_t *ret)
{
	struct str word;

	(void)str_cut(str_trim(*text), ' ', &word, text);
	return num_parse_u64(str_trim(word), ret);
}

static int parse_schedstat(struct str text, struct vm_task_rec *rec)
{
	uint64_t v[2];

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		if (take_field(&text, &v[i]) < 0)
			return -EBADMSG;
	}
	rec->exec_ns = v[0];
	rec->run_delay_ns = v[1];
	return 0;
}

/* The name in parentheses may hold anything: fields are counted behind the last one. */
static int parse_stat(const struct task_reader *r, struct str text, struct vm_task_rec *rec)
{
	const char *close = text.len > 0 ? memrchr(text.p, ')', text.len) : NULL;
	uint64_t v;

	if (!close)
		return -EBADMSG;
	text = str_skip(text, (size_t)(close - text.p) + 2);
	for (int field = 3; field <= STAT_GTIME; field++) {
		bool number = take_field(&text, &v) == 0;
		__u64 *to = field == STAT_UTIME   ? &rec->utime_ns
		            : field == STAT_STIME ? &rec->stime_ns
		            : field == STAT_GTIME ? &rec->gtime_ns
		                                  : NULL;

		if (to && !number)
			return -EBADMSG;
		if (to)
			*to = v * r->ns_per_tick;
	}
	return 0;
}

static int read_thread(const struct task_reader *r, pid_t tgid, pid_t tid, struct vm_task_rec *rec)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[64];
	int ret;

	*rec = (struct vm_task_rec){ .tgid = (__u32)tgid, .tid = (__u32)tid };
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", tgid, tid);
	ret = file_read(path, &text, STAT_BYTES_MAX);
	if (ret == 0)
		ret = parse_schedstat(buf_str(&text), rec);
	if (ret < 0)
		return ret;
	buf_clear(&text);
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", tgid, tid);
	ret = file_read(path, &text, STAT_BYTES_MAX);
	return ret < 0 ? ret : parse_stat(r, buf_str(&text), rec);
}

/* A thread or process that goes away meanwhile is not an error. */
static int read_process(const struct task_reader *r, const struct watched *w, task_record_f fn,
                        void *ctx)
{
	char path[64];
	struct dirent *entry;
	int ret = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", w->tgid);
	DIR *dir = opendir(path);

	while (dir && ret == 0 && (entry = readdir(dir)) != NULL) {
		struct vm_task_rec rec;
		uint64_t tid;

		if (num_parse_u64(str_from(entry->d_name), &tid) < 0 ||
		    read_thread(r, w->tgid, (pid_t)tid, &rec) < 0)
			continue;
		rec.slot = w->slot;
		ret = fn(ctx, &rec);
	}
	if (dir)
		(void)closedir(dir);
	return ret;
}

int task_reader_read(struct task_reader *r, task_record_f fn, void *ctx)
{
	int ret = 0;

	if (r->skel)
		return read_bpf(r, fn, ctx);
	for (size_t i = 0; i < r->n_watched && ret == 0; i++)
		ret = read_process(r, &r->watched[i], fn, ctx);
	return ret;
}

/* ---- between two reads ----------------------------------------------------- */

int task_reader_sample(struct task_reader *r)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (!r->used_ns)
		return -ENOTSUP;
	return bpf_prog_test_run_opts(bpf_program__fd(r->skel->progs.vm_task_sample), &opts);
}

uint64_t task_reader_used_ns(const struct task_reader *r, uint32_t slot)
{
	assert(slot < VM_TASK_VMS_MAX);
	return r->used_ns ? __atomic_load_n(&r->used_ns[slot], __ATOMIC_RELAXED) : 0;
}
