/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory as KVM has it: of a process that makes virtual machines without running them. */
#include "tests/bpf/bpf_test.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "userspace/base/err.h"
#include "userspace/host/kvm_slots.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static struct kvm_slots *open_slots(void)
{
	struct kvm_slots *k = NULL;
	struct err e = ERR_INIT;

	if (kvm_slots_open(&k, &e) < 0)
		skip_test(e.msg);
	return k;
}

static int new_machine(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (kvm < 0)
		skip_test("no /dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	(void)close(kvm);
	if (vm < 0)
		skip_test("KVM makes no virtual machine here");
	return vm;
}

static void *new_memory(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void set_slot(int vm, uint32_t number, uint64_t gpa, uint64_t bytes, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = number,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	assert_int_equal(0, ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
}

static uint32_t read_own(struct kvm_slots *k, struct mem_seg segs[MEM_SEGS_MAX])
{
	struct err e = ERR_INIT;
	uint32_t n = 99;

	if (kvm_slots_read(k, getpid(), segs, &n, &e) < 0)
		fail_msg("%s", e.msg);
	return n;
}

static void assert_seg(const struct mem_seg *seg, uint64_t gpa, uint64_t bytes, const void *hva)
{
	assert_true(seg->gpa == gpa);
	assert_true(seg->bytes == bytes);
	assert_true(seg->hva == (uintptr_t)hva);
}

static void test_slots_of_a_machine(void **state)
{
	struct kvm_slots *k = open_slots();
	struct mem_seg segs[MEM_SEGS_MAX];
	void *low = new_memory(3 * GIB), *high = new_memory(GIB), *rom = new_memory(MIB);
	int vm = new_machine();

	(void)state;
	assert_int_equal(0, read_own(k, segs)); /* no memory yet */
	set_slot(vm, 0, 0, 3 * GIB, low);
	assert_int_equal(1, read_own(k, segs));
	set_slot(vm, 7, 4 * GIB, GIB, high);
	set_slot(vm, 200, 4 * GIB - MIB, MIB, rom);
	assert_int_equal(3, read_own(k, segs));
	assert_seg(&segs[0], 0, 3 * GIB, low);
	assert_seg(&segs[1], 4 * GIB - MIB, MIB, rom);
	assert_seg(&segs[2], 4 * GIB, GIB, high);
	set_slot(vm, 7, 4 * GIB, 0, high); /* taken away */
	assert_int_equal(2, read_own(k, segs));
	(void)close(vm);
	assert_int_equal(0, read_own(k, segs));
	kvm_slots_close(k);
}

/* The largest are kept: a guest's memory is among them. */
static void test_many_slots(void **state)
{
	struct kvm_slots *k = open_slots();
	struct mem_seg segs[MEM_SEGS_MAX];
	void *low = new_memory(GIB), *small = new_memory(40 * MIB);
	int vm = new_machine();

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		set_slot(vm, i, 4 * GIB + i * MIB, MIB, (char *)small + i * MIB);
	set_slot(vm, 40, 0, GIB, low);
	assert_int_equal(MEM_SEGS_MAX, read_own(k, segs));
	assert_seg(&segs[0], 0, GIB, low);
	(void)close(vm);
	kvm_slots_close(k);
}

/* A file of that name is not what it says; and there are processes that are gone. */
static void test_no_machine(void **state)
{
	struct kvm_slots *k = open_slots();
	struct mem_seg segs[MEM_SEGS_MAX];
	struct err e = ERR_INIT;
	uint32_t n = 99;
	int fake = open("/tmp/kvm-vm", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fake >= 0);
	(void)unlink("/tmp/kvm-vm");
	assert_int_equal(0, read_own(k, segs));
	(void)close(fake);
	if (kvm_slots_read(k, 1 << 22, segs, &n, &e) == 0)
		assert_int_equal(0, n);
	kvm_slots_close(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots_of_a_machine),
		cmocka_unit_test(test_many_slots),
		cmocka_unit_test(test_no_machine),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
