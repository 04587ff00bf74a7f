/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest_console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/cxx.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/vm.h"

#define TAIL_BYTES   32768
#define LINES_MAX    512u
#define GROUPS_MAX   8
#define REGEX_MEMORY ((size_t)1 << 20)

struct console_pattern {
	struct cxx_regex *regex; /* NULL: nothing matches */
	int code, signal;        /* groups; 0 = there is none */
};

DEFINE_CLEANUP(struct console_pattern *, console_pattern_free);

void console_pattern_free(struct console_pattern *p)
{
	if (p)
		cxx_regex_free(p->regex);
	free(p);
}

static int group_named(const struct cxx_regex *re, const char *name)
{
	for (int i = 1; i <= cxx_regex_groups(re); i++) {
		const char *have = cxx_regex_group_name(re, i);

		if (have && strcmp(have, name) == 0)
			return i;
	}
	return 0;
}

int console_pattern_new(struct console_pattern **ret, const char *text, struct err *e)
{
	_cleanup_(console_pattern_freep) struct console_pattern *p = mem_zalloc(1, sizeof(*p));
	char why[128] = "";
	int r = 0;

	if (!p)
		return -ENOMEM;
	if (text[0])
		r = cxx_regex_new(&p->regex, text, strlen(text), REGEX_MEMORY, why, sizeof(why));
	if (r == -EINVAL)
		return err_set(e, r, "exits.console_pattern: %s", why);
	if (r < 0)
		return r;
	if (p->regex) {
		p->code = group_named(p->regex, "code");
		p->signal = group_named(p->regex, "signal");
		if (p->code == 0 || cxx_regex_groups(p->regex) >= GROUPS_MAX)
			return err_set(e, -EINVAL,
			               "exits.console_pattern: expected a group (?P<code>...), and "
			               "fewer than %d groups",
			               GROUPS_MAX);
	}
	*ret = TAKE_PTR(p);
	return 0;
}

static int open_regular(const char *path)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

int console_open(const struct vm *vm)
{
	char path[64];

	if (vm->console[0])
		return -1; /* by name, at the end: until then it may be made, or made anew */
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)vm->pid);
	return open_regular(path);
}

/* ---- lines ---------------------------------------------------------------------------------- */

static struct str group(struct str line, const int *spans, int index)
{
	if (index == 0 || spans[2 * index] < 0)
		return STR_NULL;
	return (struct str){ line.p + spans[2 * index],
		             (size_t)(spans[2 * index + 1] - spans[2 * index]) };
}

static void match(const struct console_pattern *p, struct str line, struct ending *e)
{
	int spans[2 * (GROUPS_MAX + 1)], signal;
	uint64_t code;

	if (!p->regex || !cxx_regex_match_spans(p->regex, line.p, line.len, 0, false, spans,
	                                        1 + cxx_regex_groups(p->regex)))
		return;
	signal = ending_signal(group(line, spans, p->signal));
	if (num_parse_u64(group(line, spans, p->code), &code) == 0 && code <= INT16_MAX)
		ending_note_code(e, ENDING_CONSOLE, (int)code, signal);
	else if (signal > 0)
		ending_note_status(e, ENDING_CONSOLE, signal);
}

/* "[    3.141593] Kernel panic" -> "Kernel panic" */
static struct str without_time(struct str line)
{
	struct str head, rest;

	if (str_starts(line, STR("[")) && str_cut(line, ']', &head, &rest))
		return str_trim(rest);
	return line;
}

void console_note_text(const struct console_pattern *p, struct str text,
                       const struct guest_main *main, struct ending *e)
{
	for (uint32_t n = 0; n < LINES_MAX && text.len > 0; n++) { /* the newest first */
		const char *at = memrchr(text.p, '\n', text.len);
		size_t start = at ? (size_t)(at - text.p) + 1 : 0;
		struct str line = str_trim(str_skip(text, start));

		text.len = start > 0 ? start - 1 : 0;
		if (line.len == 0)
			continue;
		match(p, line, e);
		ending_note_line(e, without_time(line), main);
	}
}

void console_note(const struct console_pattern *p, const struct vm *vm, int fd,
                  const struct guest_main *main, struct ending *e)
{
	_cleanup_free_ char *text = mem_alloc(TAIL_BYTES);
	int own = vm->console[0] ? open_regular(vm->console) : -1;
	struct stat st;
	ssize_t n = -1;

	fd = own >= 0 ? own : fd;
	if (text && fd >= 0 && fstat(fd, &st) == 0)
		n = pread(fd, text, TAIL_BYTES, MAX(st.st_size - TAIL_BYTES, (off_t)0));
	if (n > 0)
		console_note_text(p, (struct str){ text, (size_t)n }, main, e);
	if (own >= 0)
		(void)close(own);
}
