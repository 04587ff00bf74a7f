/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What periscope-host asks periscope-host-volumes, over a Unix socket of kind SOCK_SEQPACKET: one
 * request, and for it one or more answers, the last of which says so. Both ends are on one machine
 * and from one build, so numbers are as the CPU has them; what does not fit is told by the magic
 * number and the length.
 */

#include <stdint.h>

#define VOLUMES_SOCKET      "/run/periscope-volumes/socket"
#define VOLUMES_MAGIC       0x31565350u /* "PSV1" */
#define VOLUMES_RECORDS_MAX 64u         /* of one answer */
#define VOLUMES_ALL_MAX     65536u      /* of all answers to one request */
#define VOLUMES_NAME_CAP    128

enum volumes_kind {
	VOLUMES_THIN = 1,
	VOLUMES_POOL
};

struct volumes_request {
	uint32_t magic, seq;
};

/* Texts end with a NUL; "" = not known. */
struct volumes_record {
	uint32_t kind;   /* enum volumes_kind */
	uint32_t failed; /* the kernel gave up on it: no use is known */
	uint64_t dev;    /* dev_t */
	uint64_t size_bytes, used_bytes;
	uint64_t meta_bytes, meta_used_bytes; /* of a pool */
	char name[VOLUMES_NAME_CAP];          /* of the device-mapper device */
	/* From tags of the logical volume. */
	char volume[VOLUMES_NAME_CAP], org[64], app[VOLUMES_NAME_CAP];
};

struct volumes_answer {
	uint32_t magic, seq; /* seq of the request */
	uint32_t n_records, is_last;
	int32_t error; /* a negative errno, and why; then there are no records */
	uint32_t pad;
	char why[128];
	struct volumes_record records[VOLUMES_RECORDS_MAX];
};
