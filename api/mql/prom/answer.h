/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The door to the PromQL dialect; see prom.h for what is behind it. */

#include "api/mql/eval.h"

/* Runs the tree of ev->q as PromQL. Nothing of it has been folded. Fills in type and series. */
int prom_run(struct eval *ev, const struct ast *a, struct mql_result *res);
