/* SPDX-License-Identifier: BSD-2-Clause */
/* A configuration that is accepted prints as one that is accepted and prints the same. */
#include <stdlib.h>

#include "userspace/base/conf.h"
#include "userspace/base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct item {
	char *key;
	int64_t n;
};

struct cfg {
	int64_t wait_ms;
	uint64_t room_bytes;
	char *path;
	struct conf_strings tags;
	struct conf_structs items;
};

static const struct conf_row item_rows[] = {
	{ .key = "n", .type = CONF_INT, .offset = offsetof(struct item, n), .default_text = "1" },
};
static const struct conf_schema item = { item_rows, 1, sizeof(struct item),
	                                 offsetof(struct item, key) };
static const struct conf_row rows[] = {
	{ .key = "a.wait",
	  .type = CONF_DURATION,
	  .offset = offsetof(struct cfg, wait_ms),
	  .default_text = "15s",
	  .sentence = "W." },
	{ .key = "a.room",
	  .type = CONF_SIZE,
	  .offset = offsetof(struct cfg, room_bytes),
	  .default_text = "1MiB",
	  .sentence = "R." },
	{ .key = "path",
	  .type = CONF_STRING,
	  .offset = offsetof(struct cfg, path),
	  .default_text = "/",
	  .sentence = "P." },
	{ .key = "tags",
	  .type = CONF_STRINGS,
	  .offset = offsetof(struct cfg, tags),
	  .default_text = "a",
	  .sentence = "T." },
	{ .key = "items",
	  .type = CONF_STRUCTS,
	  .offset = offsetof(struct cfg, items),
	  .sub = &item,
	  .sentence = "I." },
};
static const struct conf_schema schema = { rows, ARRAY_SIZE(rows), sizeof(struct cfg), -1 };

static int print_of(struct str text, struct buf *out)
{
	struct err e = ERR_INIT;
	struct cfg cfg;
	int r = conf_init(&schema, &cfg);

	if (r == 0)
		r = conf_parse(&schema, "fuzz", text, &cfg, &e);
	if (r == 0)
		conf_print(&schema, &cfg, out);
	else if (r == -EINVAL && e.msg[0] == '\0')
		abort(); /* a refusal says why */
	conf_done(&schema, &cfg);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	_cleanup_(buf_done) struct buf once = BUF_INIT;
	_cleanup_(buf_done) struct buf twice = BUF_INIT;

	if (print_of((struct str){ (const char *)data, bytes }, &once) < 0)
		return 0;
	if (print_of(buf_str(&once), &twice) < 0 || !str_eq(buf_str(&once), buf_str(&twice)))
		abort();
	return 0;
}
