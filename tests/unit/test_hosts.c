/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "Metrics are degraded": hosts that are fine, silent, behind, gone for good, and what each
 * organisation is told of them, by /api/v1/status/hosts over a real store.
 */
#include "tests/unit/region_call.h"

#include "userspace/base/sample.h"

#define PATH "/api/v1/status/hosts"

struct point {
	int ago_s;
	double value;
};

/* One series: "name" and its other labels in pairs. */
static void put(struct region *region, const char *org, const char *const *pairs,
                const struct point *points, size_t n)
{
	struct store_append_result result = { .first = ERR_INIT };
	struct label labels[8];
	struct sample samples[8];
	struct series_in s = { .labels = labels, .samples = samples, .n_samples = (uint32_t)n };

	for (; pairs[s.n_labels * 2]; s.n_labels++)
		labels[s.n_labels] = (struct label){ str_from(pairs[s.n_labels * 2]),
			                             str_from(pairs[s.n_labels * 2 + 1]) };
	for (size_t i = 0; i < n; i++)
		samples[i] = (struct sample){ REGION_NOW_MS - points[i].ago_s * 1000ll,
			                      points[i].value };
	assert_int_equal(0, store_append(region->store, str_from(org), &s, 1, &result));
	assert_int_equal(n, result.accepted);
}

#define PUT(region, org, points, ...)                                                          \
	put(region, org, (const char *const[]){ "__name__", __VA_ARGS__, NULL, NULL }, points, \
	    ARRAY_SIZE(points))

static void fill(struct region *r, const char *hosts_org)
{
	const struct point fresh[] = { { 30, 1 }, { 15, 1 } }, old[] = { { 300, 1 }, { 240, 1 } },
			   ended[] = { { 300, 1 }, { 285, stale_mark() } },
			   ancient[] = { { 7200, 1 } };
	const struct point small[] = { { 15, 0.5 } }, big[] = { { 30, 700 }, { 15, 720 } },
			   drops[] = { { 4000, 3 },
		                       { 60, 100 },
		                       { 45, 130 },
		                       { 30, 4 },
		                       { 15, 10 } },
			   gone[] = { { 40, 2 }, { 30, 7 }, { 20, stale_mark() } };

	PUT(r, "dev", fresh, "fly_instance_up", "host", "h1", "instance", "a", "app", "web");
	PUT(r, "dev", fresh, "fly_instance_up", "host", "h1", "instance", "b", "app", "db");
	PUT(r, "dev", old, "fly_instance_up", "host", "h2", "instance", "c", "region", "ams");
	PUT(r, "dev", ended, "fly_instance_up", "host", "h3", "instance", "d");
	PUT(r, "dev", ancient, "fly_instance_up", "host", "h4", "instance", "e");
	PUT(r, "dev", fresh, "fly_instance_up", "host", "h\"5", "instance", "f");
	PUT(r, "acme", fresh, "fly_instance_up", "host", "h6", "instance", "g");
	for (size_t i = 0; i < 3; i++) {
		const char *const names[] = { "h1", "h\"5", "h7" };

		PUT(r, hosts_org, fresh, "periscope_host_collections_total", "host", names[i]);
	}
	PUT(r, hosts_org, small, "periscope_host_queue_oldest_seconds", "host", "h1", "destination",
	    "region");
	PUT(r, hosts_org, big, "periscope_host_queue_oldest_seconds", "host", "h1", "destination",
	    "backup");
	PUT(r, hosts_org, big, "periscope_host_queue_samples", "host", "h1", "destination",
	    "region");
	PUT(r, hosts_org, big, "periscope_host_queue_oldest_seconds", "host", "h\"5", "destination",
	    "region");
	/* 30 before a restart, then 4 and 6 more; and a series that has ended since. */
	PUT(r, hosts_org, drops, "periscope_host_samples_dropped_total", "host", "h1",
	    "destination", "region", "reason", "too_old");
	PUT(r, hosts_org, gone, "periscope_host_samples_dropped_total", "host", "h1", "reason",
	    "outbox_full");
}

#define H1(n)                                                                               \
	"{\"host\":\"h1\",\"region\":\"\",\"instances\":" n ",\"lastSeen\":1699999985,"     \
	"\"lag\":15,\"queueLag\":0.5,\"queueSamples\":720,\"lostSamples\":45,\"degraded\":" \
	"false,\"reason\":\"\"}"
#define H2                                                                             \
	"{\"host\":\"h2\",\"region\":\"ams\",\"instances\":1,\"lastSeen\":1699999760," \
	"\"lag\":240,\"queueLag\":null,\"queueSamples\":null,\"lostSamples\":0,"       \
	"\"degraded\":true,\"reason\":\"silent\"}"
#define H5                                                                               \
	"{\"host\":\"h\\\"5\",\"region\":\"\",\"instances\":1,\"lastSeen\":1699999985,"  \
	"\"lag\":15,\"queueLag\":720,\"queueSamples\":0,\"lostSamples\":0,\"degraded\":" \
	"true,\"reason\":\"behind\"}"
#define H6                                                                          \
	"{\"host\":\"h6\",\"region\":\"\",\"instances\":1,\"lastSeen\":1699999985," \
	"\"lag\":15,\"queueLag\":null,\"queueSamples\":null,\"lostSamples\":0,"     \
	"\"degraded\":false,\"reason\":\"\"}"
#define H7                                                                          \
	"{\"host\":\"h7\",\"region\":\"\",\"instances\":0,\"lastSeen\":1699999985," \
	"\"lag\":15,\"queueLag\":null,\"queueSamples\":null,\"lostSamples\":0,"     \
	"\"degraded\":false,\"reason\":\"\"}"
#define ANSWER(n, list) \
	"{\"status\":\"success\",\"data\":{\"degraded\":" n ",\"hosts\":[" list "]}}\n"

static struct region *region_with(const struct tempdir *dir, const char *access)
{
	static const char *const orgs[] = { "dev", "acme" };

	region_clock_stop();
	return region_for_test(dir->path, orgs, ARRAY_SIZE(orgs), access);
}

static void end(struct region *region, struct tempdir *dir)
{
	region_close(region);
	clock_set(NULL);
	tempdir_done(dir);
}

static void test_without_tokens(void **state)
{
	struct tempdir dir = tempdir_make();
	struct region *r = region_with(&dir, NULL);

	(void)state;
	call_expect(r, PATH, NULL, 200, ANSWER("0", ""));
	fill(r, "dev");
	call_expect(r, PATH, NULL, 200, ANSWER("2", H5 "," H1("2") "," H2 "," H7));
	call_expect(r, "/prometheus/acme" PATH, NULL, 200, ANSWER("0", H6));
	call_expect(r, PATH "?extra_label=app=web", NULL, 200, ANSWER("0", H1("1")));
	call_expect(r, PATH "?match[]=nosuch{", NULL, 400, "{\"status\":\"error\"");
	end(r, &dir);
}

/* With tokens the hosts' own series are in an organisation of their own. */
static void test_with_tokens(void **state)
{
	static const char text[] =
		"organisations: {dev: {}}\n"
		"tokens:\n"
		"  hosts: {sha256: %s, organisation: \"*\", scopes: [host]}\n"
		"  dev: {sha256: %s, organisation: dev, scopes: [read]}\n"
		"  web: {sha256: %s, organisation: dev, scopes: [read], apps: [web]}\n"
		"  all: {sha256: %s, organisation: \"*\", scopes: [read, write]}\n";
	/* SHA-256 of "h", "d", "w" and "a" */
	static const char *const hashes[] = {
		"aaa9402664f1a41f40ebbc52c9993eb66aeb366602958fdfaa283b71e64db123",
		"18ac3e7343f016890c510e93f935261169d9e3f565436429830faf0934f4f8e4",
		"50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326",
		"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
	};
	struct tempdir dir = tempdir_make(), access = tempdir_make();
	char content[1024];
	struct region *r;

	(void)state;
	(void)snprintf(content, sizeof(content), text, hashes[0], hashes[1], hashes[2], hashes[3]);
	tempdir_write(&access, "access.yml", content, 0600);
	r = region_with(&dir, access.path);
	fill(r, "hosts");
	call_expect(r, PATH, "Bearer d", 200, ANSWER("2", H5 "," H1("2") "," H2));
	call_expect(r, PATH, "Bearer w", 200, ANSWER("0", H1("1")));
	call_expect(r, "/prometheus/hosts" PATH, "Bearer d", 403, "{\"status\":\"error\"");
	call_expect(r, PATH, "Bearer h", 403, "{\"status\":\"error\"");

	/* What a host writes of itself names no organisation; nobody else may do so. */
	call_import(r, "/api/v1/import/prometheus", "Bearer h",
	            "periscope_host_collections_total{host=\"h8\"} 1 1699999985000\n");
	call_expect(r, "/prometheus/hosts/api/v1/series/count", "Bearer a", 200,
	            "{\"status\":\"success\",\"data\":[10]}");
	const struct call nobody = { .method = HTTP_POST,
		                     .target = "/api/v1/import/prometheus",
		                     .token = "Bearer a",
		                     .body = STR("a 1 1699999985000\n") };
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	assert_int_equal(400, call(r, &nobody, &out, NULL));
	end(r, &dir);
	tempdir_done(&access);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_tokens),
		cmocka_unit_test(test_with_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
