/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Logging of the programs (libraries return errors, they do not log): a constant message and typed
 * pairs, one logfmt line each:
 *
 *	log_warn("wal: segment is torn, replay stops here", U64("seg", seg), STRV("file", name));
 *	level=warn msg="wal: segment is torn, replay stops here" seg=42 file=00000042.wal
 *
 * Under systemd (JOURNAL_STREAM is set) a "<priority>" prefix tells journald the level. Each call
 * site is rate-limited: after LOG_BURST lines in 10 s it is silent until the 10 s are over, then
 * says how many were dropped. Never pass a token; never a whole query above debug.
 *
 * Threads: safe; one write(2) a line.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"

enum log_level {
	LOG_ERROR_LEVEL,
	LOG_WARN_LEVEL,
	LOG_INFO_LEVEL,
	LOG_DEBUG_LEVEL
};

struct log_pair {
	const char *key; /* [a-z_]+ */
	enum {
		LOG_U64,
		LOG_I64,
		LOG_DOUBLE,
		LOG_STR
	} type;
	union {
		uint64_t u;
		int64_t i;
		double d;
		struct str s;
	} v;
};

#define U64(k, x)  ((struct log_pair){ .key = (k), .type = LOG_U64, .v.u = (x) })
#define I64(k, x)  ((struct log_pair){ .key = (k), .type = LOG_I64, .v.i = (x) })
#define DBL(k, x)  ((struct log_pair){ .key = (k), .type = LOG_DOUBLE, .v.d = (x) })
#define STRS(k, x) ((struct log_pair){ .key = (k), .type = LOG_STR, .v.s = (x) })
#define STRV(k, x) STRS(k, str_from(x)) /* a C string, not NULL */

struct log_site {
	_Atomic uint64_t window_ns; /* start of the current 10 s */
	_Atomic uint32_t n;         /* lines wanted in it */
};

#define LOG_BURST 10

void log_set_level(enum log_level max);
void log_pin_level(enum log_level max); /* for good: log_set_level() changes nothing from here on */
int log_parse_level(const char *text, enum log_level *ret); /* error warn info debug; -EINVAL */
bool log_enabled(enum log_level level);
void log_line(struct log_site *site, enum log_level level, const char *msg,
              const struct log_pair *pairs, unsigned n);

#define LOG_AT(level, msg, ...)                                                       \
	do {                                                                          \
		static struct log_site _site;                                         \
		const struct log_pair _pairs[] = { __VA_ARGS__ __VA_OPT__(, ){ 0 } }; \
		if (log_enabled(level))                                               \
			log_line(&_site, level, msg, _pairs,                          \
			         (unsigned)(sizeof(_pairs) / sizeof(_pairs[0])) - 1); \
	} while (0)

#define log_error(msg, ...) LOG_AT(LOG_ERROR_LEVEL, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(msg, ...)  LOG_AT(LOG_WARN_LEVEL, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_info(msg, ...)  LOG_AT(LOG_INFO_LEVEL, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_debug(msg, ...) LOG_AT(LOG_DEBUG_LEVEL, msg __VA_OPT__(, ) __VA_ARGS__)
