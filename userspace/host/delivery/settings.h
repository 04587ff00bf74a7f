/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What is made of a destination's settings: texts copied, headers put together, rules compiled, the
 * token read. Immutable but for the token, and counted by its holders, so that a reload never pulls
 * it from under a request.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/host/delivery/destination_conf.h"
#include "userspace/wire/http_client.h"

struct settings {
	_Atomic uint32_t n_holders;
	struct arena texts;
	const char *url;
	const char **headers; /* without the token; NULL-terminated */
	size_t n_headers;
	struct http_tls tls;
	struct relabel *rules; /* NULL: none */
	enum destination_protocol protocol;
	enum destination_compression compression;
	int64_t timeout_ms, backoff_min_ms, backoff_max_ms, live_ms;
	int64_t catch_up_samples; /* a second */
	uint32_t shards, request_samples_max;

	const char *token_file, *token_type; /* file "" = none */
	pthread_mutex_t token_lock;
	struct token_state {
		dev_t dev;
		ino_t ino;
		off_t bytes;
		struct timespec changed;
	} token_seen;
	char *authorization; /* a whole header, under the lock */
};

/* -EINVAL with @e when the token's file is no good, when a rule is not, or -ENOMEM. */
int settings_new(struct settings **ret, const struct destination_conf *conf, struct err *e);
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s); /* NULL is fine */

/*
 * settings_authorization() - the header with the token, read again when its file has changed.
 *
 * Replaces the content of @out: "" without a token. A file that has become bad keeps the token from
 * before; returns what is wrong with it then, else 0.
 */
int settings_authorization(struct settings *s, struct buf *out, struct err *e);

/* Wipes a buffer that held a secret. */
void settings_forget(struct buf *b);
