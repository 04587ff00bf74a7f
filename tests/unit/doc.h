/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Pages of docs/ whose examples and tables a test tries. Run from the root of the tree. */

#include "userspace/base/buf.h"
#include "userspace/base/file.h"

struct doc {
	struct buf text;
};

static inline void doc_done(struct doc *d)
{
	buf_done(&d->text);
}

static inline struct str doc_open(struct doc *d, const char *path)
{
	int r = file_read(path, &d->text, (size_t)1 << 20);

	if (r < 0)
		fail_msg("%s: %s; run from the root of the tree", path, strerror(-r));
	return buf_str(&d->text);
}

/* What stands between @open and @close, first occurrence; *@rest follows it. */
static inline struct str doc_between(struct str text, const char *open, const char *close,
                                     struct str *rest)
{
	const char *a = memmem(text.p, text.len, open, strlen(open));

	*rest = str_skip(text, text.len);
	if (!a)
		return STR_NULL;
	struct str body = str_skip(text, (size_t)(a - text.p) + strlen(open));
	const char *b = memmem(body.p, body.len, close, strlen(close));

	if (!b)
		return STR_NULL;
	*rest = str_skip(body, (size_t)(b - body.p) + strlen(close));
	return (struct str){ body.p, (size_t)(b - body.p) };
}

/* The bytes of an example: on each line two digits each, up to the first thing that is not. */
static inline void doc_hex(struct str example, struct buf *out)
{
	struct str line, word;

	assert_true(example.len > 0);
	while (example.len > 0) {
		(void)str_cut(example, '\n', &line, &example);
		line = str_trim(line);
		while (line.len > 0) {
			(void)str_cut(line, ' ', &word, &line);
			if (word.len != 2)
				break;
			const char digits[3] = { word.p[0], word.p[1], '\0' };

			buf_putc(out, (char)strtoul(digits, NULL, 16));
		}
	}
}
