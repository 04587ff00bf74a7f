/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of fields for each kind of object (VM, tap, disk, volume, scrape) and one generic reader
 * over a parsed JSON tree. Adding a field is adding a row and a struct member.
 */
#include "userspace/host/spec.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/util.h"
#include "userspace/host/cmdline.h"
#include "userspace/host/label_text.h"

#define SUFFIX     ".json"
#define WHERE_CAP  128
#define PID_MAX    ((uint64_t)INT32_MAX)
#define MEMORY_MAX ((uint64_t)1 << 50)
#define LIMIT_MAX  ((uint64_t)1000000)

enum field_type {
	F_TEXT,  /* char[cap], not empty */
	F_SLUG,  /* char[cap], an organisation */
	F_PATH,  /* char[cap], absolute */
	F_COUNT, /* uint64_t, 1 to max */
	F_LIST,  /* of objects: sub */
	F_TEXTS, /* of texts: char[max][cap] */
};

struct field {
	const char *name;
	enum field_type type;
	bool required;
	size_t offset, cap;
	uint64_t max; /* of a number; items of a list */
	const struct object *sub;
	size_t count_offset; /* of a list: uint32_t */
	/* Of a text that is more than a text: what was expected, or NULL when it is that. */
	const char *(*fault)(const char *text);
};

struct object {
	const struct field *fields;
	size_t n, bytes;
};

struct reader {
	struct err *e;
	char where[WHERE_CAP]; /* "taps[1]." */
};

#define AT(type, f) .offset = offsetof(struct type, f), .cap = sizeof(((struct type *)0)->f)

static const struct field tap_fields[] = {
	{ "ifname", F_TEXT, true, AT(spec_tap, ifname) },
	{ "guest", F_TEXT, false, AT(spec_tap, guest) },
};
static const struct object tap_object = { tap_fields, ARRAY_SIZE(tap_fields),
	                                  sizeof(struct spec_tap) };

static const struct field disk_fields[] = {
	{ "path", F_PATH, true, AT(spec_disk, path) },
	{ "guest", F_TEXT, false, AT(spec_disk, guest) },
};
static const struct object disk_object = { disk_fields, ARRAY_SIZE(disk_fields),
	                                   sizeof(struct spec_disk) };

static const struct field volume_fields[] = {
	{ "id", F_TEXT, true, AT(spec_volume, id) },
	{ "device", F_PATH, true, AT(spec_volume, device) },
};
static const struct object volume_object = { volume_fields, ARRAY_SIZE(volume_fields),
	                                     sizeof(struct spec_volume) };

static const struct field metrics_fields[] = {
	{ "port", F_COUNT, true, AT(spec_metrics, port), .max = 65535 },
	{ "path", F_PATH, false, AT(spec_metrics, path) },
	{ "processes", F_TEXTS, false, offsetof(struct spec_metrics, processes),
	  .cap = VM_LABEL_CAP, .max = SPEC_PROCESSES_MAX,
	  .count_offset = offsetof(struct spec_metrics, n_processes) },
};
static const struct object metrics_object = { metrics_fields, ARRAY_SIZE(metrics_fields),
	                                      sizeof(struct spec_metrics) };

#define LIST(f, object, items)                      \
	F_LIST, false, offsetof(struct vm_spec, f), \
		.max = (items), .sub = &(object), .count_offset = offsetof(struct vm_spec, n_##f)

static const char *not_an_address(const char *text)
{
	struct net_addr a;

	return net_addr_parse(text, &a) < 0 || net_addr_is_any(&a)
	               ? "expected an IP address like 10.0.0.7 or fdaa::3"
	               : NULL;
}

static const char *not_a_kind(const char *text)
{
	return strcmp(text, "postgres") == 0 ? NULL : "expected postgres";
}

static const char *not_an_endpoint(const char *text)
{
	struct net_endpoint a;

	return net_endpoint_parse(text, &a) < 0
	               ? "expected address and port like 10.0.0.7:443, [fdaa::3]:443 or *:443"
	               : NULL;
}

const char *spec_hostname_fault(const char *text)
{
	const char *name = text[0] == '*' && text[1] == '.' ? text + 2 : text;
	size_t len = strlen(name);

	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != len || len == 0 ||
	                       name[0] == '.' || name[len - 1] == '.' || strstr(name, "..")
	               ? "expected a name like www.example.com or *.example.com in lower case"
	               : NULL;
}

#define TEXTS(f, items, check)                                              \
	F_TEXTS, false, offsetof(struct vm_spec, f),                        \
		.cap = sizeof(((struct vm_spec *)0)->f[0]), .max = (items), \
		.count_offset = offsetof(struct vm_spec, n_##f), .fault = (check)

static const struct field vm_fields[] = {
	{ "org", F_SLUG, true, AT(vm_spec, org) },
	{ "app", F_TEXT, true, AT(vm_spec, app) },
	{ "instance", F_TEXT, true, AT(vm_spec, instance) },
	{ "region", F_TEXT, false, AT(vm_spec, region) },
	{ "process_group", F_TEXT, false, AT(vm_spec, process_group) },
	{ "cpu_class", F_TEXT, false, AT(vm_spec, cpu_class) },
	{ "kernel_profile", F_TEXT, false, AT(vm_spec, kernel_profile) },
	{ "main_process", F_TEXT, false, AT(vm_spec, main_process) },
	{ "monitor_socket", F_PATH, false, AT(vm_spec, monitor_socket) },
	{ "console", F_PATH, false, AT(vm_spec, console) },
	{ "kind", F_TEXT, false, AT(vm_spec, kind), .fault = not_a_kind },
	{ "pid", F_COUNT, false, AT(vm_spec, pid), .max = PID_MAX },
	{ "pid_file", F_PATH, false, AT(vm_spec, pid_file) },
	{ "cgroup", F_PATH, false, AT(vm_spec, cgroup) },
	{ "vcpus", F_COUNT, false, AT(vm_spec, vcpus), .max = VM_VCPUS_MAX },
	{ "memory_bytes", F_COUNT, false, AT(vm_spec, memory_bytes), .max = MEMORY_MAX },
	{ "taps", LIST(taps, tap_object, VM_TAPS_MAX) },
	{ "disks", LIST(disks, disk_object, VM_DISKS_MAX) },
	{ "volumes", LIST(volumes, volume_object, SPEC_VOLUMES_MAX) },
	{ "metrics", LIST(metrics, metrics_object, SPEC_METRICS_MAX) },
	{ "addresses", TEXTS(addresses, VM_ADDRESSES_MAX, not_an_address) },
	{ "hostnames", TEXTS(hostnames, VM_HOSTNAMES_MAX, spec_hostname_fault) },
	{ "listeners", TEXTS(listeners, VM_LISTENERS_MAX, not_an_endpoint) },
	{ "soft_limit", F_COUNT, false, AT(vm_spec, soft_limit), .max = LIMIT_MAX },
	{ "hard_limit", F_COUNT, false, AT(vm_spec, hard_limit), .max = LIMIT_MAX },
};
static const struct object vm_object = { vm_fields, ARRAY_SIZE(vm_fields), sizeof(struct vm_spec) };

static int read_object(struct reader *r, const json_t *json, const struct object *o, void *into);

static int fault(struct reader *r, const char *field, const char *what)
{
	return err_set(r->e, -EINVAL, "%s%s: %s", r->where, field, what);
}

static int read_text(struct reader *r, const struct field *f, const json_t *v, char *dst)
{
	struct str s = { json_string_value(v), json_string_length(v) };
	char what[64];

	if (!json_is_string(v))
		return fault(r, f->name, "expected a text");
	if (s.len == 0)
		return fault(r, f->name, "is empty; leave it out instead");
	if (s.len >= f->cap) {
		(void)snprintf(what, sizeof(what), "longer than %zu bytes", f->cap - 1);
		return fault(r, f->name, what);
	}
	if (!label_text_is_clean(s, f->cap))
		return fault(r, f->name, "holds a control character");
	if (f->type == F_SLUG && !label_text_is_slug(s))
		return fault(r, f->name, "expected 1 to 63 of a-z, 0-9, - and _");
	if (f->type == F_PATH && s.p[0] != '/')
		return fault(r, f->name, "expected a path that begins with /");
	memcpy(dst, s.p, s.len);
	dst[s.len] = '\0';
	return f->fault && f->fault(dst) ? fault(r, f->name, f->fault(dst)) : 0;
}

static int read_count(struct reader *r, const struct field *f, const json_t *v, uint64_t *dst)
{
	json_int_t n = json_integer_value(v);
	char what[64];

	if (!json_is_integer(v) || n < 1 || (uint64_t)n > f->max) {
		(void)snprintf(what, sizeof(what), "expected a number from 1 to %llu",
		               (unsigned long long)f->max);
		return fault(r, f->name, what);
	}
	*dst = (uint64_t)n;
	return 0;
}

static int check_list(struct reader *r, const struct field *f, const json_t *v)
{
	char what[64];

	if (!json_is_array(v))
		return fault(r, f->name, "expected a list");
	if (json_array_size(v) > f->max) {
		(void)snprintf(what, sizeof(what), "more than %llu items",
		               (unsigned long long)f->max);
		return fault(r, f->name, what);
	}
	return 0;
}

/* Items are named in messages by list and index; @r->where is restored behind each. */
static int read_list(struct reader *r, const struct field *f, const json_t *v, char *into)
{
	uint32_t *n = (uint32_t *)(void *)(into + f->count_offset);
	int ret = check_list(r, f, v);

	for (size_t i = 0; ret == 0 && i < json_array_size(v); i++) {
		const json_t *item = json_array_get(v, i);
		char outer[WHERE_CAP], name[WHERE_CAP];

		memcpy(outer, r->where, sizeof(outer));
		(void)snprintf(name, sizeof(name), "%.60s%s[%zu]", outer, f->name, i);
		if (f->type == F_TEXTS) {
			struct field one = { .name = name + strlen(outer),
				             .cap = f->cap,
				             .fault = f->fault };

			ret = read_text(r, &one, item, into + f->offset + i * f->cap);
		} else {
			(void)snprintf(r->where, sizeof(r->where), "%.100s.", name);
			ret = read_object(r, item, f->sub, into + f->offset + i * f->sub->bytes);
		}
		memcpy(r->where, outer, sizeof(outer));
		*n = (uint32_t)i + 1;
	}
	return ret;
}

static int read_field(struct reader *r, const struct field *f, const json_t *v, char *into)
{
	switch (f->type) {
	case F_TEXT:
	case F_SLUG:
	case F_PATH:
		return read_text(r, f, v, into + f->offset);
	case F_COUNT:
		return read_count(r, f, v, (uint64_t *)(void *)(into + f->offset));
	case F_LIST:
	case F_TEXTS:
		return read_list(r, f, v, into);
	}
	return -EINVAL;
}

static bool knows(const struct object *o, const char *name)
{
	for (size_t i = 0; i < o->n; i++) {
		if (strcmp(o->fields[i].name, name) == 0)
			return true;
	}
	return false;
}

static int refuse_unknown(struct reader *r, const json_t *json, const struct object *o)
{
	json_t *object = (json_t *)(uintptr_t)json; /* jansson's iterators take no const */

	for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
		char name[48];

		if (knows(o, json_object_iter_key(it)))
			continue;
		label_text_copy(name, sizeof(name), str_from(json_object_iter_key(it)));
		return fault(r, name, "unknown field");
	}
	return 0;
}

/* @r->where ends in a dot here, which no field's name follows. */
static int not_an_object(struct reader *r)
{
	int len = (int)strlen(r->where);

	if (len == 0)
		return err_set(r->e, -EINVAL, "expected an object");
	return err_set(r->e, -EINVAL, "%.*s: expected an object", len - 1, r->where);
}

static int read_object(struct reader *r, const json_t *json, const struct object *o, void *into)
{
	int ret;

	if (!json_is_object(json))
		return not_an_object(r);
	ret = refuse_unknown(r, json, o);
	for (size_t i = 0; ret == 0 && i < o->n; i++) {
		const json_t *v = json_object_get(json, o->fields[i].name);

		if (v)
			ret = read_field(r, &o->fields[i], v, into);
		else if (o->fields[i].required)
			ret = fault(r, o->fields[i].name, "is missing");
	}
	return ret;
}

static void fill_defaults(struct vm_spec *s)
{
	for (uint32_t i = 0; i < s->n_taps; i++) {
		if (s->taps[i].guest[0] == '\0')
			(void)snprintf(s->taps[i].guest, VM_DEVICE_CAP, "eth%u", i);
	}
	for (uint32_t i = 0; i < s->n_disks; i++) {
		if (s->disks[i].guest[0] == '\0')
			cmdline_disk_name("vd", i, s->disks[i].guest);
	}
	for (uint32_t i = 0; i < s->n_metrics; i++) {
		if (s->metrics[i].path[0] == '\0')
			(void)snprintf(s->metrics[i].path, SPEC_PATH_CAP, "/metrics");
	}
}

/* Two devices of one name would write the same series. */
static int refuse_twice(const char *list, const char *field, const void *items, uint32_t n,
                        size_t bytes, struct err *e)
{
	const char *texts = items;

	for (uint32_t i = 1; i < n; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (strcmp(texts + i * bytes, texts + j * bytes) == 0)
				return err_set(e, -EINVAL, "%s[%u].%s: the same as of %s[%u]", list,
				               i, field, list, j);
		}
	}
	return 0;
}

#define REFUSE_TWICE(s, list, field, e) \
	refuse_twice(#list, #field, (s)->list[0].field, (s)->n_##list, sizeof((s)->list[0]), (e))

/* What no single field can tell. */
static int check_whole(const struct vm_spec *s, struct err *e)
{
	int r;

	if (s->pid == 0 && s->pid_file[0] == '\0' && s->cgroup[0] == '\0')
		return err_set(e, -EINVAL, "pid: is missing, and so are pid_file and cgroup");
	if (s->pid != 0 && s->pid_file[0] != '\0')
		return err_set(e, -EINVAL, "pid_file: given together with pid");
	if (strchr(s->instance, '/') || s->instance[0] == '.')
		return err_set(e, -EINVAL, "instance: must be good as a file name");
	r = REFUSE_TWICE(s, taps, ifname, e);
	if (r == 0)
		r = REFUSE_TWICE(s, taps, guest, e);
	if (r == 0)
		r = REFUSE_TWICE(s, disks, guest, e);
	return r < 0 ? r : REFUSE_TWICE(s, volumes, id, e);
}

int spec_parse(struct str text, struct vm_spec *ret, struct err *e)
{
	struct reader r = { .e = e };
	_cleanup_free_ struct vm_spec *s = mem_zalloc(1, sizeof(*s));
	json_error_t why;
	json_t *root;
	int res;

	if (!s)
		return -ENOMEM;
	if (text.len > SPEC_BYTES_MAX)
		return err_set(e, -EINVAL, "larger than %zu bytes", SPEC_BYTES_MAX);
	root = json_loadb(text.p ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return err_set(e, -EINVAL, "line %d: %.160s", why.line, why.text);
	res = read_object(&r, root, &vm_object, s);
	json_decref(root);
	if (res == 0) {
		fill_defaults(s);
		res = check_whole(s, e);
	}
	if (res == 0)
		memcpy(ret, s, sizeof(*s));
	return res;
}

bool spec_is_name(const char *name)
{
	size_t len = strlen(name), suffix = strlen(SUFFIX);

	return name[0] != '.' && len > suffix && strcmp(name + len - suffix, SUFFIX) == 0;
}

/* A FIFO or device in the folder must not hang the daemon. */
static int read_regular(int dirfd, const char *name, struct buf *text, struct err *e)
{
	int r = file_read_regular_at(dirfd, name, text, SPEC_BYTES_MAX);

	if (r == -EINVAL)
		return err_set(e, -EINVAL, "%.100s: not a regular file", name);
	if (r == -EFBIG)
		return err_set(e, -EINVAL, "%.100s: larger than %zu bytes", name, SPEC_BYTES_MAX);
	return r < 0 ? err_set(e, r, "%.100s: %s", name, strerror(-r)) : 0;
}

int spec_load(int dirfd, const char *name, struct vm_spec *ret, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	_cleanup_free_ struct vm_spec *s = mem_zalloc(1, sizeof(*s));
	struct err why = ERR_INIT;
	struct str stem = { name, strlen(name) - strlen(SUFFIX) };
	int r;

	if (!s)
		return -ENOMEM;
	r = read_regular(dirfd, name, &text, e);
	if (r < 0)
		return r;
	r = spec_parse(buf_str(&text), s, &why);
	if (r < 0)
		return err_set(e, r, "%.100s: %s", name, why.msg);
	if (!str_eqc(stem, s->instance))
		return err_set(e, -EINVAL, "%.100s: instance: \"%.80s\" is not the file's name",
		               name, s->instance);
	memcpy(ret, s, sizeof(*s));
	return 0;
}
