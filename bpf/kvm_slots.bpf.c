/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where KVM has the memory of a virtual machine, in the address space of its monitor.
 *
 * Hook     none: an iterator over the open files of one process, which user space reads when a VM
 *          starts. The file of a virtual machine is an anonymous one that is called kvm-vm.
 * Races    a slot that is changed meanwhile may be missing or twice; user space checks what it
 *          gets against the guest itself.
 * Needs    Linux 5.17, where the slots are in a hash table, and KVM loaded: without its types the
 *          kernel refuses the program.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/kernel_types.h"
#include "bpf/kvm_slots.h"

#define ANONYMOUS_FILES 0x09041934 /* ANON_INODE_FS_MAGIC */
#define BUCKETS         128
#define CHAIN_MAX       16
#define PAGE_BYTES      4096

static bool is_virtual_machine(struct file *file)
{
	char name[8] = "";

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANONYMOUS_FILES)
		return false;
	if (bpf_probe_read_kernel_str(name, sizeof(name),
	                              BPF_CORE_READ(file, f_path.dentry, d_name.name)) != 7)
		return false;
	return name[0] == 'k' && name[1] == 'v' && name[2] == 'm' && name[3] == '-' &&
	       name[4] == 'v' && name[5] == 'm';
}

static void put_slot(struct seq_file *seq, struct kvm_memory_slot *slot)
{
	struct kvm_slot_rec rec = {
		.gpa = BPF_CORE_READ(slot, base_gfn) * PAGE_BYTES,
		.bytes = BPF_CORE_READ(slot, npages) * PAGE_BYTES,
		.hva = BPF_CORE_READ(slot, userspace_addr),
	};

	if (rec.bytes != 0 && rec.hva != 0)
		bpf_seq_write(seq, &rec, sizeof(rec));
}

static void put_chain(struct seq_file *seq, struct hlist_node *node, __u32 offset)
{
	for (__u32 i = 0; i < CHAIN_MAX && node; i++) {
		put_slot(seq, (void *)node - offset);
		node = BPF_CORE_READ(node, next);
	}
}

SEC("iter/task_file")
int kvm_slots(struct bpf_iter__task_file *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct file *file = ctx->file;
	struct kvm_memslots *slots;
	struct kvm *kvm;
	__u32 offset;

	if (!file || !is_virtual_machine(file))
		return 0;
	kvm = BPF_CORE_READ(file, private_data);
	slots = BPF_CORE_READ(kvm, memslots[0]);
	offset = bpf_core_field_offset(struct kvm_memory_slot, id_node) +
	         (BPF_CORE_READ(slots, node_idx) & 1) * bpf_core_type_size(struct hlist_node);
	for (__u32 i = 0; i < BUCKETS; i++) {
		struct hlist_head *head = (void *)slots +
		                          bpf_core_field_offset(struct kvm_memslots, id_hash) +
		                          i * bpf_core_type_size(struct hlist_head);

		put_chain(seq, BPF_CORE_READ(head, first), offset);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
