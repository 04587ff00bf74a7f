/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/destination_conf.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "userspace/base/str.h"
#include "userspace/base/util.h"
#include "userspace/host/label_text.h"

static const char *const protocols[] = { "auto", "2.0", "1.0", NULL };
static const char *const compressions[] = { "auto", "zstd", "snappy", NULL };

static const struct conf_row rows[] = {
#define ROW(k, field, t, text, lo, hi, n, why)                \
	{ .key = (k),                                         \
	  .type = (t),                                        \
	  .offset = offsetof(struct destination_conf, field), \
	  .default_text = (text),                             \
	  .min = (lo),                                        \
	  .max = (hi),                                        \
	  .names = (n),                                       \
	  .reloadable = true,                                 \
	  .sentence = (why) },
#include "userspace/host/delivery/destination_conf.def"
#undef ROW
	{ .key = "relabel",
	  .type = CONF_STRUCTS,
	  .offset = offsetof(struct destination_conf, relabel),
	  .sub = &relabel_conf_schema,
	  .reloadable = true,
	  .sentence = "Rules that change labels or drop series on their way to this destination." },
};

const struct conf_schema destination_conf_schema = { rows, ARRAY_SIZE(rows),
	                                             sizeof(struct destination_conf),
	                                             offsetof(struct destination_conf, name) };

static int check_url(const struct destination_conf *c, struct err *e)
{
	struct str url = str_from(c->url);

	if (str_starts(url, STR("http://")) || str_starts(url, STR("https://")))
		return 0;
	return err_set(e, -EINVAL, "url: found \"%.60s\", expected http(s)://", c->url);
}

/* A line feed in a header would begin another one. */
static int check_headers(const struct destination_conf *c, struct err *e)
{
	for (size_t i = 0; i < c->headers.n; i++) {
		struct str text = str_from(c->headers.v[i]), name, value;

		if (!str_cut(text, ':', &name, &value) || name.len == 0 ||
		    !label_text_is_clean(text, SIZE_MAX))
			return err_set(e, -EINVAL,
			               "headers[%zu]: expected \"Name: value\" on one line", i);
	}
	if (!label_text_is_clean(str_from(c->token_type), 64))
		return err_set(e, -EINVAL, "token_type: expected one word");
	return 0;
}

int destination_conf_check(const struct destination_conf *c, struct err *e)
{
	struct relabel *rules = NULL;
	int r;

	/* It names a folder and a label. */
	if (!label_text_is_slug(str_from(c->name)))
		return err_set(e, -EINVAL, "expected a name of 1 to %d of a-z, 0-9, - and _",
		               DESTINATION_NAME_MAX);
	r = check_url(c, e);
	if (r == 0)
		r = check_headers(c, e);
	if (r == 0 && c->backoff_min_ms > c->backoff_max_ms)
		r = err_set(e, -EINVAL, "backoff_min: above backoff_max");
	if (r == 0 && (c->cert_file[0] == '\0') != (c->key_file[0] == '\0'))
		r = err_set(e, -EINVAL, "tls: cert_file and key_file need each other");
	if (r == 0)
		r = relabel_new(&rules, &c->relabel, e);
	relabel_free(rules);
	return r;
}
