/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/proxy/proxy_conf.h"

#include <errno.h>
#include <string.h>

#include "bpf/h1_rules.h"
#include "userspace/base/util.h"
#include "userspace/host/label_text.h"
#include "userspace/host/net_addr.h"
#include "userspace/host/spec.h"
#include "userspace/host/vm.h"

static const char *const proxy_ids[] = { "auto", "blue", "green", NULL };
static const char *const edge_https[] = { "seen", "derived", NULL };

static const struct conf_row proxy_rows[] = {
#define PROXY(k, t, text, n, why)                   \
	{ .key = #k,                                \
	  .type = (t),                              \
	  .offset = offsetof(struct proxy_conf, k), \
	  .default_text = (text),                   \
	  .names = (n),                             \
	  .sentence = (why) },
#include "userspace/host/proxy/proxy_conf.def"
#undef PROXY
};

static const struct conf_row route_rows[] = {
#define ROUTE(k, t, text, why)                      \
	{ .key = #k,                                \
	  .type = (t),                              \
	  .offset = offsetof(struct route_conf, k), \
	  .default_text = (text),                   \
	  .sentence = (why) },
#include "userspace/host/proxy/route_conf.def"
#undef ROUTE
};

const struct conf_schema proxy_conf_schema = { proxy_rows, ARRAY_SIZE(proxy_rows),
	                                       sizeof(struct proxy_conf), -1 };
const struct conf_schema route_conf_schema = { route_rows, ARRAY_SIZE(route_rows),
	                                       sizeof(struct route_conf), -1 };

static int check_listeners(const char *list, size_t i, const struct conf_strings *v, struct err *e)
{
	struct net_endpoint at;

	for (size_t j = 0; j < v->n; j++) {
		if (net_endpoint_parse(v->v[j], &at) < 0)
			return err_set(e, -EINVAL,
			               "%s[%zu].listeners: found \"%.60s\", expected address and "
			               "port like 10.0.0.7:443, [fdaa::3]:443 or *:443",
			               list, i, v->v[j]);
	}
	return 0;
}

static int check_rules(const char *key, size_t i, const struct conf_strings *v, struct err *e)
{
	if (v->n > H1_RULES_MAX)
		return err_set(e, -EINVAL, "proxies[%zu].%s: more than %d", i, key, H1_RULES_MAX);
	for (size_t j = 0; j < v->n; j++) {
		if (v->v[j][0] == '\0' || strlen(v->v[j]) >= H1_RULE_CAP)
			return err_set(e, -EINVAL,
			               "proxies[%zu].%s: found \"%.60s\", expected 1 to %d bytes",
			               i, key, v->v[j], H1_RULE_CAP - 1);
	}
	return 0;
}

static int check_proxy(size_t i, const struct proxy_conf *c, struct err *e)
{
	const char *const places[] = { c->cgroup, c->unit, c->exe };
	int n = 0;

	for (size_t j = 0; j < ARRAY_SIZE(places); j++)
		n += places[j][0] != '\0';
	if (n != 1)
		return err_set(e, -EINVAL,
		               "proxies[%zu]: expected one of cgroup, unit and exe, found %d", i,
		               n);
	if ((c->cgroup[0] && c->cgroup[0] != '/') || (c->exe[0] && c->exe[0] != '/'))
		return err_set(e, -EINVAL, "proxies[%zu].%s: expected a path that begins with /", i,
		               c->exe[0] ? "exe" : "cgroup");
	if (strchr(c->unit, '/'))
		return err_set(e, -EINVAL, "proxies[%zu].unit: expected a name, not a path", i);
	if (!label_text_is_slug(str_from(c->name)))
		return err_set(e, -EINVAL,
		               "proxies[%zu].name: expected 1 to 63 of a-z, 0-9, - and _", i);
	n = check_rules("check_paths", i, &c->check_paths, e);
	if (n == 0)
		n = check_rules("check_user_agents", i, &c->check_user_agents, e);
	return n < 0 ? n : check_listeners("proxies", i, &c->listeners, e);
}

static int check_route(size_t i, const struct route_conf *c, struct err *e)
{
	if (!label_text_is_slug(str_from(c->org)))
		return err_set(e, -EINVAL, "routes[%zu].org: expected 1 to 63 of a-z, 0-9, - and _",
		               i);
	if (c->app[0] == '\0' || !label_text_is_clean(str_from(c->app), VM_LABEL_CAP))
		return err_set(e, -EINVAL, "routes[%zu].app: expected 1 to %d printable bytes", i,
		               VM_LABEL_CAP - 1);
	for (size_t j = 0; j < c->hostnames.n; j++) {
		const char *why = spec_hostname_fault(c->hostnames.v[j]);

		if (why)
			return err_set(e, -EINVAL, "routes[%zu].hostnames: found \"%.60s\", %s", i,
			               c->hostnames.v[j], why);
	}
	return check_listeners("routes", i, &c->listeners, e);
}

int proxy_conf_check(const struct conf_structs *proxies, const struct conf_structs *routes,
                     struct err *e)
{
	const struct proxy_conf *p = proxies->v;
	const struct route_conf *t = routes->v;
	int r = 0;

	if (proxies->n > PROXIES_MAX)
		return err_set(e, -EINVAL, "proxies: more than %d", PROXIES_MAX);
	for (size_t i = 0; r == 0 && i < proxies->n; i++) {
		r = check_proxy(i, &p[i], e);
		for (size_t j = 0; r == 0 && j < i; j++) {
			if (strcmp(p[i].name, p[j].name) == 0)
				r = err_set(e, -EINVAL,
				            "proxies[%zu].name: the same as of proxies[%zu]", i, j);
		}
	}
	for (size_t i = 0; r == 0 && i < routes->n; i++)
		r = check_route(i, &t[i], e);
	return r;
}
