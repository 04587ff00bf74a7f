/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/host_conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/catalog.h"
#include "userspace/host/cpu_class.h"
#include "userspace/host/delivery/destination_conf.h"
#include "userspace/host/guest_console.h"
#include "userspace/host/label_text.h"
#include "userspace/host/vm.h"

#define MACHINE_ID     "/etc/machine-id"
#define CONF_BYTES_MAX ((size_t)1 << 20)

static const char *const levels[] = { "error", "warn", "info", "debug", NULL };

static const struct conf_row rows[] = {
#define ROW(k, field, t, text, lo, hi, reload, why)    \
	{ .key = (k),                                  \
	  .type = (t),                                 \
	  .offset = offsetof(struct host_conf, field), \
	  .default_text = (text),                      \
	  .min = (lo),                                 \
	  .max = (hi),                                 \
	  .names = (t) == CONF_ENUM ? levels : NULL,   \
	  .reloadable = (reload),                      \
	  .sentence = (why) },
#define STRUCTS(k, field, schema, text, reload, why)   \
	{ .key = (k),                                  \
	  .type = CONF_STRUCTS,                        \
	  .offset = offsetof(struct host_conf, field), \
	  .sub = &(schema),                            \
	  .default_text = (text),                      \
	  .reloadable = (reload),                      \
	  .sentence = (why) },
#include "userspace/host/host_conf.def"
#undef ROW
#undef STRUCTS
};

const struct conf_schema host_conf_schema = { rows, ARRAY_SIZE(rows), sizeof(struct host_conf),
	                                      -1 };

void host_conf_done(struct host_conf *conf)
{
	conf_done(&host_conf_schema, conf);
}

void host_conf_default_id(const char *machine_id_path, char dst[8])
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char name[256] = "";

	/* Not XXH3: its values may change between versions of the library, a label must not. */
	if (file_read(machine_id_path, &text, 4096) < 0 || str_trim(buf_str(&text)).len == 0) {
		(void)gethostname(name, sizeof(name) - 1);
		buf_clear(&text);
		buf_puts(&text, name);
	}
	struct str id = str_trim(buf_str(&text));

	num_format_hex(crc32c(0, id.p, id.len) & 0xffff, 4, dst);
}

static int fill_host_id(struct host_conf *conf)
{
	char id[8];

	if (conf->host_id[0] != '\0')
		return 0;
	host_conf_default_id(MACHINE_ID, id);
	char *copy = mem_strndup(id, strlen(id));

	if (!copy)
		return -ENOMEM;
	free(conf->host_id);
	conf->host_id = copy;
	return 0;
}

void host_conf_vars(struct str name, struct str pid, struct str vmm, struct str host,
                    struct label_var vars[HOST_CONF_VARS_MAX])
{
	vars[0] = (struct label_var){ "name", name };
	vars[1] = (struct label_var){ "pid", pid };
	vars[2] = (struct label_var){ "vmm", vmm };
	vars[3] = (struct label_var){ "host", host };
	vars[4] = (struct label_var){ 0 };
}

static int check_template(const char *key, const char *text, struct err *e)
{
	struct label_var vars[HOST_CONF_VARS_MAX];
	struct err why = ERR_INIT;
	char sink[VM_LABEL_CAP];

	host_conf_vars(STR("n"), STR("1"), STR("v"), STR("h"), vars);
	int r = label_template(text, vars, sink, sizeof(sink), &why);

	return r < 0 ? err_set(e, r, "%s: %s", key, why.msg) : 0;
}

static int check_templates(const struct host_conf *c, struct err *e)
{
	const struct {
		const char *key, *text;
	} all[] = {
		{ "discovery.org", c->discovery_org },
		{ "discovery.app", c->discovery_app },
		{ "discovery.instance", c->discovery_instance },
		{ "discovery.region", c->discovery_region },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		int r = check_template(all[i].key, all[i].text, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int check_sources(const struct host_conf *c, const char *const *known, struct err *e)
{
	for (size_t i = 0; i < c->sources.n; i++) {
		const char *const *k = known;

		while (*k && strcmp(*k, c->sources.v[i]) != 0)
			k++;
		if (!*k)
			return err_set(e, -EINVAL, "sources: there is no source \"%.40s\"",
			               c->sources.v[i]);
	}
	return 0;
}

/* An address, not a name: "127.example.org" may be anywhere. */
static bool is_loopback(struct str address)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr parsed;

	if (str_eqc(address, "::1"))
		return true;
	if (!str_starts(address, STR("127.")) || address.len >= sizeof(text))
		return false;
	memcpy(text, address.p, address.len);
	text[address.len] = '\0';
	return inet_pton(AF_INET, text, &parsed) == 1;
}

int host_conf_split_listen(const char *listen, char *host, size_t cap, uint16_t *ret_port)
{
	const char *colon = strrchr(listen, ':');
	struct str name, port;
	uint64_t n;

	if (!colon)
		return -EINVAL;
	name = (struct str){ listen, (size_t)(colon - listen) };
	port = str_from(colon + 1);
	if (name.len > 2 && name.p[0] == '[' && name.p[name.len - 1] == ']')
		name = (struct str){ name.p + 1, name.len - 2 };
	if (str_eqc(name, "localhost"))
		name = STR("127.0.0.1");
	if (!is_loopback(name) || name.len >= cap || num_parse_u64(port, &n) < 0 || n > UINT16_MAX)
		return -EINVAL;
	memcpy(host, name.p, name.len);
	host[name.len] = '\0';
	*ret_port = (uint16_t)n;
	return 0;
}

static int check_addresses(const struct host_conf *c, struct err *e)
{
	char host[64];
	uint16_t port;

	if (c->listen[0] != '\0' &&
	    host_conf_split_listen(c->listen, host, sizeof(host), &port) < 0)
		return err_set(e, -EINVAL,
		               "listen: found \"%.60s\", expected a loopback address like "
		               "127.0.0.1:9478",
		               c->listen);
	if (c->queue_dir[0] != '\0' && c->queue_dir[0] != '/')
		return err_set(e, -EINVAL, "queue.dir: expected a path that begins with /");
	return 0;
}

static int check_console_pattern(const struct host_conf *c, struct err *e)
{
	struct console_pattern *p;
	int r = console_pattern_new(&p, c->exits_console_pattern, e);

	if (r == 0)
		console_pattern_free(p);
	return r;
}

static int check_scrape(const struct scrape_conf *c, struct err *e)
{
	if (c->timeout_ms > c->interval_ms)
		return err_set(e, -EINVAL, "scrape.timeout: above scrape.interval");
	return 0;
}

static int check_destinations(const struct host_conf *c, struct err *e)
{
	const struct destination_conf *all = c->destinations.v;

	if (c->destinations.n > HOST_CONF_DESTINATIONS_MAX)
		return err_set(e, -EINVAL, "remote_write: more than %d destinations",
		               HOST_CONF_DESTINATIONS_MAX);
	for (size_t i = 0; i < c->destinations.n; i++) {
		struct err why = ERR_INIT;
		int r = destination_conf_check(&all[i], &why);

		if (r < 0)
			return err_set(e, r, "remote_write.%.64s: %.160s", all[i].name,
			               why.msg[0] ? why.msg : strerror(-r));
	}
	return 0;
}

static int check_classes(const struct host_conf *c, struct err *e)
{
	const struct cpu_class *v = c->cpu_classes.v;

	for (size_t i = 0; i < c->cpu_classes.n; i++) {
		if (v[i].quota_ms > v[i].period_ms)
			return err_set(e, -EINVAL, "cpu_classes.%.40s.quota: above its period",
			               v[i].name);
		if (v[i].balance_start_ms > v[i].balance_max_ms)
			return err_set(e, -EINVAL,
			               "cpu_classes.%.40s.balance_start: above balance_max",
			               v[i].name);
	}
	if (c->cpu_class[0] && !cpu_class_find(&c->cpu_classes, c->cpu_class))
		return err_set(e, -EINVAL, "cpu_class: there is no class \"%.40s\"", c->cpu_class);
	return 0;
}

static int check(const struct host_conf *c, const char *const *known, struct err *e)
{
	int r;

	if (!label_text_is_clean(str_from(c->host_id), sizeof(((struct vm *)0)->host)))
		return err_set(e, -EINVAL, "host_id: expected at most 7 printable bytes");
	if (!label_text_is_clean(str_from(c->region), VM_LABEL_CAP))
		return err_set(e, -EINVAL, "region: expected at most %d printable bytes",
		               VM_LABEL_CAP - 1);
	if (!catalog_is_prefix(c->prefix))
		return err_set(e, -EINVAL, "prefix: expected at most %d of a-z, 0-9 and _",
		               SERIES_PREFIX_BYTES_MAX);
	if (c->vms_dir[0] != '/')
		return err_set(e, -EINVAL, "vms_dir: expected a path that begins with /");
	if (c->guest_profiles[0] != '/')
		return err_set(e, -EINVAL, "guest.profiles: expected a path that begins with /");
	if (c->state_dir[0] != '/')
		return err_set(e, -EINVAL, "state_dir: expected a path that begins with /");
	if (c->volumes_socket[0] != '/')
		return err_set(e, -EINVAL, "volumes.socket: expected a path that begins with /");
	r = check_classes(c, e);
	if (r < 0)
		return r;
	r = check_sources(c, known, e);
	if (r == 0)
		r = check_templates(c, e);
	if (r == 0)
		r = check_scrape(&c->scrape, e);
	if (r == 0)
		r = check_console_pattern(c, e);
	if (r == 0)
		r = check_destinations(c, e);
	if (r == 0)
		r = proxy_conf_check(&c->proxies, &c->routes, e);
	return r < 0 ? r : check_addresses(c, e);
}

int host_conf_parse(const char *name, struct str text, const char *const *known,
                    struct host_conf *conf, struct err *e)
{
	struct err why = ERR_INIT;
	int r = conf_init(&host_conf_schema, conf);

	if (r < 0)
		return r;
	r = conf_parse(&host_conf_schema, name, text, conf, e);
	if (r == 0) {
		r = check(conf, known, &why);
		if (r < 0)
			(void)conf_complain(name, text, r, why.msg, e);
	}
	if (r == 0)
		r = fill_host_id(conf);
	if (r < 0)
		host_conf_done(conf);
	return r;
}

int host_conf_load(const char *path, const char *const *known, struct host_conf *conf,
                   struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	int r = file_read(path, &text, CONF_BYTES_MAX);

	if (r < 0)
		return err_set(e, r, "%.160s: %s", path, strerror(-r));
	return host_conf_parse(path, buf_str(&text), known, conf, e);
}
