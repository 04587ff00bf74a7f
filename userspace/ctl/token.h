/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What the commands about tokens share. Tokens are read from standard input, never from the command
 * line, which every user of the machine can see; docs/access.md says what they are.
 */

#include "userspace/ctl/command.h"
#include "userspace/wire/macaroon.h"

/* Restrictions that are added to a FlyV1 token; each member is an option's text or NULL. */
struct token_limits {
	const char *org_id, *mask, *expires, *action;
	struct opt_strings app_ids;
};

#define TOKEN_LIMIT_ROWS(type, into)                                                          \
	OPT_ROW(type, "organisation-id", "N", STRING, into.org_id, "only that organisation"), \
		OPT_ROW(type, "app-id", "N", STRINGS, into.app_ids,                           \
	                "only that app; may be given several times"),                         \
		OPT_ROW(type, "mask", "LETTERS", STRING, into.mask,                           \
	                "what may be done there: r, w, c, d, C or *; default r"),             \
		OPT_ROW(type, "action", "LETTERS", STRING, into.action,                       \
	                "what may be done at all"),                                           \
		OPT_ROW(type, "expires", "TIME", STRING, into.expires,                        \
	                "for how long it is valid, like 30d; default for ever")

/* Adds a caveat for each restriction. -EINVAL with @e and others of macaroon_attenuate(). */
int token_restrict(struct macaroon *m, const struct token_limits *limits, struct arena *arena,
                   struct err *e);

/*
 * Standard input as one header value: scheme words in front and the end of the line are taken off.
 * -EINVAL with @e: nothing, or more than MACAROON_HEADER_BYTES_MAX.
 */
int token_read(struct arena *arena, struct str *ret, struct err *e);

/* The next token of a header, moved over; false at the end. */
bool token_next(struct str *header, struct str *ret);

/* Text into a macaroon. -EBADMSG with @e. */
int token_parse(struct str text, struct arena *arena, struct macaroon *ret, struct err *e);

/* The key in a key file: base64 of at least 16 bytes, in @arena. */
int token_read_key(const char *path, struct arena *arena, struct str *ret, struct err *e);
