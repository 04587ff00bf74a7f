/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What a monitor's command line (and Firecracker's configuration file) says about its VM: name,
 * size, network interfaces and disks in the order in which the guest counts them.
 *
 * The bytes are untrusted: a VM's owner may choose names and paths. Everything is bounded, what
 * does not fit or is not understood is left out; there is no wrong command line, only one that
 * says little.
 *
 * Guest names are what a Linux guest calls them: virtio disks vda, vdb, …; SCSI, IDE and USB disks
 * sda, …; NVMe nvme0n1, …; interfaces eth0, … in order.
 *
 * Source: qemu(1); Firecracker's swagger/firecracker.yaml; cloud-hypervisor --help.
 */

#include <stdint.h>

#include "userspace/base/str.h"
#include "userspace/host/vm.h"

struct shape_nic {
	char ifname[16]; /* "" = not said */
	int fd;          /* of an open tap, in the monitor; -1 = not said */
	bool is_tap;     /* false: user-mode network and the like; it only takes an eth number */
};

struct shape_disk {
	char path[256]; /* as the monitor sees it; "" = no file of this host */
	char guest_name[VM_DEVICE_CAP];
};

struct vm_shape {
	char name[VM_LABEL_CAP]; /* "" = not said */
	char config_file[256];   /* Firecracker --config-file, as the monitor sees it */
	uint32_t n_vcpus, n_iothreads, n_nics, n_disks;
	uint64_t memory_bytes;
	struct shape_nic nics[VM_TAPS_MAX];
	struct shape_disk disks[VM_DISKS_MAX];
};

/* @args: NUL-terminated, one behind the other, as in /proc/PID/cmdline. 0 or -ENOMEM. */
int cmdline_parse(enum vmm_kind kind, struct str args, struct vm_shape *ret);

/* Firecracker's configuration file, over what the command line said. 0, -EBADMSG: not JSON. */
int cmdline_firecracker_config(struct str json, struct vm_shape *shape);

/* vda, vdb, …, vdz, vdaa: @prefix and @index in letters. */
void cmdline_disk_name(const char *prefix, uint32_t index, char dst[VM_DEVICE_CAP]);
