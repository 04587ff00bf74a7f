/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Caveats of FlyV1 tokens: what each type's body looks like, and whether it lets an access through.
 *
 * Closed   A type that is not in the table prohibits everything. A body of a known type that is
 *          not exactly in the form of its row is refused when the token is read.
 * Reading  A caveat about something that the access does not say (an app, a volume) is
 *          CAVEAT_UNSPECIFIED, which prohibits as well, except inside IfPresent.
 * Source   github.com/superfly/macaroon: caveat.go, flyio/caveats.go, resset/, auth/caveats.go
 *
 * Threads  Pure functions, no allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

enum caveat_type {
	CAVEAT_ORGANIZATION = 0,
	CAVEAT_VOLUMES = 2,
	CAVEAT_APPS = 3,
	CAVEAT_VALIDITY_WINDOW = 4,
	CAVEAT_FEATURE_SET = 5,
	CAVEAT_MUTATIONS = 6,
	CAVEAT_MACHINES = 7,
	CAVEAT_CONFINE_USER = 8,
	CAVEAT_CONFINE_ORGANIZATION = 9,
	CAVEAT_IS_USER = 10,
	CAVEAT_THIRD_PARTY = 11,
	CAVEAT_BIND_TO_PARENT = 12,
	CAVEAT_IF_PRESENT = 13,
	CAVEAT_MACHINE_FEATURE_SET = 14,
	CAVEAT_FROM_MACHINE = 15,
	CAVEAT_CLUSTERS = 16,
	CAVEAT_CONFINE_GOOGLE_HD = 19,
	CAVEAT_CONFINE_GITHUB_ORG = 20,
	CAVEAT_MAX_VALIDITY = 21,
	CAVEAT_IS_MEMBER = 22,
	CAVEAT_FLYIO_USER_ID = 23,
	CAVEAT_GITHUB_USER_ID = 24,
	CAVEAT_GOOGLE_USER_ID = 25,
	CAVEAT_ACTION = 26,
	CAVEAT_COMMANDS = 27,
	CAVEAT_APP_FEATURE_SET = 28,
	CAVEAT_STORAGE_OBJECTS = 29,
	CAVEAT_ALLOWED_ROLES = 30,
	CAVEAT_FLY_SRC = 31,
};

enum caveat_action { /* bits of a mask */
	CAVEAT_READ = 1,
	CAVEAT_WRITE = 2,
	CAVEAT_CREATE = 4,
	CAVEAT_DELETE = 8,
	CAVEAT_CONTROL = 16,
	CAVEAT_ALL = 0xffff
};

struct caveat {
	uint64_t type;
	struct str raw;  /* type and body as encoded: what is signed */
	struct str body; /* one MessagePack value */
};

struct caveat_set {
	const struct caveat *v;
	uint32_t n;
};

/* What somebody wants to do: an action on an organisation, or on one app of it. */
struct caveat_access {
	uint64_t org_id;
	bool has_app;
	uint64_t app_id;
	uint16_t action; /* bits of enum caveat_action */
	int64_t now_ms;
};

enum caveat_verdict {
	CAVEAT_ALLOWS,
	CAVEAT_UNSPECIFIED, /* about something that the access does not name */
	CAVEAT_PROHIBITS,
};

/* Is @body what the row of @type asks for, canonically encoded? Any body of an unknown type is. */
bool caveat_is_valid(uint64_t type, struct str body);

/* "Organization", …; NULL for an unknown type. */
const char *caveat_name(uint64_t type);

/* Statements about the bearer, not restrictions; legal in discharges only. */
bool caveat_is_attestation(uint64_t type);

/*
 * caveat_check() - does the caveat, whose body is valid, let @a through? The sentence of a refusal
 * goes into @why, with -EKEYEXPIRED when only the time is wrong and else -EPERM.
 * caveat_set_check(): do all of them? Attestations do not count there.
 */
enum caveat_verdict caveat_check(const struct caveat *c, const struct caveat_access *a,
                                 struct err *why);
enum caveat_verdict caveat_set_check(const struct caveat_set *set, const struct caveat_access *a,
                                     struct err *why);

/*
 * The id of the organisation that the set is about: of the first Organization caveat that names
 * one. False when none does.
 */
bool caveat_set_org(const struct caveat_set *set, uint64_t *ret_id);

/* {"type":"Apps","body":{"apps":{"17":"r"}}} as flyctl has it; unknown bodies as hexadecimal. */
void caveat_put_json(struct buf *out, const struct caveat *c);

/* "rwcdC", "*" or "" to and from a mask. -EINVAL for any other letter. */
#define CAVEAT_MASK_TEXT_MAX 8
int caveat_mask_parse(struct str text, uint16_t *ret);
void caveat_mask_format(uint16_t mask, char *dst); /* CAVEAT_MASK_TEXT_MAX bytes */
