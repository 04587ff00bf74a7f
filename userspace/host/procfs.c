/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define PATH_CAP      4096
#define SMALL_FILE    ((size_t)4096)
#define NUMBERS_MAX   ((size_t)1 << 20) /* entries of one folder: pid_max is at most 4 Mi */
#define STAT_FIELDS   50                /* behind "(comm) ": state is 0, start time 19 */
#define STAT_MIN      20                /* what has always been there */
#define STAT_THREADS  17
#define STAT_START    19
#define STAT_EXIT     49
#define SYSCALL_WORDS 4 /* number, first, second argument, and more */

static int read_small(const char *path, struct buf *out, size_t max)
{
	buf_clear(out);
	return file_read(path, out, max);
}

/* Splits @line at spaces into at most @max words; returns how many. */
static size_t split_words(struct str line, struct str *words, size_t max)
{
	size_t n = 0;

	while (n < max && line.len > 0)
		(void)str_cut(line, ' ', &words[n++], &line);
	return n;
}

/* The name may hold spaces and brackets: it ends at the last one. */
static int parse_stat(struct str text, struct proc_stat *ret)
{
	const char *open = text.len > 0 ? memchr(text.p, '(', text.len) : NULL;
	const char *close = text.len > 0 ? memrchr(text.p, ')', text.len) : NULL;
	struct str words[STAT_FIELDS];
	struct proc_stat st = { 0 };
	uint64_t n_threads, status;
	size_t n_words;

	if (!open || !close || close < open)
		return -EBADMSG;
	size_t len = MIN((size_t)(close - open - 1), sizeof(st.comm) - 1);

	memcpy(st.comm, open + 1, len);
	struct str rest = str_skip(text, (size_t)(close - text.p) + 2);

	n_words = split_words(str_trim(rest), words, STAT_FIELDS);
	if (n_words < STAT_MIN || words[0].len != 1)
		return -EBADMSG;
	st.state = words[0].p[0];
	if (num_parse_u64(words[STAT_START], &st.start_ticks) < 0 ||
	    num_parse_u64(words[STAT_THREADS], &n_threads) < 0 || n_threads > UINT32_MAX)
		return -EBADMSG;
	st.n_threads = (uint32_t)n_threads;
	if (st.state == 'Z' && n_words > STAT_EXIT &&
	    num_parse_u64(words[STAT_EXIT], &status) == 0 && status <= UINT16_MAX) {
		st.has_wait_status = true;
		st.wait_status = (int)status;
	}
	*ret = st;
	return 0;
}

int procfs_stat(const char *proc, pid_t pid, struct proc_stat *ret)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[PATH_CAP];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%d/stat", proc, pid);
	r = read_small(path, &text, SMALL_FILE);
	return r < 0 ? r : parse_stat(buf_str(&text), ret);
}

/* Unlike file_read(), takes the beginning of what is too long: the options we want come early. */
int procfs_cmdline(const char *proc, pid_t pid, struct buf *out)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[PATH_CAP];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%d/cmdline", proc, pid);
	r = read_small(path, &text, (size_t)4 << 20);
	if (r < 0)
		return r;
	buf_clear(out);
	buf_put(out, text.p, MIN(text.len, PROCFS_CMDLINE_BYTES_MAX));
	if (out->len > 0 && out->p[out->len - 1] != '\0')
		buf_putc(out, '\0');
	return out->err;
}

static void copy_line(struct str text, char *dst, size_t cap)
{
	struct str line = str_trim(text);
	size_t len = MIN(line.len, cap - 1);

	if (len > 0)
		memcpy(dst, line.p, len);
	dst[len] = '\0';
}

int procfs_comm(const char *proc, pid_t pid, pid_t tid, char *dst, size_t cap)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[PATH_CAP];
	int r;

	if (tid == 0)
		(void)snprintf(path, sizeof(path), "%s/%d/comm", proc, pid);
	else
		(void)snprintf(path, sizeof(path), "%s/%d/task/%d/comm", proc, pid, tid);
	r = read_small(path, &text, SMALL_FILE);
	if (r == 0)
		copy_line(buf_str(&text), dst, cap);
	return r;
}

static int parse_hex(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!str_starts(s, STR("0x")) || s.len < 3 || s.len > 18)
		return -EBADMSG;
	for (size_t i = 2; i < s.len; i++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, s.p[i]);

		if (!at || s.p[i] == '\0')
			return -EBADMSG;
		v = v << 4 | (uint64_t)(at - digits);
	}
	*ret = v;
	return 0;
}

int procfs_syscall(const char *proc, pid_t pid, pid_t tid, uint64_t *ret_arg2)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct str words[SYSCALL_WORDS];
	char path[PATH_CAP];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%d/task/%d/syscall", proc, pid, tid);
	r = read_small(path, &text, SMALL_FILE);
	if (r < 0)
		return r;
	if (str_starts(buf_str(&text), STR("running")))
		return -EAGAIN;
	if (split_words(buf_str(&text), words, SYSCALL_WORDS) < SYSCALL_WORDS)
		return -EBADMSG;
	return parse_hex(words[2], ret_arg2);
}

static int by_value(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

struct numbers {
	long *v;
	size_t n, cap;
};

static void numbers_done(const struct numbers *l)
{
	free(l->v);
}

static void close_dir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int read_numbers(const char *path, struct numbers *l)
{
	_cleanup_(close_dir) DIR *dir = opendir(path);
	const struct dirent *ent;
	uint64_t number;

	if (!dir)
		return neg_errno();
	while (l->n < NUMBERS_MAX && (ent = readdir(dir))) {
		if (num_parse_u64(str_from(ent->d_name), &number) < 0 || number > INT32_MAX)
			continue;
		int r = MEM_GROW(l->v, l->cap, l->n + 1);

		if (r < 0)
			return r;
		l->v[l->n++] = (long)number;
	}
	if (l->n > 1)
		qsort(l->v, l->n, sizeof(l->v[0]), by_value);
	return 0;
}

/* The whole folder first: @fn may open others, and the order is part of the promise. */
static int each_number(const char *path, procfs_number_f fn, void *ctx)
{
	_cleanup_(numbers_done) struct numbers l = { 0 };
	int r = read_numbers(path, &l);

	for (size_t i = 0; r >= 0 && i < l.n; i++)
		r = fn(ctx, l.v[i]);
	return r < 0 ? r : 0;
}

int procfs_each_pid(const char *proc, procfs_number_f fn, void *ctx)
{
	return each_number(proc, fn, ctx);
}

int procfs_each_thread(const char *proc, pid_t pid, procfs_number_f fn, void *ctx)
{
	char path[PATH_CAP];

	(void)snprintf(path, sizeof(path), "%s/%d/task", proc, pid);
	return each_number(path, fn, ctx);
}

int procfs_each_fd(const char *proc, pid_t pid, procfs_number_f fn, void *ctx)
{
	char path[PATH_CAP];

	(void)snprintf(path, sizeof(path), "%s/%d/fd", proc, pid);
	return each_number(path, fn, ctx);
}

int procfs_fd_link(const char *proc, pid_t pid, int fd, char dst[PROCFS_LINK_CAP])
{
	char path[PATH_CAP];

	(void)snprintf(path, sizeof(path), "%s/%d/fd/%d", proc, pid, fd);
	ssize_t len = readlink(path, dst, PROCFS_LINK_CAP - 1);

	if (len < 0)
		return neg_errno();
	dst[len] = '\0';
	return 0;
}

int procfs_fdinfo(const char *proc, pid_t pid, int fd, const char *key, char *dst, size_t cap)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct str line, rest, name, value;
	char path[PATH_CAP];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%d/fdinfo/%d", proc, pid, fd);
	r = read_small(path, &text, (size_t)64 << 10);
	if (r < 0)
		return r;
	for (rest = buf_str(&text); rest.len > 0;) {
		(void)str_cut(rest, '\n', &line, &rest);
		if (str_cut(line, ':', &name, &value) && str_eqc(name, key)) {
			copy_line(value, dst, cap);
			return 0;
		}
	}
	return -ENOENT;
}
