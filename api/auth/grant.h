/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What a request may do, once its token is known. Everything a handler needs to stay within the
 * token's reach is here; nothing else of a token travels further.
 */

#include <stdbool.h>
#include <stddef.h>

#include "userspace/base/str.h"

enum scope { /* bits: what a token is for */
	SCOPE_READ = 1,
	SCOPE_WRITE = 2, /* into the organisation of the path */
	SCOPE_ADMIN = 4, /* delete; with every organisation also: look into the process */
	SCOPE_HOST = 8,  /* write for any organisation, named by the label __org__ */
};

/* What a route asks for; all but OPEN and OPERATOR are about one organisation. */
enum need {
	NEED_NOTHING, /* answered to anybody */
	NEED_READ,
	NEED_WRITE, /* SCOPE_HOST will do, too */
	NEED_ADMIN,
	NEED_OPERATOR, /* SCOPE_ADMIN over every organisation */
};

struct grant {
	struct str org; /* empty = every organisation */
	bool hosts;     /* series may name their organisation themselves */
	bool some_apps; /* only series whose label app is one of @apps */
	const struct str *apps;
	size_t n_apps;
	struct str who; /* name of the token, for logs; empty without tokens */
};

#define GRANT_APP_LABEL "app"
