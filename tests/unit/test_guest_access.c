/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that must not be touched carelessly: holes of shared memory, which reading fills, and
 * pages that somebody else has to bring, for which reading waits.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "userspace/base/clock.h"
#include "userspace/host/guest/guest.h"
#include "userspace/host/guest/layout.h"
#include "userspace/host/guest_guard.h"

#define PAGES 64u
#define BYTES (PAGES * MEM_PAGE_BYTES)

static struct mem_seg seg_at(const void *p)
{
	return (struct mem_seg){ 0, BYTES, (uintptr_t)p };
}

static bool reads(struct mem *m, struct mem_cache *cache, uint64_t gpa, uint8_t want)
{
	mem_begin(m, cache);
	uint8_t got = *mem_at(m, gpa, 1);
	bool there = !mem_failed(m);

	mem_end(m);
	assert_true(!there || got == want);
	return there;
}

static off_t blocks_of(int fd)
{
	struct stat st;

	assert_int_equal(0, fstat(fd, &st));
	return st.st_blocks;
}

static void test_holes_of_shared_memory(void **state)
{
	struct mem_cache *cache = calloc(1, sizeof(*cache));
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct mem careful, careless;
	struct mem_seg seg;
	uint8_t *ram;
	off_t before;

	(void)state;
	assert_non_null(cache);
	assert_int_equal(0, ftruncate(fd, BYTES));
	ram = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(ram != MAP_FAILED);
	seg = seg_at(ram);
	ram[5 * MEM_PAGE_BYTES] = 55;
	ram[6 * MEM_PAGE_BYTES] = 66;
	before = blocks_of(fd);
	assert_int_equal(0, mem_open_process(&careful, getpid(), &seg, 1, true));
	for (uint32_t i = 0; i < PAGES; i++)
		assert_int_equal(i == 5 || i == 6,
		                 reads(&careful, cache, i * MEM_PAGE_BYTES, (uint8_t)(i * 11)));
	/* And all of them at once, by what is remembered. */
	mem_begin(&careful, cache);
	assert_int_equal(66, *mem_at(&careful, 6 * MEM_PAGE_BYTES, 1));
	assert_false(mem_failed(&careful));
	mem_end(&careful);
	mem_close(&careful);
	assert_int_equal(before, blocks_of(fd));
	/* What would have happened. */
	assert_int_equal(0, mem_open_process(&careless, getpid(), &seg, 1, false));
	assert_true(reads(&careless, cache, 9 * MEM_PAGE_BYTES, 0));
	mem_close(&careless);
	assert_true(blocks_of(fd) > before);
	assert_int_equal(0, munmap(ram, BYTES));
	(void)close(fd);
	free(cache);
}

/* A descriptor that must bring the pages of @ram and never does; -1 when that is not allowed. */
static int bring_nothing(uint8_t *ram)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register all = { .range = { (uintptr_t)ram, BYTES },
		                       .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	assert_int_equal(0, ioctl(fd, UFFDIO_API, &api));
	assert_int_equal(0, ioctl(fd, UFFDIO_REGISTER, &all));
	return fd;
}

static void test_pages_that_do_not_come(void **state)
{
	struct mem_cache *cache = calloc(1, sizeof(*cache));
	uint8_t *ram =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mem_seg seg = seg_at(ram);
	uint64_t start_ns;
	struct mem m;
	int fd;

	(void)state;
	assert_non_null(cache);
	assert_true(ram != MAP_FAILED);
	ram[3 * MEM_PAGE_BYTES] = 33;
	fd = bring_nothing(ram);
	if (fd < 0) {
		print_message("    no userfaultfd here: %s\n", strerror(errno));
		free(cache);
		skip();
	}
	assert_int_equal(0, mem_open_process(&m, getpid(), &seg, 1, true));
	start_ns = clock_mono_ns();
	assert_true(reads(&m, cache, 3 * MEM_PAGE_BYTES, 33));
	assert_false(reads(&m, cache, 4 * MEM_PAGE_BYTES, 0));
	assert_true(clock_mono_ns() - start_ns < 5000000000u);
	mem_close(&m);
	(void)close(fd);
	assert_int_equal(0, munmap(ram, BYTES));
	free(cache);
}

/* ---- the watchdog --------------------------------------------------------------------------- */

/*
 * Memory whose reads hang until they are let go. No kernel is in it, so that a sample of a guest
 * whose kernel was there ends with -ESTALE.
 */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hangs;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

static void set_gate(bool hangs)
{
	pthread_mutex_lock(&gate.lock);
	gate.hangs = hangs;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static uint32_t gated_read(void *ctx, struct mem_piece *pieces, uint32_t n)
{
	(void)ctx;
	pthread_mutex_lock(&gate.lock);
	while (gate.hangs)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	for (uint32_t i = 0; i < n; i++) {
		memset(pieces[i].dst, 0, pieces[i].bytes);
		pieces[i].done = true;
	}
	return 1;
}

static const struct mem_ops gated_ops = { .read = gated_read };

static struct guest *gated_guest(const struct profile *p)
{
	const struct mem_seg seg = { 0, (uint64_t)4 << 30, MEM_PAGE_BYTES };
	struct mem m;
	struct guest *g;

	assert_int_equal(0, mem_open(&m, &gated_ops, NULL, &seg, 1));
	assert_int_equal(0, guest_for_tests(&g, p, &m));
	return g;
}

static void test_watchdog(void **state)
{
	static const struct profile profile = { .banner = "Linux version 6.1.0 (x)" };
	struct guest_sample *s = calloc(1, sizeof(*s));
	struct guest_guard *guard;
	struct guest *good;

	(void)state;
	assert_non_null(s);
	assert_int_equal(0, guest_guard_new(&guard));
	set_gate(false);
	good = gated_guest(&profile);
	assert_int_equal(-ESTALE, guest_guard_sample(guard, good, NULL, ~0u, 1, s));
	/* So many may hang; each costs the time of one wait. */
	set_gate(true);
	for (uint32_t i = 0; i < GUEST_GUARD_HUNG_MAX; i++) {
		uint64_t start_ns = clock_mono_ns();
		struct guest *g = gated_guest(&profile);

		assert_int_equal(i, guest_guard_n_hung(guard));
		assert_int_equal(-ETIMEDOUT, guest_guard_sample(guard, g, NULL, ~0u, 1, s));
		assert_true(clock_mono_ns() - start_ns >= GUEST_GUARD_WAIT_MS * 1000000ull);
	}
	assert_int_equal(-EBUSY, guest_guard_sample(guard, good, NULL, ~0u, 1, s));
	/* They come back, are cleared away, and all is as before. */
	set_gate(false);
	while (guest_guard_n_hung(guard) > 0)
		(void)usleep(1000);
	assert_int_equal(-ESTALE, guest_guard_sample(guard, good, NULL, ~0u, 1, s));
	guest_detach(good);
	guest_guard_free(guard);
	free(s);
}

/* ---- what is known of memory ---------------------------------------------------------------- */

static void test_smaps(void **state)
{
	static const struct mem_seg segs[] = { { 0, 0x2000, 0x7f0000001000 },
		                               { 0x100000000, 0x1000, 0x7f0000010000 } };
	static const struct {
		const char *text;
		bool shared, blocks, unknown;
	} rows[] = {
		{ "", false, false, true },
		{ "7f0000000000-7f0000004000 rw-p 00000000 00:00 0 \nVmFlags: rd wr mr \n"
		  "7f0000010000-7f0000011000 rw-p 00000000 00:00 0 \nVmFlags: rd wr \n",
		  false, false, false },
		{ "7f0000000000-7f0000004000 rw-s 00000000 00:01 7 /memfd:ram\nVmFlags: rd sh \n"
		  "7f0000010000-7f0000011000 rw-p 00000000 00:00 0 \nVmFlags: rd wr um \n",
		  true, true, false },
		{ "7f0000000000-7f0000004000 rw-p 00000000 00:00 0 \nVmFlags: rd wr umx\n"
		  "7f0000020000-7f0000021000 rw-s 00000000 00:00 0 \nVmFlags: um\n",
		  false, false, true },
		{ "VmFlags: um\n7f0000000000-7f0000020000 rw-p\nVmFlags: um", false, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str text = unit_strdup(str_from(rows[i].text));
		struct layout_access a = layout_access_of_smaps(text, segs, ARRAY_SIZE(segs));

		unit_note("%zu", i);
		assert_int_equal(rows[i].shared, a.shared);
		assert_int_equal(rows[i].blocks, a.blocks);
		assert_int_equal(rows[i].unknown, a.unknown);
		free((void *)(uintptr_t)text.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holes_of_shared_memory),
		cmocka_unit_test(test_pages_that_do_not_come),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_smaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
