/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/balloon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "userspace/base/util.h"

#define LINES_MAX 64u
#define BYTES_MAX 0x1p53 /* what a double holds exactly; all ones mean: not known */

/* Places in QEMU's tree, and the ids of the answers that list them. */
static const char *const folders[] = { "/machine/peripheral", "/machine/peripheral-anon" };

/* ---- asking --------------------------------------------------------------------------------- */

void balloon_ask_qmp(const char *device, uint32_t interval_s, struct buf *out)
{
	buf_puts(out, "{\"execute\":\"qmp_capabilities\"}\n");
	for (size_t i = 0; !device[0] && i < ARRAY_SIZE(folders); i++)
		buf_printf(
			out,
			"{\"execute\":\"qom-list\",\"id\":%zu,\"arguments\":{\"path\":\"%s\"}}\n",
			i, folders[i]);
	if (!device[0])
		return;
	buf_printf(out,
	           "{\"execute\":\"qom-set\",\"arguments\":{\"path\":\"%s\",\"property\":"
	           "\"guest-stats-polling-interval\",\"value\":%u}}\n",
	           device, interval_s);
	buf_printf(out,
	           "{\"execute\":\"qom-get\",\"id\":9,\"arguments\":{\"path\":\"%s\",\"property\":"
	           "\"guest-stats\"}}\n",
	           device);
}

void balloon_ask_firecracker(struct buf *out)
{
	buf_puts(out, "GET /balloon/statistics HTTP/1.1\r\nHost: localhost\r\n"
	              "Accept: application/json\r\n\r\n");
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool take_bytes(const json_t *stats, const char *name, uint64_t *ret)
{
	const json_t *v = json_object_get(stats, name);

	if (!json_is_number(v) || json_number_value(v) < 0 || json_number_value(v) >= BYTES_MAX)
		return false;
	*ret = (uint64_t)json_number_value(v);
	return true;
}

static int read_stats(const json_t *stats, const char *total, const char *free,
                      const char *available, struct balloon_memory *ret)
{
	struct balloon_memory m;

	if (!take_bytes(stats, total, &m.total) || !take_bytes(stats, free, &m.free) ||
	    !take_bytes(stats, available, &m.available) || m.total == 0)
		return -ENODATA;
	*ret = m;
	return 0;
}

/* "child<virtio-balloon-pci>": by its place, which is text that goes into a request later. */
static void find_device(const json_t *list, const char *folder, char device[BALLOON_PATH_CAP])
{
	size_t i;
	json_t *one;

	json_array_foreach(list, i, one)
	{
		const char *type = json_string_value(json_object_get(one, "type"));
		const char *name = json_string_value(json_object_get(one, "name"));

		char path[BALLOON_PATH_CAP];

		if (!type || !name || strncmp(type, "child<virtio-balloon", 20) != 0 ||
		    strpbrk(name, "\"\\\n"))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path))
			memcpy(device, path, sizeof(path));
	}
}

static int read_numbers(const json_t *answer, struct balloon_memory *ret)
{
	const json_t *result = json_object_get(answer, "return");
	const json_t *updated = json_object_get(result, "last-update");

	if (!result || !json_is_number(updated) || json_number_value(updated) <= 0)
		return -ENODATA; /* the driver has not said anything yet */
	return read_stats(json_object_get(result, "stats"), "stat-total-memory", "stat-free-memory",
	                  "stat-available-memory", ret);
}

/* One line. 1: it was the last one that was asked for. */
static int read_line(const json_t *line, char device[BALLOON_PATH_CAP], struct balloon_memory *ret)
{
	const json_t *id = json_object_get(line, "id");
	const double number = json_is_number(id) ? json_number_value(id) : -1;
	const size_t last = ARRAY_SIZE(folders) - 1;

	for (size_t i = 0; i <= last; i++) {
		if (number == (double)i)
			find_device(json_object_get(line, "return"), folders[i], device);
	}
	if (number == (double)last && !device[0])
		return -ENODATA;
	if (number == 9) {
		int r = read_numbers(line, ret);

		return r < 0 ? r : 1;
	}
	return 0;
}

int balloon_read_qmp(struct str answer, char device[BALLOON_PATH_CAP], struct balloon_memory *ret)
{
	struct str line;

	for (uint32_t i = 0; i < LINES_MAX; i++) {
		json_t *root;
		int r;

		if (!str_cut(answer, '\n', &line, &answer))
			return -EAGAIN;
		root = json_loadb(line.p, line.len, JSON_DECODE_INT_AS_REAL, NULL);
		if (!root)
			return -EBADMSG;
		r = read_line(root, device, ret);
		json_decref(root);
		if (r != 0)
			return r > 0 ? 0 : r;
	}
	return -EBADMSG;
}

/* A small answer with its length in the head: what Firecracker gives. */
int balloon_read_firecracker(struct str answer, struct balloon_memory *ret)
{
	const char *end = answer.len > 0 ? memmem(answer.p, answer.len, "\r\n\r\n", 4) : NULL;
	json_t *root;
	int r;

	if (!end)
		return -EAGAIN;
	if (!str_starts(answer, STR("HTTP/1.1 ")))
		return -EBADMSG;
	if (!str_starts(answer, STR("HTTP/1.1 200")))
		return -ENODATA; /* no balloon, or one without statistics */
	answer = str_skip(answer, (size_t)(end - answer.p) + 4);
	if (answer.len == 0 || answer.p[answer.len - 1] != '}')
		return -EAGAIN;
	root = json_loadb(answer.p, answer.len, JSON_DECODE_INT_AS_REAL, NULL);
	if (!root)
		return -EAGAIN;
	r = read_stats(root, "total_memory", "free_memory", "available_memory", ret);
	json_decref(root);
	return r;
}
