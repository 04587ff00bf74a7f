/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A VM as the orchestrator describes it: one JSON file, vms.d/<instance>.json. docs/vm-spec.md is
 * the normative text, tests/unit/test_spec.c pins it.
 *
 * Strict   An unknown or repeated field, a wrong type, a value out of range or too long is an error
 *          that names the field ("taps[1].ifname: longer than 15 bytes"); nothing is half-taken.
 * Bounded  SPEC_BYTES_MAX, and a count limit for every list. The bytes are untrusted.
 */

#include <stdint.h>

#include "userspace/base/err.h"
#include "userspace/base/str.h"
#include "userspace/host/net_addr.h"
#include "userspace/host/vm.h"

#define SPEC_BYTES_MAX     ((size_t)64 << 10)
#define SPEC_VOLUMES_MAX   VM_VOLUMES_MAX
#define SPEC_METRICS_MAX   VM_SCRAPES_MAX
#define SPEC_PROCESSES_MAX 8
#define SPEC_PATH_CAP      VM_SCRAPE_PATH_CAP

/* Fields that were left out and have a default are filled in: guest, path of a scrape. */
struct spec_tap {
	char ifname[16], guest[VM_DEVICE_CAP];
};

struct spec_disk {
	char path[SPEC_PATH_CAP], guest[VM_DEVICE_CAP];
};

struct spec_volume {
	char id[VM_LABEL_CAP], device[SPEC_PATH_CAP];
};

struct spec_metrics { /* a custom scrape: [metrics] of the app's configuration */
	uint64_t port;
	char path[SPEC_PATH_CAP];
	char processes[SPEC_PROCESSES_MAX][VM_LABEL_CAP];
	uint32_t n_processes; /* 0 = every process group */
};

struct vm_spec {
	char org[64], app[VM_LABEL_CAP], instance[VM_LABEL_CAP];
	char region[VM_LABEL_CAP]; /* "" = the host's */
	char process_group[VM_LABEL_CAP], cpu_class[32], kernel_profile[VM_LABEL_CAP];
	char kind[32];                      /* "" or "postgres" */
	uint64_t pid;                       /* 0 = not said */
	char pid_file[SPEC_PATH_CAP];       /* "" = not said; so are all texts */
	char console[SPEC_PATH_CAP];        /* file of what the guest's console says */
	char monitor_socket[SPEC_PATH_CAP]; /* QMP of QEMU, API of Firecracker */
	char main_process[16];              /* of the guest, as its kernel calls it */
	char cgroup[SPEC_PATH_CAP];         /* folder of the VM's cgroup */
	uint64_t vcpus, memory_bytes;       /* 0 = not said */
	struct spec_tap taps[VM_TAPS_MAX];
	struct spec_disk disks[VM_DISKS_MAX];
	struct spec_volume volumes[SPEC_VOLUMES_MAX];
	struct spec_metrics metrics[SPEC_METRICS_MAX];
	char addresses[VM_ADDRESSES_MAX][NET_ENDPOINT_TEXT_CAP]; /* of the VM: net_addr_parse() */
	char hostnames[VM_HOSTNAMES_MAX][VM_HOSTNAME_CAP];       /* of the app at the edge */
	char listeners[VM_LISTENERS_MAX]
		      [NET_ENDPOINT_TEXT_CAP]; /* of the app: net_endpoint_parse() */
	uint64_t soft_limit, hard_limit;       /* of concurrency */
	uint32_t n_taps, n_disks, n_volumes, n_metrics, n_addresses, n_hostnames, n_listeners;
};

/*
 * spec_parse() - @text into *@ret.
 *
 * Unused bytes of *@ret are zero, so two equal descriptions compare equal by memcmp().
 * Returns 0, or leaves *@ret alone and returns -EINVAL with @e (field and fault), or -ENOMEM.
 */
int spec_parse(struct str text, struct vm_spec *ret, struct err *e);

/*
 * spec_load() - the file @name ("<instance>.json") in the folder @dirfd.
 *
 * Also -EINVAL when it is no regular file, above SPEC_BYTES_MAX, or named otherwise than its
 * instance; -ENOENT when it is gone. @e names the file.
 */
int spec_load(int dirfd, const char *name, struct vm_spec *ret, struct err *e);

/* A file of ours: ends in ".json", does not begin with a dot (a writer's temporary may). */
bool spec_is_name(const char *name);

/* A hostname as a description may have it: NULL, or what was expected instead. */
const char *spec_hostname_fault(const char *text);
