/* SPDX-License-Identifier: BSD-2-Clause */
/* timezone_offset() */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"
#include "api/mql/zone.h"

#include <errno.h>
#include <math.h>

#include "userspace/base/util.h"

static int timezone_offset(struct fn_args *a, struct series_set *ret)
{
	_cleanup_(zone_close) struct zone z = { .file = BUF_INIT };
	struct str name;
	int r = args_string(a, 0, &name);

	if (r < 0)
		return r;
	r = zone_open(&z, name);
	if (r == -ENOMEM)
		return err_set(a->ev->e, r, "out of memory");
	if (r < 0)
		return eval_fail(a->ev, a->call->call.args[0], "unknown time zone %.*s",
		                 (int)MIN(name.len, (size_t)60), name.p);
	r = eval_number(a->ev, a->g, NAN, ret);
	for (uint32_t k = 0; r == 0 && k < a->g->n; k++)
		ret->v[0].values[k] = zone_offset(&z, grid_ts(a->g, k) / 1000);
	return r;
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(timezone_offset, timezone_offset, 1, 1, FN_NO_SERIES, 0,
			 "Seconds that the time zone is ahead of UTC at each point."),
	/* clang-format on */
};

const struct fn_table fn_zone = { rows, ARRAY_SIZE(rows) };
