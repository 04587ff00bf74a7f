/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The arguments of a request: URL query and form body decoded into pairs, and the readers of the
 * few kinds of value that the API knows (times, durations, whole numbers, label names).
 *
 * Untrusted  Everything here comes from the network. Escapes are checked, the number of pairs is
 *            bounded, and every reader takes the whole value or refuses it with a sentence.
 * Order      Pairs of the form stand before those of the URL, so that of a repeated name the
 *            form's value is the first one, as in Go's Request.Form.
 * Missing    An argument with an empty value is the same as no argument.
 * Threads    Pure functions over an arena of the request.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/arena.h"
#include "userspace/base/err.h"
#include "userspace/base/str.h"

#define PARAMS_MAX 4096u

struct param {
	struct str name, value;
	bool from_url;
};

struct params {
	const struct param *v;
	size_t n;
};

/*
 * params_parse() - decodes @form and @url (each application/x-www-form-urlencoded) into @arena.
 * -EINVAL with @e (a broken escape, too many pairs), -ENOSPC or -ENOMEM of the arena.
 */
int params_parse(struct str url, struct str form, struct arena *arena, struct params *ret,
                 struct err *e);

/* First non-empty value of @name, or an empty slice. */
struct str params_get(const struct params *p, const char *name);

/*
 * params_next() - iterates over the non-empty values of @name: *@i is 0 before the first call.
 * Returns false at the end.
 */
bool params_next(const struct params *p, const char *name, size_t *i, struct str *ret);

/* Is there a non-empty value of @name in the URL itself? */
bool params_in_url(const struct params *p, const char *name);

/*
 * Readers of one argument; when it is missing they give @fallback. -EINVAL with @e naming the
 * argument and what was expected.
 */
int params_time_ms(const struct params *p, const char *name, int64_t now_ms, int64_t fallback_ms,
                   int64_t *ret_ms, struct err *e);
int params_duration_ms(const struct params *p, const char *name, int64_t fallback_ms,
                       int64_t *ret_ms, struct err *e);
int params_int(const struct params *p, const char *name, int64_t fallback, int64_t *ret,
               struct err *e);
/* 1, t, true, yes, y, on in any case are true; 0, f, false, no, n, off are false. */
int params_bool(const struct params *p, const char *name, bool *ret, struct err *e);

#define PARAMS_TIME_MS_MAX     (INT64_MAX / 1000000)        /* the year 2262 */
#define PARAMS_DURATION_MS_MAX (100ll * 365 * 86400 * 1000) /* 100 years */

/*
 * params_parse_time_ms() - every way to say when:
 *   1700000000  1700000000.123  1.7e9   Unix seconds, ms, us or ns, told apart by magnitude
 *   2023  2023-11  2023-11-14  2023-11-14T22  …T22:13  …T22:13:20[.123]
 *                                       with Z or +hh:mm, else in the server's zone
 *   now  now-5m  -5m  5m                relative, always into the past
 * A bare number of four digits is a year. The result is within [0, PARAMS_TIME_MS_MAX]: a relative
 * time beyond the ends is moved to the nearer one, so are the two texts with which Prometheus'
 * clients say "ever". -EINVAL for anything else.
 */
int params_parse_time_ms(struct str text, int64_t now_ms, int64_t *ret_ms);

/* Seconds ("15", "0.5", "1e3") or a duration ("1h30m"): 1 ms to 100 years, else -EINVAL. */
int params_parse_duration_ms(struct str text, int64_t *ret_ms);

/*
 * params_label_name() - the NAME of /api/v1/label/NAME/values, which may be in the U__ form
 * (U__a_2e_b is a.b, U__a__b is a_b). -EINVAL for a broken escape, -ENOMEM.
 */
int params_label_name(struct str text, struct arena *arena, struct str *ret);

/* %XX and + decoded into @arena. -EINVAL, -ENOSPC, -ENOMEM. */
int params_unescape(struct str text, bool plus_is_space, struct arena *arena, struct str *ret);
