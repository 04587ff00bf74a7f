/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Status lines of the device-mapper targets "thin" and "thin-pool", as the kernel writes them
 * (Documentation/admin-guide/device-mapper/thin-provisioning.rst):
 *
 *	thin       MAPPED-SECTORS HIGHEST-MAPPED-SECTOR, "-" for none; or Fail, Error
 *	thin-pool  TRANSACTION USED/TOTAL-META-BLOCKS USED/TOTAL-DATA-BLOCKS …; or Fail, Error
 *
 * A metadata block has 4 KiB; a data block is as large as the pool's table says.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"

#define THIN_META_BLOCK_BYTES 4096u

struct thin_status {
	bool failed; /* the kernel gave up on it; the rest is 0 */
	uint64_t mapped_sectors;
};

struct thin_pool_status {
	bool failed;
	uint64_t meta_used, meta_total, data_used, data_total; /* blocks */
};

/* 0, or -EBADMSG when the line is in none of these forms. */
int thin_status_parse(struct str line, struct thin_status *ret);
int thin_pool_status_parse(struct str line, struct thin_pool_status *ret);

/* Sectors of a data block from a pool's table: META-DEVICE DATA-DEVICE SECTORS LOW-WATER … */
int thin_pool_table_parse(struct str line, uint64_t *ret_block_sectors);
