/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From decoded requests to the store: every way in (remote write, text) ends here. A series comes
 * with its labels as the label fields of a remote write, whatever way it came, so that a series
 * that was seen before is found by those bytes alone.
 *
 * Organisation  Where the token may write for several, the label __org__ of a series says whose it
 *               is; elsewhere it may only repeat what is known already. It is stripped in any
 *               case. A series of an organisation that is not served is refused by itself, the
 *               others are stored. Without tokens a series without the label is the first
 *               organisation's.
 * Apps          A token for certain apps writes series whose label app is one of them.
 * Refusals      are counted by reason and the first one keeps its sentence; they do not keep good
 *               samples of the same request out.
 */

#include "api/region.h"
#include "userspace/base/sample.h"
#include "userspace/wire/rwproto.h"

struct intake {
	struct region *region;
	const struct request *req;
	struct str scope;           /* see struct store_resolver */
	uint64_t accepted, refused; /* samples */
	uint64_t empty;             /* plain NaNs: nothing to store, and that is no mistake */
	uint64_t too_fast;          /* of the refused ones: what a later try may store */
	uint64_t asked;             /* series whose bytes were not known */
	struct err first;           /* about the first refused series */
};

/* -ENOMEM, -ENOSPC of the request's arena. */
int intake_init(struct intake *in, struct region *region, struct request *req);

/*
 * intake_add() - stores @n series. 0 once all that was not refused is durable, or an error of
 * store_append_keyed().
 */
int intake_add(struct intake *in, const struct series_keyed *series, size_t n);

/* Keeps what the request says about its metrics; whose it is, is known as for a series. */
void intake_metadata(struct intake *in, const struct rw_metadata *v, size_t n);

/*
 * 204, or 400 with the first reason when something was refused, or 503 when some of it may be sent
 * again later: what is stored already is then sent twice, which changes nothing.
 */
int intake_reply(struct response *resp, const struct intake *in);

/* The store said no to the whole request: @r is of intake_init() or intake_add(). */
int intake_reply_error(struct response *resp, int r);
