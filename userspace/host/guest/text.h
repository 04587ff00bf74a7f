/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A sample as the text that the guest's own /proc would give, for people and for the tests that
 * compare the two. Each part begins with a line "== name".
 */

#include "userspace/base/buf.h"
#include "userspace/host/guest/guest.h"

void guest_text_write(const struct guest_sample *s, struct buf *out);
