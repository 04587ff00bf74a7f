/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's settings: defaults, what no single row can check, and that a file's word counts. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/host/cpu_class.h"
#include "userspace/host/delivery/destination_conf.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/sources.h"

static const char *const known[] = { "vm_task", "taps", NULL };

static int parse(const char *text, struct host_conf *c, struct err *e)
{
	*e = ERR_INIT;
	return host_conf_parse("t", str_from(text), known, c, e);
}

static void good(const char *text, struct host_conf *c)
{
	struct err e;

	if (parse(text, c, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
}

static void test_defaults(void **state)
{
	_cleanup_(host_conf_done) struct host_conf c;
	char id[8];

	(void)state;
	good("", &c);
	host_conf_default_id("/etc/machine-id", id);
	assert_string_equal(id, c.host_id);
	assert_string_equal("", c.region);
	assert_string_equal("fly_", c.prefix);
	assert_string_equal("/run/periscope/vms.d", c.vms_dir);
	assert_string_equal("127.0.0.1:9478", c.listen);
	assert_int_equal(15000, c.interval_ms);
	assert_int_equal(1000000, c.tick_samples_max);
	assert_int_equal(LOG_INFO_LEVEL, c.log_level);
	assert_int_equal(0, c.sources.n);
	assert_true(c.discovery_enabled);
	assert_string_equal("default", c.discovery_org);
	assert_string_equal("${name}", c.discovery_app);
	assert_string_equal("${name}", c.discovery_instance);
	assert_string_equal("", c.discovery_region);
	assert_string_equal("/var/lib/periscope-host/queue", c.queue_dir);
	assert_int_equal(32 << 20, c.queue_memory_bytes_max);
	assert_true(c.queue_sync);
	assert_int_equal(5000, c.flush_ms);
	assert_int_equal(0, c.destinations.n);
	assert_string_equal("/var/lib/periscope-host", c.state_dir);
	assert_int_equal(2, c.cpu_classes.n);
	assert_string_equal("", c.cpu_class);
	assert_true(c.peaks_enabled);
	assert_false(c.hist_run_delay);
	assert_false(c.hist_disk_latency);
	assert_int_equal(300000, c.exits_hold_ms);
	assert_string_equal("/run/periscope-volumes/socket", c.volumes_socket);
	assert_double_near(0.01, c.peaks_cpu_max_ratio, 0);
}

static const char full[] =
	"host_id: 00ff\n"
	"region: ams\n"
	"prefix: my_\n"
	"interval: 1s\n"
	"vms_dir: /srv/vms\n"
	"sources: [taps, vm_task]\n"
	"state_dir: /srv/state\n"
	"cpu_classes:\n"
	"  tiny: {period: 100ms, quota: 1ms, balance_start: 1s, balance_max: 2s}\n"
	"cpu_class: tiny\n"
	"peaks: {enabled: false, cpu_max: 0.5}\n"
	"histograms: {run_delay: true, disk_latency: true}\n"
	"exits: {hold: 1m, console_pattern: 'code=(?P<code>[0-9]+)'}\n"
	"own_series: false\n"
	"volumes: {socket: /srv/volumes}\n"
	"samples_per_collection: 5000\n"
	"guest: {profiles: /srv/profiles}\n"
	"log_level: debug\n"
	"listen: '[::1]:9000'\n"
	"discovery:\n"
	"  enabled: false\n"
	"  org: org-${vmm}\n"
	"  app: ${name}\n"
	"  instance: ${pid}@${host}\n"
	"  region: eu\n"
	"scrape: {enabled: false, interval: 30s, timeout: 3s, body_size: 2MiB, samples: 7,\n"
	"  labels: 8, label_name: 9, label_value: 10, past: 11s, future: 12s, memory: 13MiB,\n"
	"  postgres_port: 14, loopback: true}\n"
	"queue:\n"
	"  dir: /srv/queue\n"
	"  memory: 2MiB\n"
	"  sync: false\n"
	"  flush: 0s\n"
	"remote_write:\n"
	"  plain:\n"
	"    url: http://127.0.0.1:1/\n"
	"  full:\n"
	"    url: https://region.internal/api/v1/write\n"
	"    protocol: 1.0\n"
	"    compression: snappy\n"
	"    token_file: /etc/periscope/token\n"
	"    token_type: FlyV1\n"
	"    headers: ['X-Scope-OrgID: acme']\n"
	"    tls: {ca_file: /ca, cert_file: /c, key_file: /k, verify: false}\n"
	"    timeout: 1s\n"
	"    shards: 3\n"
	"    request_samples: 100\n"
	"    backoff_min: 10ms\n"
	"    backoff_max: 20ms\n"
	"    live_first: false\n"
	"    live_window: 2s\n"
	"    catch_up_samples: 7\n"
	"    queue_size: 3MiB\n"
	"    queue_age: 1h\n"
	"    relabel:\n"
	"      - {source_labels: [a, b], separator: '-', regex: '(x)', target_label: c,"
	" replacement: '$1'}\n"
	"      - {action: drop, source_labels: [c], regex: y}\n"
	"proxies:\n"
	"- {name: front, cgroup: /sys/fs/cgroup/front, listeners: ['*:443']}\n"
	"- {name: back, unit: back.service, proxy_id: green}\n"
	"routes:\n"
	"- {org: acme, app: blog, hostnames: [b.example], listeners: ['*:80']}\n";

static void check_destination(const struct destination_conf *d)
{
	const struct relabel_conf *rules = d->relabel.v;

	assert_string_equal("full", d->name);
	assert_string_equal("https://region.internal/api/v1/write", d->url);
	assert_int_equal(PROTOCOL_1_0, d->protocol);
	assert_int_equal(COMPRESSION_SNAPPY, d->compression);
	assert_string_equal("/etc/periscope/token", d->token_file);
	assert_string_equal("FlyV1", d->token_type);
	assert_string_equal("X-Scope-OrgID: acme", d->headers.v[0]);
	assert_string_equal("/ca", d->ca_file);
	assert_string_equal("/c", d->cert_file);
	assert_string_equal("/k", d->key_file);
	assert_false(d->tls_verify);
	assert_int_equal(1000, d->timeout_ms);
	assert_int_equal(3, d->shards);
	assert_int_equal(100, d->request_samples_max);
	assert_int_equal(10, d->backoff_min_ms);
	assert_int_equal(20, d->backoff_max_ms);
	assert_false(d->live_first);
	assert_int_equal(2000, d->live_ms);
	assert_int_equal(7, d->catch_up_samples);
	assert_int_equal(3 << 20, d->queue_bytes_max);
	assert_int_equal(3600000, d->queue_age_ms_max);
	assert_int_equal(2, d->relabel.n);
	assert_int_equal(RELABEL_REPLACE, rules[0].action);
	assert_int_equal(2, rules[0].source_labels.n);
	assert_string_equal("-", rules[0].separator);
	assert_string_equal("c", rules[0].target_label);
	assert_int_equal(RELABEL_DROP, rules[1].action);
	assert_string_equal("y", rules[1].regex);
}

static void check_scrape(const struct scrape_conf *c)
{
	assert_false(c->enabled);
	assert_true(c->loopback);
	assert_int_equal(30000, c->interval_ms);
	assert_int_equal(3000, c->timeout_ms);
	assert_int_equal(2 << 20, c->body_bytes_max);
	assert_int_equal(7, c->samples_max);
	assert_int_equal(8, c->labels_max);
	assert_int_equal(9, c->label_name_max);
	assert_int_equal(10, c->label_value_max);
	assert_int_equal(11000, c->past_ms);
	assert_int_equal(12000, c->future_ms);
	assert_int_equal(13 << 20, c->memory_bytes_max);
	assert_int_equal(14, c->postgres_port);
}

static void check_defaults(const struct destination_conf *d)
{
	assert_string_equal("plain", d->name);
	assert_int_equal(PROTOCOL_AUTO, d->protocol);
	assert_int_equal(COMPRESSION_AUTO, d->compression);
	assert_string_equal("", d->token_file);
	assert_true(d->tls_verify);
	assert_true(d->live_first);
	assert_int_equal(10000, d->timeout_ms);
	assert_int_equal(500, d->backoff_min_ms);
	assert_int_equal(30000, d->backoff_max_ms);
	assert_int_equal(0, d->relabel.n);
}

static void test_every_setting(void **state)
{
	_cleanup_(host_conf_done) struct host_conf c;

	(void)state;
	good(full, &c);
	assert_string_equal("00ff", c.host_id);
	assert_string_equal("ams", c.region);
	assert_string_equal("my_", c.prefix);
	assert_int_equal(1000, c.interval_ms);
	assert_string_equal("/srv/vms", c.vms_dir);
	assert_int_equal(2, c.sources.n);
	assert_string_equal("taps", c.sources.v[0]);
	assert_string_equal("vm_task", c.sources.v[1]);
	assert_string_equal("/srv/state", c.state_dir);
	assert_int_equal(1, c.cpu_classes.n);
	assert_string_equal("tiny", ((struct cpu_class *)c.cpu_classes.v)->name);
	assert_int_equal(2000, ((struct cpu_class *)c.cpu_classes.v)->balance_max_ms);
	assert_string_equal("tiny", c.cpu_class);
	assert_false(c.peaks_enabled);
	assert_true(c.hist_run_delay);
	assert_true(c.hist_disk_latency);
	assert_int_equal(60000, c.exits_hold_ms);
	assert_string_equal("code=(?P<code>[0-9]+)", c.exits_console_pattern);
	assert_string_equal("/srv/volumes", c.volumes_socket);
	assert_double_near(0.5, c.peaks_cpu_max_ratio, 0);
	assert_int_equal(5000, c.tick_samples_max);
	assert_string_equal("/srv/profiles", c.guest_profiles);
	assert_int_equal(LOG_DEBUG_LEVEL, c.log_level);
	assert_string_equal("[::1]:9000", c.listen);
	assert_false(c.discovery_enabled);
	assert_string_equal("org-${vmm}", c.discovery_org);
	assert_string_equal("${name}", c.discovery_app);
	assert_string_equal("${pid}@${host}", c.discovery_instance);
	assert_string_equal("eu", c.discovery_region);
	check_scrape(&c.scrape);
	assert_string_equal("/srv/queue", c.queue_dir);
	assert_int_equal(2 << 20, c.queue_memory_bytes_max);
	assert_false(c.queue_sync);
	assert_int_equal(0, c.flush_ms);
	assert_int_equal(2, c.destinations.n);
	check_defaults(c.destinations.v);
	check_destination((const struct destination_conf *)c.destinations.v + 1);

	const struct proxy_conf *proxies = c.proxies.v;
	const struct route_conf *routes = c.routes.v;

	assert_int_equal(2, c.proxies.n);
	assert_string_equal("front", proxies[0].name);
	assert_string_equal("/sys/fs/cgroup/front", proxies[0].cgroup);
	assert_string_equal("*:443", proxies[0].listeners.v[0]);
	assert_int_equal(PROXY_ID_AUTO, proxies[0].proxy_id);
	assert_string_equal("back.service", proxies[1].unit);
	assert_int_equal(PROXY_ID_GREEN, proxies[1].proxy_id);
	assert_int_equal(1, c.routes.n);
	assert_string_equal("acme", routes[0].org);
	assert_string_equal("b.example", routes[0].hostnames.v[0]);
	assert_string_equal("*:80", routes[0].listeners.v[0]);
}

/* Every row of host_conf.def is in @full, and what is printed reads back as the same. */
static void test_printing(void **state)
{
	_cleanup_(buf_done) struct buf once = BUF_INIT;
	_cleanup_(buf_done) struct buf twice = BUF_INIT;
	_cleanup_(host_conf_done) struct host_conf c, again;

	(void)state;
	good(full, &c);
	for (size_t i = 0; i < host_conf_schema.n; i++) {
		const char *key = host_conf_schema.rows[i].key, *dot = strrchr(key, '.');
		char last[64];

		(void)snprintf(last, sizeof(last), "%s:", dot ? dot + 1 : key);
		unit_note("%s", key);
		assert_non_null(strstr(full, last));
	}
	conf_print(&host_conf_schema, &c, &once);
	good(buf_cstr(&once), &again);
	conf_print(&host_conf_schema, &again, &twice);
	struct proxy_conf copy;

	assert_int_equal(0, conf_copy(&proxy_conf_schema, c.proxies.v, &copy));
	assert_string_equal("/sys/fs/cgroup/front", copy.cgroup);
	assert_string_equal("*:443", copy.listeners.v[0]);
	conf_done(&proxy_conf_schema, &copy);
	assert_str_equal(buf_str(&once), buf_str(&twice));
	assert_null(conf_unreloadable_change(&host_conf_schema, &c, &again));
}

static const struct {
	const char *text, *why;
} bad_settings[] = {
	{ "host_id: 12345678", "t:1: host_id: expected at most 7 printable bytes" },
	{ "host_id: \"a\\x01\"", "t:1: host_id: expected at most 7 printable bytes" },
	{ "region: \"a\\nb\"", "t:1: region: expected at most 127 printable bytes" },
	{ "prefix: Fly-", "t:1: prefix: expected at most " },
	{ "proxies: [{name: A, unit: u}]", "t:1: proxies[0].name: expected 1 to 63 of a-z" },
	{ "proxies: [{name: a}]", "t:1: proxies[0]: expected one of cgroup, unit and exe" },
	{ "proxies: [{name: a, unit: u, exe: /x}]", "t:1: proxies[0]: expected one of cgroup" },
	{ "proxies: [{name: a, cgroup: x}]", "t:1: proxies[0].cgroup: expected a path that" },
	{ "proxies: [{name: a, exe: x}]", "t:1: proxies[0].exe: expected a path that" },
	{ "proxies: [{name: a, unit: a/b}]", "t:1: proxies[0].unit: expected a name, not" },
	{ "proxies: [{name: a, unit: u}, {name: a, unit: v}]",
	  "t:1: proxies[1].name: the same as of proxies[0]" },
	{ "proxies: [{name: a, unit: u, listeners: ['*:0']}]",
	  "t:1: proxies[0].listeners: found \"*:0\", expected address and port" },
	{ "routes: [{org: A, app: b}]", "t:1: routes[0].org: expected 1 to 63 of a-z" },
	{ "routes: [{org: a, app: ''}]", "t:1: routes[0].app: expected 1 to 127 printable" },
	{ "routes: [{org: a, app: b, hostnames: [A]}]", "t:1: routes[0].hostnames: found \"A\"" },
	{ "routes: [{org: a, app: b, listeners: ['x:1']}]", "t:1: routes[0].listeners: found" },
	{ "vms_dir: vms.d", "t:1: vms_dir: expected a path that begins with /" },
	{ "guest: {profiles: here}", "t:1: guest.profiles: expected a path that begins with /" },
	{ "vms_dir: ''", "t:1: vms_dir: expected a path that begins with /" },
	{ "sources: [taps, tabs]", "t:1: sources: there is no source \"tabs\"" },
	{ "discovery: {org: '${x}'}", "t:1: discovery.org: unknown variable \"${x}\"" },
	{ "discovery: {app: '${name'}", "t:1: discovery.app: \"${name\" has no closing bracket" },
	{ "discovery: {instance: '${}'}", "t:1: discovery.instance: unknown variable" },
	{ "discovery: {region: '${region}'}", "t:1: discovery.region: unknown variable" },
	{ "listen: 0.0.0.0:9478", "t:1: listen: found \"0.0.0.0:9478\", expected a loopback" },
	{ "listen: 127.example.org:80", "t:1: listen: found \"127.example.org:80\"" },
	{ "scrape: {interval: 5s}", "t:1: scrape.timeout: above scrape.interval" },
	{ "queue: {dir: q}", "t:1: queue.dir: expected a path that begins with /" },
	{ "remote_write: {a: {}}", "t:1: required key \"url\" is missing" },
	{ "remote_write: {a: {url: region.internal}}",
	  "t:1: remote_write.a: url: found \"region.internal\", expected http(s)://" },
	{ "remote_write: {A: {url: 'http://a'}}", "t:1: remote_write.A: expected a name of" },
	{ "remote_write: {a: {url: 'http://a', backoff_min: 2s, backoff_max: 1s}}",
	  "t:1: remote_write.a: backoff_min: above backoff_max" },
	{ "remote_write: {a: {url: 'http://a', headers: [X]}}",
	  "t:1: remote_write.a: headers[0]: expected \"Name: value\"" },
	{ "remote_write: {a: {url: 'http://a', headers: [\"X: a\\nb\"]}}",
	  "t:1: remote_write.a: headers[0]: expected \"Name: value\" on one line" },
	{ "remote_write: {a: {url: 'http://a', tls: {key_file: /k}}}",
	  "t:1: remote_write.a: tls: cert_file and key_file need each other" },
	{ "remote_write: {a: {url: 'http://a', relabel: [{action: hashmod}]}}", "action" },
	{ "remote_write: {a: {url: 'http://a', relabel: [{action: drop, regex: '('}]}}",
	  "t:1: remote_write.a: relabel[0]: regex: missing" },
	{ "remote_write: {a: {url: 'http://a', relabel: [{target_label: 1x}]}}",
	  "t:1: remote_write.a: relabel[0]: target_label: expected a label's name, " },
	/* Rows of their own: one each will do, tests/unit/test_conf.c has the rest. */
	{ "state_dir: state", "t:1: state_dir: expected a path that begins with /" },
	{ "cpu_classes: {a: {period: 80ms}}", "\"quota\" is missing" },
	{ "cpu_classes: {a: {period: 80ms, quota: 81ms}}",
	  "t:1: cpu_classes.a.quota: above its period" },
	{ "cpu_classes: {a: {period: 80ms, quota: 5ms, balance_start: 5s}}",
	  "t:1: cpu_classes.a.balance_start: above balance_max" },
	{ "volumes: {socket: v}", "t:1: volumes.socket: expected a path that begins with /" },
	{ "cpu_class: big", "t:1: cpu_class: there is no class \"big\"" },
	{ "peaks: {cpu_max: 2}", "peaks.cpu_max" },
	{ "interval: 99ms", "interval" },
	{ "interval: 2h", "interval" },
	{ "log_level: loud", "log_level" },
	{ "colour: red", "colour" },
	{ "region: [a]", "region" },
};

static void test_refusals(void **state)
{
	struct host_conf c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_settings); i++) {
		assert_int_equal(-EINVAL, parse(bad_settings[i].text, &c, &e));
		if (!strstr(e.msg, bad_settings[i].why))
			fail_msg("expected \"%s\" in \"%s\"", bad_settings[i].why, e.msg);
	}
}

static void test_files(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct err e = ERR_INIT;
	struct host_conf c;
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/host.yml", dir.path);
	assert_int_equal(-ENOENT, host_conf_load(path, known, &c, &e));
	assert_non_null(strstr(e.msg, path));
	assert_non_null(strstr(e.msg, "No such file"));
	assert_int_equal(0, file_replace(path, "region: lhr\n", 12, 0644));
	e = ERR_INIT;
	assert_int_equal(0, host_conf_load(path, known, &c, &e));
	assert_string_equal("lhr", c.region);
	host_conf_done(&c);
	assert_int_equal(0, file_replace(path, "region: [\n", 10, 0644));
	assert_int_equal(-EINVAL, host_conf_load(path, known, &c, &e));
	assert_non_null(strstr(e.msg, path));
}

/* The names that the real sources have are the ones that the file may list. */
static void test_names_of_sources(void **state)
{
	const char *const *names = source_names();
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct host_conf c;
	size_t n = 0;

	(void)state;
	buf_puts(&text, "sources: [");
	for (; names[n]; n++) {
		assert_string_equal(source_table[n]->name, names[n]);
		buf_printf(&text, "%s%s", n > 0 ? ", " : "", names[n]);
	}
	assert_null(source_table[n]);
	assert_true(n > 0 && n <= SOURCES_MAX);
	buf_puts(&text, "]");
	assert_int_equal(0, host_conf_parse("t", buf_str(&text), names, &c, &e));
	assert_int_equal(n, c.sources.n);
	host_conf_done(&c);
}

static void test_default_id(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	char path[128], id[8], again[8], fallback[8];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/machine-id", dir.path);
	host_conf_default_id(path, fallback); /* the host's name */
	assert_int_equal(4, strspn(fallback, "0123456789abcdef"));
	assert_int_equal(4, strlen(fallback));
	assert_int_equal(0, file_replace(path, " \n", 2, 0644));
	host_conf_default_id(path, again);
	assert_string_equal(fallback, again);
	assert_int_equal(0, file_replace(path, "123456789", 9, 0644));
	host_conf_default_id(path, id);
	assert_string_equal("9283", id); /* CRC-32C of "123456789" is e3069283 (RFC 3720) */
	assert_int_equal(0, file_replace(path, "123456789\n", 10, 0644));
	host_conf_default_id(path, again);
	assert_string_equal(id, again);
}

static void test_listen(void **state)
{
	static const struct {
		const char *text, *host; /* NULL: refused */
		uint16_t port;
	} refusals[] = {
		{ "127.0.0.1:9478", "127.0.0.1", 9478 },
		{ "127.8.9.10:0", "127.8.9.10", 0 },
		{ "localhost:65535", "127.0.0.1", 65535 },
		{ "[::1]:80", "::1", 80 },
		{ "::1:80", "::1", 80 },
		{ "127.0.0.1", NULL, 0 },
		{ "127.0.0.1:", NULL, 0 },
		{ "127.0.0.1:65536", NULL, 0 },
		{ "127.0.0.1:-1", NULL, 0 },
		{ "127.0.0.1:80x", NULL, 0 },
		{ "127.0.0.256:80", NULL, 0 },
		{ "127.example.org:80", NULL, 0 },
		{ "127.0.0.1.2:80", NULL, 0 },
		{ "128.0.0.1:80", NULL, 0 },
		{ "0.0.0.0:80", NULL, 0 },
		{ "[::]:80", NULL, 0 },
		{ "[]:80", NULL, 0 },
		{ "[:80", NULL, 0 },
		{ ":80", NULL, 0 },
		{ ":", NULL, 0 },
		{ "", NULL, 0 },
	};
	char host[64];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		int r = host_conf_split_listen(refusals[i].text, host, sizeof(host), &port);

		unit_note("%s", refusals[i].text);
		assert_int_equal(refusals[i].host ? 0 : -EINVAL, r);
		if (r < 0)
			continue;
		assert_string_equal(refusals[i].host, host);
		assert_int_equal(refusals[i].port, port);
	}
	assert_int_equal(-EINVAL, host_conf_split_listen("127.0.0.1:80", host, 9, &port));
	assert_int_equal(0, host_conf_split_listen("127.0.0.1:80", host, 10, &port));
}

static void test_variables(void **state)
{
	struct label_var vars[HOST_CONF_VARS_MAX];
	char dst[64];

	(void)state;
	host_conf_vars(STR("web"), STR("7"), STR("qemu"), STR("00ff"), vars);
	assert_int_equal(0, label_template("${name}.${pid}.${vmm}.${host}", vars, dst, sizeof(dst),
	                                   NULL));
	assert_string_equal("web.7.qemu.00ff", dst);
}

/* Every allocation in turn fails: an error, and nothing is left behind (AddressSanitizer looks). */
static void test_no_memory(void **state)
{
	struct host_conf c;
	struct err e;
	int r;

	(void)state;
	for (unsigned long n = 1; n < 1000; n++) {
		alloc_fail_at(n);
		r = parse("region: ams\nsources: [taps]\n", &c, &e);
		alloc_fail_at(0);
		if (r == 0) {
			assert_true(n > 20); /* there is more than one place to fail */
			host_conf_done(&c);
			return;
		}
		assert_int_equal(-ENOMEM, r);
	}
	fail_msg("never succeeds");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_every_setting),
		cmocka_unit_test(test_printing),   cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_files),      cmocka_unit_test(test_names_of_sources),
		cmocka_unit_test(test_default_id), cmocka_unit_test(test_listen),
		cmocka_unit_test(test_variables),  cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
