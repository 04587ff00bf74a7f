/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of device-mapper and of lvs: whatever they hold, what is taken from them makes sense. */
#include <stdlib.h>
#include <string.h>

#include "userspace/volumes/lvm_tags.h"
#include "userspace/volumes/thin_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct str text = { (const char *)data, bytes };
	struct thin_pool_status pool;
	struct thin_status thin;
	struct lvm_tags tags = { 0 };
	uint64_t sectors;

	(void)thin_status_parse(text, &thin);
	if (thin_pool_status_parse(text, &pool) == 0 &&
	    (pool.meta_used > pool.meta_total || pool.data_used > pool.data_total))
		abort();
	if (thin_pool_table_parse(text, &sectors) == 0 && sectors == 0)
		abort();
	if (lvm_tags_parse(&tags, text) < 0)
		abort();
	for (size_t i = 0; i < tags.n; i++) {
		char uuid[sizeof(tags.rows[0].uuid) + 8] = "LVM-";

		memcpy(uuid + 4, tags.rows[i].uuid, sizeof(tags.rows[0].uuid));
		if (strlen(tags.rows[i].uuid) != 64 || !lvm_tags_find(&tags, uuid))
			abort();
	}
	lvm_tags_done(&tags);
	return 0;
}
