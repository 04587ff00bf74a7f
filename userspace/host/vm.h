/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A VM as the sources see it: who it is (labels), which process runs it, and which host objects
 * (threads, taps, block devices) are its. The registry (userspace/host/registry.h) makes and owns
 * these; sources borrow them between vm_added() and vm_gone().
 *
 * A VM never changes under a source: when its description changes, the registry announces vm_gone()
 * and vm_added() of a new struct with the same instance.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/sample.h"
#include "userspace/host/net_addr.h"

#define VM_TAPS_MAX    16
#define VM_DISKS_MAX   32
#define VM_VOLUMES_MAX 16
#define VM_VCPUS_MAX   256
#define VM_LABEL_CAP   128 /* bytes of app, region, …, NUL included */
#define VM_DEVICE_CAP  32
#define VM_PATH_CAP    256

#define VM_ADDRESSES_MAX 8
#define VM_HOSTNAMES_MAX 16
#define VM_HOSTNAME_CAP  254
#define VM_LISTENERS_MAX 8

#define VM_SCRAPES_MAX     8
#define VM_SCRAPE_PATH_CAP 256

enum vmm_kind {
	VMM_OTHER,
	VMM_FIRECRACKER,
	VMM_QEMU,
	VMM_CLOUD_HYPERVISOR,
	VMM_KINDS
};

struct vm_tap {
	char ifname[16];                /* on the host, in the VMM's network namespace */
	char guest_name[VM_DEVICE_CAP]; /* label device: eth0 */
};

struct vm_disk {
	dev_t dev;                      /* of the backing block device; 0 = a plain image file */
	ino_t ino;                      /* of the image file, when dev is 0 */
	char guest_name[VM_DEVICE_CAP]; /* label device: vdb */
	char path[256];
};

struct vm_volume {
	char id[VM_LABEL_CAP];
	dev_t dev; /* 0 = not there */
};

struct vm_vcpu {
	pid_t tid;
	uint16_t cpu_id; /* as the guest counts */
};

struct vm_scrape { /* an endpoint of the app's own metrics, at the VM's first address */
	uint16_t port;
	char path[VM_SCRAPE_PATH_CAP];
};

struct vm {
	uint64_t id; /* unique in this daemon's life, never reused */
	char org[64], app[VM_LABEL_CAP], region[VM_LABEL_CAP], host[8], instance[VM_LABEL_CAP];
	char process_group[VM_LABEL_CAP], cpu_class[32]; /* "" = not said */
	char kernel_profile[VM_LABEL_CAP];               /* "" = any */
	char console[VM_PATH_CAP];        /* file of what its console says; "" = not said */
	char monitor_socket[VM_PATH_CAP]; /* "" = not said */
	char main_process[16];            /* its app's process in the guest; "" = not said */
	enum vmm_kind vmm;
	bool kvm;              /* vCPUs run guest code through KVM; false = emulation (TCG) */
	pid_t pid;             /* of the VMM */
	uint64_t start_ticks;  /* /proc/PID/stat field 22: with pid, the identity of the process */
	uint32_t n_vcpus_spec; /* as described; 0 = not said */
	uint64_t memory_bytes; /* 0 = not said */
	struct vm_tap taps[VM_TAPS_MAX];
	struct vm_disk disks[VM_DISKS_MAX];
	struct vm_volume volumes[VM_VOLUMES_MAX];
	struct vm_vcpu vcpus[VM_VCPUS_MAX];
	uint32_t n_taps, n_disks, n_volumes, n_vcpus;
	/* What the proxies know it by: its own addresses, and names and listeners of its app. */
	struct net_addr addresses[VM_ADDRESSES_MAX];
	struct net_endpoint listeners[VM_LISTENERS_MAX];
	char hostnames[VM_HOSTNAMES_MAX][VM_HOSTNAME_CAP]; /* lower case; may begin with "*." */
	uint32_t n_addresses, n_listeners, n_hostnames;
	uint32_t soft_limit, hard_limit; /* of concurrency; 0 = none */
	struct vm_scrape scrapes[VM_SCRAPES_MAX];
	uint32_t n_scrapes;
};
