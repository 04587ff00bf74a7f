/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/diskstats.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/sysmacros.h>

#include "userspace/base/num.h"

static struct str next_word(struct str *line)
{
	struct str word;

	(void)str_cut(str_trim(*line), ' ', &word, line);
	return word;
}

static int parse_line(struct str line, struct diskstats *ret)
{
	uint64_t major_no, minor_no;

	if (num_parse_u64(next_word(&line), &major_no) < 0 ||
	    num_parse_u64(next_word(&line), &minor_no) < 0 || major_no > UINT32_MAX ||
	    minor_no > UINT32_MAX || next_word(&line).len == 0)
		return -EBADMSG;
	ret->dev = makedev((unsigned)major_no, (unsigned)minor_no);
	for (int i = 0; i < DISKSTATS_FIELDS; i++) {
		if (num_parse_u64(next_word(&line), &ret->v[i]) < 0)
			return -EBADMSG;
	}
	return 0;
}

int diskstats_parse(struct str text, diskstats_f fn, void *ctx, uint64_t *ret_bad)
{
	struct str line;
	int r = 0;

	while (text.len > 0 && r == 0) {
		struct diskstats d;

		(void)str_cut(text, '\n', &line, &text);
		if (str_trim(line).len == 0)
			continue;
		if (parse_line(line, &d) == 0)
			r = fn(ctx, &d);
		else if (ret_bad)
			(*ret_bad)++;
	}
	return r;
}
