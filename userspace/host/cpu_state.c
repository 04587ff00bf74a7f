/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/cpu_state.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define NAME           "cpu-balance"
#define MAGIC          "periscope-cpu-balance 1 "
#define BOOT_ID        "/proc/sys/kernel/random/boot_id"
#define FILE_BYTES_MAX ((size_t)2 << 20)
#define FIELDS         5

void cpu_state_done(struct cpu_state *s)
{
	free(s->rows);
	*s = (struct cpu_state){ 0 };
}

bool cpu_state_take(struct cpu_state *s, pid_t pid, uint64_t start_ticks, struct cpu_state_row *ret)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->rows[i].pid != pid || s->rows[i].start_ticks != start_ticks)
			continue;
		*ret = s->rows[i];
		s->rows[i] = s->rows[--s->n];
		return true;
	}
	return false;
}

int cpu_state_put(struct cpu_state *s, const struct cpu_state_row *row)
{
	if (s->n == CPU_STATE_VMS_MAX)
		return -ENOSPC;
	if (MEM_GROW(s->rows, s->cap, s->n + 1) < 0)
		return -ENOMEM;
	s->rows[s->n++] = *row;
	return 0;
}

static int parse_row(struct str line, struct cpu_state_row *ret)
{
	uint64_t v[FIELDS - 1];
	struct str word;
	double balance;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		(void)str_cut(line, ' ', &word, &line);
		if (num_parse_u64(word, &v[i]) < 0)
			return -EBADMSG;
	}
	if (num_parse_double(line, &balance) < 0 || !isfinite(balance) || balance < 0 ||
	    v[0] == 0 || v[0] > INT_MAX || v[2] == 0)
		return -EBADMSG;
	*ret = (struct cpu_state_row){ (pid_t)v[0], v[1], v[2], v[3], balance };
	return 0;
}

int cpu_state_parse(struct cpu_state *s, struct str text, struct str boot_id, size_t *ret_bad)
{
	struct str line;
	int r = 0;

	(void)str_cut(text, '\n', &line, &text);
	if (!str_starts(line, STR(MAGIC))) {
		(*ret_bad)++;
		return 0;
	}
	if (!str_eq(str_skip(line, strlen(MAGIC)), boot_id))
		return 0;
	while (text.len > 0 && r == 0) {
		struct cpu_state_row row;

		(void)str_cut(text, '\n', &line, &text);
		if (parse_row(line, &row) == 0)
			r = cpu_state_put(s, &row);
		else
			(*ret_bad)++;
	}
	return r;
}

void cpu_state_format(const struct cpu_state *s, struct str boot_id, struct buf *out)
{
	buf_puts(out, MAGIC);
	buf_put_str(out, boot_id);
	buf_putc(out, '\n');
	for (size_t i = 0; i < s->n; i++) {
		const struct cpu_state_row *row = &s->rows[i];

		buf_printf(out, "%d %llu %llu %llu %.0f\n", row->pid,
		           (unsigned long long)row->start_ticks, (unsigned long long)row->at_ns,
		           (unsigned long long)row->used_ns, row->balance_ns);
	}
}

static int read_boot_id(struct buf *out)
{
	return file_read(BOOT_ID, out, 4096);
}

int cpu_state_load(struct cpu_state *s, const char *folder, size_t *ret_bad)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT, boot_id = BUF_INIT;
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/" NAME, folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = file_read(path, &text, FILE_BYTES_MAX);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = read_boot_id(&boot_id);
	return r < 0 ? r : cpu_state_parse(s, buf_str(&text), str_trim(buf_str(&boot_id)), ret_bad);
}

int cpu_state_save(const struct cpu_state *s, const char *folder)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT, boot_id = BUF_INIT;
	char path[PATH_MAX];
	int r = read_boot_id(&boot_id);

	if (r == 0)
		r = file_mkdirs(folder, 0755);
	if (r < 0)
		return r;
	if (snprintf(path, sizeof(path), "%s/" NAME, folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	cpu_state_format(s, str_trim(buf_str(&boot_id)), &text);
	return text.err < 0 ? text.err : file_replace_lazily(path, text.p, text.len, 0600);
}
