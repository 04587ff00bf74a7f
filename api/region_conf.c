/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/region_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/listen.h"
#include "store/store.h"
#include "userspace/base/alloc.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

static const char *const wal_sync_names[] = {
	[STORE_SYNC_ALWAYS] = "always", [STORE_SYNC_INTERVAL] = "interval", NULL
};
static const char *const tls_clients_names[] = {
	[TLS_CLIENTS_HOSTS] = "hosts", [TLS_CLIENTS_ALL] = "all", NULL
};
static const char *const log_level_names[] = { [LOG_ERROR_LEVEL] = "error",
	                                       [LOG_WARN_LEVEL] = "warn",
	                                       [LOG_INFO_LEVEL] = "info",
	                                       [LOG_DEBUG_LEVEL] = "debug",
	                                       NULL };

#define ROW(k, t, field, dflt, lo, hi, nam, reload, text) \
	{ .key = (k),                                     \
	  .type = CONF_##t,                               \
	  .offset = offsetof(struct region_conf, field),  \
	  .default_text = (dflt),                         \
	  .min = (lo),                                    \
	  .max = (hi),                                    \
	  .names = (nam),                                 \
	  .reloadable = (reload),                         \
	  .sentence = (text) },
static const struct conf_row rows[] = {
#include "api/region_conf.def"
};
#undef ROW

const struct conf_schema region_conf_schema = {
	.rows = rows,
	.n = ARRAY_SIZE(rows),
	.struct_bytes = sizeof(struct region_conf),
	.key_offset = -1,
};

int region_conf_check(const struct region_conf *conf, struct err *e)
{
	const struct conf_strings *orgs = &conf->organisations;
	struct listen_address address;

	if (listen_parse(str_from(conf->listen), &address, e) < 0)
		return -EINVAL;
	if (!listen_is_loopback(&address) && conf->access[0] == '\0')
		return err_set(
			e, -EINVAL,
			"listen: %.80s can be reached from outside; without tokens (access) only"
			" loopback addresses like 127.0.0.1:8428 are served",
			conf->listen);
	if ((conf->tls_cert[0] == '\0') != (conf->tls_key[0] == '\0') ||
	    (conf->tls_cert[0] == '\0' && conf->tls_client_ca[0] != '\0'))
		return err_set(e, -EINVAL,
		               "tls: cert and key belong together, and client_ca needs both");
	if (!store_org_is_valid(str_from(conf->hosts_org)))
		return err_set(e, -EINVAL,
		               "hosts.organisation: \"%.80s\" is not a slug of a-z, 0-9, _ and -",
		               conf->hosts_org);
	if (orgs->n == 0 && conf->access[0] == '\0')
		return err_set(e, -EINVAL, "organisations: at least one must be named");
	for (size_t i = 0; i < orgs->n; i++) {
		if (!store_org_is_valid(str_from(orgs->v[i])) &&
		    strcmp(orgs->v[i], REGION_ANY_ORG) != 0)
			return err_set(
				e, -EINVAL,
				"organisations: \"%.80s\" is not a slug of a-z, 0-9, _ and -",
				orgs->v[i]);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(orgs->v[i], orgs->v[k]) == 0)
				return err_set(e, -EINVAL, "organisations: %s is named twice",
				               orgs->v[i]);
		}
	}
	return 0;
}

/* --- options of the command line -------------------------------------------------------------- */

static int override_all(const struct region_conf_source *from, struct region_conf *conf,
                        struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < REGION_OVERRIDES_MAX; i++) {
		const struct region_override *o = &from->overrides[i];
		struct err why = ERR_INIT;

		if (!o->text)
			continue;
		r = conf_set_key(&region_conf_schema, conf, o->key, o->text, &why);
		if (r == -EINVAL)
			return err_set(e, r, "--%s: %s", o->option ? o->option : o->key, why.msg);
	}
	return r;
}

int region_conf_check_options(const struct region_conf_source *from, struct err *e)
{
	struct listen_address address;
	struct region_conf conf;
	int r = conf_init(&region_conf_schema, &conf);

	if (r < 0)
		return r;
	r = override_all(from, &conf, e);
	if (r == 0)
		r = listen_parse(str_from(conf.listen), &address, e);
	conf_done(&region_conf_schema, &conf);
	return r;
}

int region_conf_dev(struct region_conf *conf)
{
	struct conf_strings *orgs = &conf->organisations;
	char **v = mem_zalloc(1, sizeof(*v));

	if (v)
		v[0] = mem_strndup(REGION_DEV_ORG, strlen(REGION_DEV_ORG));
	if (!v || !v[0]) {
		free(v);
		return -ENOMEM;
	}
	for (size_t i = 0; i < orgs->n; i++)
		free(orgs->v[i]);
	free(orgs->v);
	*orgs = (struct conf_strings){ v, 1 };
	return 0;
}

/* Says where a setting that is wrong with others comes from: an option, or a line of the file. */
static int complain(const struct region_conf_source *from, int code, const char *why, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	for (size_t i = 0; i < REGION_OVERRIDES_MAX; i++) {
		const struct region_override *o = &from->overrides[i];

		if (o->text && str_starts(str_from(why), str_from(o->key)))
			return err_set(e, code, "--%s%s", o->option ? o->option : o->key,
			               why + strlen(o->key));
	}
	if (!from->path)
		return err_set(e, code, "%s", why);
	/* Gone by now, or a pipe: then without the line. */
	(void)file_read_regular_at(AT_FDCWD, from->path, &text, FILE_BYTES_MAX);
	return conf_complain(from->path, buf_str(&text), code, why, e);
}

int region_conf_read(const struct region_conf_source *from, struct region_conf *ret, struct err *e)
{
	struct err why = ERR_INIT;
	int r = conf_init(&region_conf_schema, ret);

	if (r == 0)
		r = from->path ? conf_load(&region_conf_schema, from->path, ret, e)
		               : region_conf_dev(ret);
	if (r == 0)
		r = override_all(from, ret, e);
	if (r == 0)
		r = region_conf_check(ret, &why);
	return why.code < 0 ? complain(from, r, why.msg, e) : r;
}

static size_t scalar_bytes(enum conf_type type)
{
	switch (type) {
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_ENUM:
		return sizeof(int);
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_DOUBLE:
		return sizeof(int64_t);
	case CONF_STRING:
	case CONF_STRINGS:
	case CONF_STRUCTS:
		break; /* owned: none of them is reloadable */
	}
	return 0;
}

void region_conf_apply(struct region_conf *live, const struct region_conf *fresh)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].reloadable)
			memcpy((char *)live + rows[i].offset, (const char *)fresh + rows[i].offset,
			       scalar_bytes(rows[i].type));
	}
}
