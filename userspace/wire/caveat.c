/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A row for each type: the shape of its body, the names of its fields, and the rule. The shape is a
 * text that validates a body, walks it and prints it:
 *
 *	[..]  array of exactly these       u  unsigned number    i  number
 *	m     mask of actions (u, 16 bits) s  text               b  bytes
 *	U, M  map from u, or s, to m, its keys ascending
 *	T     array of texts               C  caveat set         K  commands: array of [T, bool]
 */
#include "userspace/wire/caveat.h"

#include <errno.h>
#include <string.h>

#include "userspace/base/util.h"
#include "userspace/wire/caveat_int.h"

#define NESTING_MAX 4u

/* --- shapes ----------------------------------------------------------------------------------- */

static bool shape_holds(const char *shape, struct msgpack *m, unsigned nesting);

static bool map_holds(struct msgpack *m, bool numbers)
{
	uint64_t key = 0, last = 0, mask;
	struct str text, last_text = STR_NULL;
	uint32_t n;

	if (msgpack_map(m, &n) < 0)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (numbers ? msgpack_uint(m, &key) < 0 : msgpack_str(m, &text) < 0)
			return false;
		if (i > 0 && (numbers ? key <= last : str_cmp(text, last_text) <= 0))
			return false;
		if (msgpack_uint(m, &mask) < 0 || mask > CAVEAT_ALL)
			return false;
		last = key;
		last_text = numbers ? STR_NULL : text;
	}
	return true;
}

static bool texts_hold(struct msgpack *m)
{
	struct str text;
	uint32_t n;

	if (msgpack_array(m, &n) < 0)
		return false;
	while (n-- > 0) {
		if (msgpack_str(m, &text) < 0)
			return false;
	}
	return true;
}

static bool commands_hold(struct msgpack *m)
{
	uint32_t n, fields;
	bool exact;

	if (msgpack_array(m, &n) < 0)
		return false;
	while (n-- > 0) {
		if (msgpack_array(m, &fields) < 0 || fields != 2 || !texts_hold(m) ||
		    msgpack_bool(m, &exact) < 0)
			return false;
	}
	return true;
}

bool caveat_take(struct msgpack *m, struct caveat *ret)
{
	const uint8_t *start = m->p;

	if (msgpack_uint(m, &ret->type) < 0 || msgpack_skip(m, &ret->body) < 0)
		return false;
	ret->raw = (struct str){ (const char *)start, (size_t)(m->p - start) };
	return true;
}

static bool body_holds(uint64_t type, struct str body, unsigned nesting)
{
	const struct caveat_row *row = caveat_row_of(type);
	struct msgpack m = msgpack_from(body);

	return !row || (shape_holds(row->shape, &m, nesting) && msgpack_at_end(&m));
}

static bool caveats_hold(struct msgpack *m, unsigned nesting)
{
	struct caveat c;
	uint32_t n;

	if (nesting == NESTING_MAX || msgpack_array(m, &n) < 0 || n % 2 != 0)
		return false;
	for (; n > 0; n -= 2) {
		if (!caveat_take(m, &c) || !body_holds(c.type, c.body, nesting + 1))
			return false;
	}
	return true;
}

static bool value_holds(char kind, struct msgpack *m, unsigned nesting)
{
	struct str text;
	uint64_t u;
	int64_t i;

	switch (kind) {
	case 'u':
		return msgpack_uint(m, &u) == 0;
	case 'm':
		return msgpack_uint(m, &u) == 0 && u <= CAVEAT_ALL;
	case 'i':
		return msgpack_int(m, &i) == 0;
	case 's':
		return msgpack_str(m, &text) == 0;
	case 'b':
		return msgpack_bin(m, &text) == 0;
	case 'U':
	case 'M':
		return map_holds(m, kind == 'U');
	case 'T':
		return texts_hold(m);
	case 'C':
		return caveats_hold(m, nesting);
	default: /* 'K' */
		return commands_hold(m);
	}
}

static bool shape_holds(const char *shape, struct msgpack *m, unsigned nesting)
{
	uint32_t n;

	if (shape[0] != '[')
		return value_holds(shape[0], m, nesting);
	if (msgpack_array(m, &n) < 0 || n != strlen(shape) - 2)
		return false;
	for (shape++; *shape != ']'; shape++) {
		if (!value_holds(*shape, m, nesting))
			return false;
	}
	return true;
}

/* --- rules ------------------------------------------------------------------------------------ */

/* Enters the array of a struct; its shape was checked. */
static void enter(struct msgpack *m)
{
	uint32_t n;

	(void)msgpack_array(m, &n);
}

static uint64_t take_uint(struct msgpack *m)
{
	uint64_t v = 0;

	(void)msgpack_uint(m, &v);
	return v;
}

static bool is_subset(uint16_t action, uint64_t mask)
{
	return (action & ~mask) == 0;
}

static enum caveat_verdict prohibit(struct err *why, const char *sentence)
{
	(void)err_set(why, -EPERM, "%s", sentence);
	return CAVEAT_PROHIBITS;
}

static enum caveat_verdict out_of_time(struct err *why, const char *sentence)
{
	(void)err_set(why, -EKEYEXPIRED, "%s", sentence);
	return CAVEAT_PROHIBITS;
}

static enum caveat_verdict check_mask(const struct caveat_row *row, const struct caveat_access *a,
                                      uint64_t mask, struct err *why)
{
	char allowed[CAVEAT_MASK_TEXT_MAX];

	if (is_subset(a->action, mask))
		return CAVEAT_ALLOWS;
	caveat_mask_format((uint16_t)mask, allowed);
	(void)err_set(why, -EPERM, "its %s caveat allows only \"%s\"", row->name, allowed);
	return CAVEAT_PROHIBITS;
}

static enum caveat_verdict check_organization(const struct caveat_row *row, struct msgpack m,
                                              const struct caveat_access *a, struct err *why)
{
	enter(&m);
	uint64_t id = take_uint(&m);

	if (id != 0 && id != a->org_id) {
		(void)err_set(why, -EPERM, "it is for organisation %llu", (unsigned long long)id);
		return CAVEAT_PROHIBITS;
	}
	return check_mask(row, a, take_uint(&m), why);
}

static enum caveat_verdict unspecified(const struct caveat_row *row, struct err *why)
{
	(void)err_set(why, -EPERM, "its %s caveat is about something else", row->name);
	return CAVEAT_UNSPECIFIED;
}

/* Volumes, machines, features, …: no metric request is about one of them. */
static enum caveat_verdict check_other_thing(const struct caveat_row *row, struct msgpack m,
                                             const struct caveat_access *a, struct err *why)
{
	(void)m;
	(void)a;
	return unspecified(row, why);
}

/* The id 0 stands for every app, and then it must be alone. */
static enum caveat_verdict check_apps(const struct caveat_row *row, struct msgpack m,
                                      const struct caveat_access *a, struct err *why)
{
	uint64_t mask = 0;
	bool found = false;
	uint32_t n = 0;

	enter(&m);
	(void)msgpack_map(&m, &n);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t id = take_uint(&m), one = take_uint(&m);

		if (id == 0 && n > 1)
			return prohibit(why, "its Apps caveat names all apps and some");
		if (id == 0 || id == a->app_id) {
			found = true;
			mask = one;
		}
	}
	if (!a->has_app) {
		(void)err_set(why, -EPERM, "it is for certain apps only");
		return CAVEAT_UNSPECIFIED;
	}
	return found ? check_mask(row, a, mask, why) : prohibit(why, "it is for other apps");
}

static enum caveat_verdict check_window(const struct caveat_row *row, struct msgpack m,
                                        const struct caveat_access *a, struct err *why)
{
	int64_t not_before = 0, not_after = 0, now_s = a->now_ms / 1000;

	(void)row;
	enter(&m);
	(void)msgpack_int(&m, &not_before);
	(void)msgpack_int(&m, &not_after);
	if (not_before > now_s)
		return out_of_time(why, "it is not valid yet");
	if (not_after < now_s || (not_after == now_s && a->now_ms % 1000 > 0))
		return out_of_time(why, "it has expired");
	return CAVEAT_ALLOWS;
}

static enum caveat_verdict check_action(const struct caveat_row *row, struct msgpack m,
                                        const struct caveat_access *a, struct err *why)
{
	return check_mask(row, a, take_uint(&m), why);
}

/* Reading and writing metrics is what any member may do. */
static enum caveat_verdict check_roles(const struct caveat_row *row, struct msgpack m,
                                       const struct caveat_access *a, struct err *why)
{
	(void)row;
	(void)a;
	return take_uint(&m) & 1 ? CAVEAT_ALLOWS : prohibit(why, "it is not for a member's role");
}

static enum caveat_verdict check_nothing(const struct caveat_row *row, struct msgpack m,
                                         const struct caveat_access *a, struct err *why)
{
	(void)row;
	(void)m;
	(void)a;
	(void)why;
	return CAVEAT_ALLOWS;
}

/* Where a request comes from is not known here; what confines a discharge does not belong here. */
static enum caveat_verdict check_never(const struct caveat_row *row, struct msgpack m,
                                       const struct caveat_access *a, struct err *why)
{
	(void)m;
	(void)a;
	(void)err_set(why, -EPERM, "its %s caveat cannot be met by a request for metrics",
	              row->name);
	return CAVEAT_PROHIBITS;
}

/* As soon as one of the inner caveats has something to say, all that have must agree. */
static enum caveat_verdict check_if_present(const struct caveat_row *row, struct msgpack m,
                                            const struct caveat_access *a, struct err *why)
{
	bool relevant = false, allowed = true;
	uint32_t n = 0;

	enter(&m);
	(void)msgpack_array(&m, &n);
	for (; n > 0; n -= 2) {
		struct err inner = ERR_INIT;
		struct caveat c;

		if (!caveat_take(&m, &c))
			return prohibit(why, "a caveat is broken");
		enum caveat_verdict v = caveat_check(&c, a, &inner);

		relevant = relevant || v != CAVEAT_UNSPECIFIED;
		if (v == CAVEAT_PROHIBITS) {
			allowed = false;
			(void)err_set(why, -EPERM, "%s", inner.msg);
		}
	}
	if (!relevant)
		return check_mask(row, a, take_uint(&m), why);
	return allowed ? CAVEAT_ALLOWS : CAVEAT_PROHIBITS;
}

/* --- the table -------------------------------------------------------------------------------- */

/* clang-format off */
static const struct caveat_row rows[] = {
	{ CAVEAT_ORGANIZATION,         "Organization",        "[um]",  "id mask",             check_organization },
	{ CAVEAT_VOLUMES,              "Volumes",             "[M]",   "volumes",             check_other_thing },
	{ CAVEAT_APPS,                 "Apps",                "[U]",   "apps",                check_apps },
	{ CAVEAT_VALIDITY_WINDOW,      "ValidityWindow",      "[ii]",  "not_before not_after", check_window },
	{ CAVEAT_FEATURE_SET,          "FeatureSet",          "[M]",   "features",            check_other_thing },
	{ CAVEAT_MUTATIONS,            "Mutations",           "[T]",   "mutations",           check_other_thing },
	{ CAVEAT_MACHINES,             "Machines",            "[M]",   "machines",            check_other_thing },
	{ CAVEAT_CONFINE_USER,         "ConfineUser",         "[u]",   "id",                  check_never },
	{ CAVEAT_CONFINE_ORGANIZATION, "ConfineOrganization", "[u]",   "id",                  check_never },
	{ CAVEAT_IS_USER,              "IsUser",              "[u]",   "uint64",              check_nothing },
	{ CAVEAT_THIRD_PARTY,          "3P",                  "[sbb]", "Location VerifierKey Ticket", check_never },
	{ CAVEAT_BIND_TO_PARENT,       "BindToParentToken",   "b",     "",                    check_never },
	{ CAVEAT_IF_PRESENT,           "IfPresent",           "[Cm]",  "ifs else",            check_if_present },
	{ CAVEAT_MACHINE_FEATURE_SET,  "MachineFeatureSet",   "[M]",   "features",            check_other_thing },
	{ CAVEAT_FROM_MACHINE,         "FromMachineSource",   "[s]",   "id",                  check_never },
	{ CAVEAT_CLUSTERS,             "Clusters",            "[M]",   "clusters",            check_other_thing },
	{ CAVEAT_CONFINE_GOOGLE_HD,    "ConfineGoogleHD",     "s",     "",                    check_never },
	{ CAVEAT_CONFINE_GITHUB_ORG,   "ConfineGitHubOrg",    "u",     "",                    check_never },
	{ CAVEAT_MAX_VALIDITY,         "MaxValidity",         "u",     "",                    check_never },
	{ CAVEAT_IS_MEMBER,            "IsMember",            "[]",    "",                    check_nothing },
	{ CAVEAT_FLYIO_USER_ID,        "FlyioUserID",         "u",     "",                    check_never },
	{ CAVEAT_GITHUB_USER_ID,       "GitHubUserID",        "u",     "",                    check_never },
	{ CAVEAT_GOOGLE_USER_ID,       "GoogleUserID",        "b",     "",                    check_never },
	{ CAVEAT_ACTION,               "Action",              "m",     "",                    check_action },
	{ CAVEAT_COMMANDS,             "Commands",            "K",     "",                    check_other_thing },
	{ CAVEAT_APP_FEATURE_SET,      "AppFeatureSet",       "[M]",   "features",            check_other_thing },
	{ CAVEAT_STORAGE_OBJECTS,      "StorageObjects",      "[M]",   "storage_objects",     check_other_thing },
	{ CAVEAT_ALLOWED_ROLES,        "AllowedRoles",        "u",     "",                    check_roles },
	{ CAVEAT_FLY_SRC,              "FlySrc",              "[sss]", "organization app instance", check_never },
};
/* clang-format on */

const struct caveat_row *caveat_row_of(uint64_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].type == type)
			return &rows[i];
	}
	return NULL;
}

bool caveat_is_valid(uint64_t type, struct str body)
{
	return body_holds(type, body, 0);
}

const char *caveat_name(uint64_t type)
{
	const struct caveat_row *row = caveat_row_of(type);

	return row ? row->name : NULL;
}

bool caveat_is_attestation(uint64_t type)
{
	return type >= CAVEAT_FLYIO_USER_ID && type <= CAVEAT_GOOGLE_USER_ID;
}

enum caveat_verdict caveat_check(const struct caveat *c, const struct caveat_access *a,
                                 struct err *why)
{
	const struct caveat_row *row = caveat_row_of(c->type);

	if (row)
		return row->check(row, msgpack_from(c->body), a, why);
	(void)err_set(why, -EPERM, "it has a caveat of the unknown type %llu",
	              (unsigned long long)c->type);
	return CAVEAT_PROHIBITS;
}

enum caveat_verdict caveat_set_check(const struct caveat_set *set, const struct caveat_access *a,
                                     struct err *why)
{
	enum caveat_verdict worst = CAVEAT_ALLOWS;

	for (uint32_t i = 0; i < set->n; i++) {
		struct err one = ERR_INIT;

		if (caveat_is_attestation(set->v[i].type))
			continue;
		enum caveat_verdict v = caveat_check(&set->v[i], a, &one);

		if (v > worst) {
			worst = v;
			*why = one;
		}
	}
	return worst;
}

bool caveat_set_org(const struct caveat_set *set, uint64_t *ret_id)
{
	for (uint32_t i = 0; i < set->n; i++) {
		struct msgpack m = msgpack_from(set->v[i].body);

		if (set->v[i].type != CAVEAT_ORGANIZATION)
			continue;
		enter(&m);
		*ret_id = take_uint(&m);
		if (*ret_id != 0)
			return true;
	}
	return false;
}
