/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/volumes/thin_status.h"

#include <errno.h>

#include "userspace/base/num.h"

static struct str next_word(struct str *line)
{
	struct str word;

	(void)str_cut(str_trim(*line), ' ', &word, line);
	return word;
}

static bool is_failure(struct str line)
{
	line = str_trim(line);
	return str_eqc(line, "Fail") || str_eqc(line, "Error");
}

int thin_status_parse(struct str line, struct thin_status *ret)
{
	struct thin_status s = { .failed = is_failure(line) };
	struct str mapped = next_word(&line), highest = next_word(&line);
	uint64_t sector;

	/* A device that the pool has not opened yet has a lone "-". */
	if (!s.failed && !(str_eqc(mapped, "-") && highest.len == 0)) {
		if (num_parse_u64(mapped, &s.mapped_sectors) < 0 ||
		    (!str_eqc(highest, "-") && num_parse_u64(highest, &sector) < 0))
			return -EBADMSG;
	}
	*ret = s;
	return 0;
}

static int parse_pair(struct str word, uint64_t *ret_used, uint64_t *ret_total)
{
	struct str used, total;

	if (!str_cut(word, '/', &used, &total) || num_parse_u64(used, ret_used) < 0 ||
	    num_parse_u64(total, ret_total) < 0 || *ret_used > *ret_total)
		return -EBADMSG;
	return 0;
}

int thin_pool_status_parse(struct str line, struct thin_pool_status *ret)
{
	struct thin_pool_status s = { .failed = is_failure(line) };
	uint64_t transaction;

	if (!s.failed && (num_parse_u64(next_word(&line), &transaction) < 0 ||
	                  parse_pair(next_word(&line), &s.meta_used, &s.meta_total) < 0 ||
	                  parse_pair(next_word(&line), &s.data_used, &s.data_total) < 0))
		return -EBADMSG;
	*ret = s;
	return 0;
}

int thin_pool_table_parse(struct str line, uint64_t *ret_block_sectors)
{
	uint64_t sectors;

	(void)next_word(&line);
	(void)next_word(&line);
	if (num_parse_u64(next_word(&line), &sectors) < 0 || sectors == 0 || sectors > UINT32_MAX)
		return -EBADMSG;
	*ret_block_sectors = sectors;
	return 0;
}
