/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Snapshots; the functions for everybody are in store/store.h. */

struct store;

/* Removes what a crash has left of one; at the start. */
void snapshots_clean(struct store *s);
