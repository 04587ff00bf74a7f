/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Profiles of guest kernels: made of images in every packing and layout of symbols, written, read
 * again; what is damaged, mistyped or out of range is refused by name.
 */
#include "tests/unit/fake_kernel.h"

#include <errno.h>
#include <sys/stat.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/file.h"
#include "userspace/host/guest/profile_build.h"
#include "userspace/host/guest/profile_dir.h"
#include "userspace/host/guest/rules.h"

DEFINE_CLEANUP(struct profile_dir *, profile_dir_free);

#define AT(n) (FAKE_DATA + (n)*64u)

static const struct fake_symbol symbols[] = {
	{ "_text", FAKE_TEXT },
	{ "_end", FAKE_END },
	{ "linux_banner", FAKE_RODATA },
	{ "__start_notes", FAKE_NOTES },
	{ "__stop_notes", FAKE_NOTES + 64 },
	{ "phys_base", AT(1) },
	{ "page_offset_base", AT(2) },
	{ "init_top_pgt", AT(64) },
	{ "__per_cpu_offset", AT(3) },
	{ "__cpu_possible_mask", AT(4) },
	{ "__cpu_online_mask", AT(5) },
	{ "avenrun", AT(6) },
	{ "kernel_cpustat", FAKE_PERCPU },
	{ "timekeeper_data", AT(7) }, /* the second of two names */
	{ "tick_nohz_active", AT(8) },
	{ "tick_nohz_active", AT(9) }, /* ambiguous */
	{ "vm_zone_stat", AT(10) },
	{ "vm_zone_stat", AT(10) }, /* twice the same is not */
};

/* Types: a few structs in all the shapes that rows ask for. */
static void make_types(struct buf *ret)
{
	struct btf *b = btf__new_empty();
	int u64 = btf__add_int(b, "unsigned long", 8, 0),
	    u32 = btf__add_int(b, "unsigned int", 4, 0);
	int words = btf__add_array(b, u32, u64, 4), inner, outer, nodes;
	__u32 bytes;

	fake_struct(b, "cpumask", 32);
	fake_field(b, "bits", words, 0);
	fake_struct(b, "zone", 1536);
	fake_field(b, "_watermark", words, 0);
	fake_field(b, "watermark_boost", u32, 32); /* expected: 8 bytes */
	fake_struct(b, "tick_sched", 160);
	fake_field(b, "idle_sleeptime", u64, 0);
	assert_int_equal(0, btf__add_field(b, "idle_active", u32, 72 * 8 + 34, 1));
	inner = btf__add_struct(b, "tk_read_base", 56);
	fake_field(b, "xtime_nsec", u64, 32);
	fake_field(b, "shift", u32, 28);
	fake_struct(b, "timekeeper", 240);
	fake_field(b, "padding", u64, 0);
	fake_field(b, "tkr_mono", inner, 8);
	/* A member of an unnamed union in an unnamed struct, behind a typedef. */
	inner = btf__add_union(b, NULL, 16);
	fake_field(b, "inuse_pages", u64, 0);
	outer = btf__add_struct(b, NULL, 32);
	fake_field(b, NULL, inner, 16);
	fake_struct(b, "swap_info_struct", 100);
	fake_field(b, NULL, outer, 8);
	nodes = btf__add_struct(b, NULL, 128);
	fake_field(b, "bits", words, 0);
	assert_true(btf__add_typedef(b, "nodemask_t", nodes) > 0);
	assert_true(btf__add_enum(b, "cpu_usage_stat", 4) > 0);
	assert_int_equal(0, btf__add_enum_value(b, "CPUTIME_USER", 0));
	assert_int_equal(0, btf__add_enum_value(b, "CPUTIME_IDLE", 5));
	const void *raw = btf__raw_data(b, &bytes);

	buf_put(ret, raw, bytes);
	btf__free(b);
}

static struct fake_kernel kernel_of(enum fake_layout layout, const struct buf *types)
{
	return (struct fake_kernel){ .layout = layout,
		                     .symbols = symbols,
		                     .n_symbols = ARRAY_SIZE(symbols),
		                     .btf = buf_str(types) };
}

static const char *write_file(const struct tempdir *dir, const char *name, const struct buf *b)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	assert_int_equal(0, file_replace(path, b->p, b->len, 0600));
	return path;
}

static int build_from(const char *path, struct profile *p, struct buf *notes, struct err *e)
{
	const struct profile_inputs in = { .kernel = path };

	*e = ERR_INIT;
	return profile_build(&in, p, notes, e);
}

static uint64_t symbol(const struct profile *p, enum profile_symbol s)
{
	assert_true(p->symbols_there[s]);
	return p->symbols[s];
}

static void assert_profile(const struct profile *p)
{
	assert_string_equal(FAKE_ID, p->build_id);
	assert_string_equal(FAKE_RELEASE, p->release);
	assert_string_equal(FAKE_BANNER, p->banner);
	assert_true(symbol(p, S_TEXT) == FAKE_TEXT);
	assert_true(symbol(p, S_END) == FAKE_END);
	assert_true(symbol(p, S_CPU_STAT) == FAKE_PERCPU);
	assert_true(symbol(p, S_TIMEKEEPER) == AT(7));
	assert_true(symbol(p, S_ZONE_STAT) == AT(10));
	assert_false(p->symbols_there[S_TICKLESS]);
	assert_false(p->symbols_there[S_JIFFIES]);
	assert_int_equal(8 + 32, p->fields[F_TK_MONO_FRACTION].offset);
	assert_int_equal(4, p->fields[F_TK_SHIFT].bytes);
	assert_int_equal(24, p->fields[F_SWAP_IN_USE].offset);
	assert_int_equal(72, p->fields[F_TICK_IDLE].offset);
	assert_int_equal(34, p->fields[F_TICK_IDLE].bit);
	assert_int_equal(1, p->fields[F_TICK_IDLE].bits);
	assert_false(p->fields[F_ZONE_BOOST].there);
	assert_int_equal(1536, p->values[V_ZONE_BYTES]);
	assert_int_equal(128, p->values[V_NODE_MASK_BYTES]);
	assert_int_equal(5, p->values[V_CPU_IDLE]);
	assert_true(profile_has(p, NEED_BASE));
	assert_true(profile_has(p, NEED_LOAD));
	assert_false(profile_has(p, NEED_CLOCK));
	assert_false(profile_has(p, NEED_MEMORY));
}

static void test_layouts_of_symbols(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf types = BUF_INIT;
	_cleanup_(buf_done) struct buf image = BUF_INIT;

	(void)state;
	make_types(&types);
	for (enum fake_layout l = FAKE_KALLSYMS_BEFORE; l <= FAKE_SYMTAB; l++) {
		_cleanup_(buf_done) struct buf notes = BUF_INIT;
		struct fake_kernel k = kernel_of(l, &types);
		struct profile p;
		struct err e;

		unit_note("layout %d", l);
		fake_kernel_make(&k, &image);
		if (build_from(write_file(&dir, "vmlinux", &image), &p, &notes, &e) < 0)
			fail_msg("%s", e.msg);
		assert_profile(&p);
		assert_non_null(strstr(buf_cstr(&notes), "zone.watermark_boost: of another size"));
		assert_non_null(strstr(buf_cstr(&notes), "JIFFIES jiffies_64: absent; clock"));
	}
}

static void test_system_map(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf types = BUF_INIT;
	_cleanup_(buf_done) struct buf image = BUF_INIT;
	_cleanup_(buf_done) struct buf map = BUF_INIT;
	_cleanup_(buf_done) struct buf notes = BUF_INIT;
	struct fake_kernel k;
	struct profile p;
	struct err e = ERR_INIT;
	char map_path[128], path[128];

	(void)state;
	make_types(&types);
	k = kernel_of(FAKE_NO_SYMBOLS, &types);
	fake_kernel_make(&k, &image);
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++)
		buf_printf(&map, "%016llx D %s\n", (unsigned long long)symbols[i].addr,
		           symbols[i].name);
	(void)snprintf(map_path, sizeof(map_path), "%s", write_file(&dir, "map", &map));
	(void)snprintf(path, sizeof(path), "%s", write_file(&dir, "vmlinux", &image));
	const struct profile_inputs in = { .kernel = path, .system_map = map_path };

	assert_int_equal(0, profile_build(&in, &p, &notes, &e));
	assert_profile(&p);
	buf_puts(&map, "ffffffff81000000 T\n");
	(void)write_file(&dir, "map", &map);
	assert_int_equal(-EINVAL, profile_build(&in, &p, &notes, &e));
	assert_non_null(strstr(e.msg, "map: line 19: expected address, type and name"));
}

/* ---- packings ------------------------------------------------------------------------------- */

static void pack_gzip(struct str in, struct buf *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.len };

	assert_int_equal(Z_OK, deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY));
	z.avail_out = (uInt)deflateBound(&z, in.len);
	z.next_out = buf_reserve(out, z.avail_out);
	assert_int_equal(Z_STREAM_END, deflate(&z, Z_FINISH));
	out->len += z.total_out;
	(void)deflateEnd(&z);
}

static void pack_xz(struct str in, struct buf *out)
{
	size_t cap = lzma_stream_buffer_bound(in.len);
	uint8_t *to = buf_reserve(out, cap);
	size_t n = 0;

	assert_int_equal(LZMA_OK,
	                 lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, (const uint8_t *)in.p,
	                                         in.len, to, &n, cap));
	out->len += n;
}

static void pack_zstd(struct str in, struct buf *out)
{
	size_t cap = ZSTD_compressBound(in.len);

	out->len += ZSTD_compress(buf_reserve(out, cap), cap, in.p, in.len, 1);
}

/* The legacy frame: blocks of 8 MiB, each with its packed length before it. */
static void pack_lz4(struct str in, struct buf *out)
{
	buf_put(out, "\x02\x21\x4c\x18", 4);
	while (in.len > 0) {
		int n = (int)MIN(in.len, (size_t)8 << 20), cap = LZ4_compressBound(n);
		char *to = buf_reserve(out, (size_t)cap + 4);
		uint32_t packed = (uint32_t)LZ4_compress_default(in.p, to + 4, n, cap);

		memcpy(to, &packed, sizeof(packed));
		out->len += packed + 4;
		in = str_skip(in, (size_t)n);
	}
}

/* The kernel's own build puts the unpacked size behind the payload. */
static void wrap_bzimage(const struct buf *payload, size_t unpacked, struct buf *out)
{
	uint32_t size = (uint32_t)unpacked, at = 100, len = (uint32_t)payload->len + 4;
	char *p;

	buf_printf(out, "%*s", 3 * 512 + (int)at, "");
	p = out->p;
	p[0x1f1] = 2; /* sectors of the setup code besides the first */
	memcpy(p + 0x202, "HdrS", 4);
	memcpy(p + 0x248, &at, 4);
	memcpy(p + 0x24c, &len, 4);
	buf_put(out, payload->p, payload->len);
	buf_put(out, &size, 4);
}

static void test_packings(void **state)
{
	static void (*const packers[])(struct str in, struct buf * out) = { pack_gzip, pack_xz,
		                                                            pack_zstd, pack_lz4 };
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf types = BUF_INIT;
	_cleanup_(buf_done) struct buf image = BUF_INIT;
	struct fake_kernel k;

	(void)state;
	make_types(&types);
	k = kernel_of(FAKE_KALLSYMS_BEHIND, &types);
	fake_kernel_make(&k, &image);
	for (size_t i = 0; i < ARRAY_SIZE(packers); i++) {
		_cleanup_(buf_done) struct buf packed = BUF_INIT;
		_cleanup_(buf_done) struct buf boot = BUF_INIT;
		_cleanup_(buf_done) struct buf notes = BUF_INIT;
		struct profile p;
		struct err e;

		unit_note("packing %zu", i);
		packers[i](buf_str(&image), &packed);
		assert_int_equal(0, build_from(write_file(&dir, "vmlinux.gz", &packed), &p, &notes,
		                               &e));
		wrap_bzimage(&packed, image.len, &boot);
		assert_int_equal(0, build_from(write_file(&dir, "bzImage", &boot), &p, &notes, &e));
		assert_profile(&p);
		/* Cut anywhere, it is damaged and says so; nothing else happens. */
		for (size_t cut = 1; cut < 8; cut++) {
			packed.len = packed.len * cut / 8;
			assert_true(build_from(write_file(&dir, "cut", &packed), &p, &notes, &e) <
			            0);
			assert_non_null(strstr(e.msg, "cut: "));
		}
	}
}

static void test_bad_images(void **state)
{
	static const struct {
		const char *what, *message;
		enum fake_layout layout;
		bool no_build_id, wrong_banner, not_x86, no_types;
	} rows[] = {
		/* clang-format off */
		{ "no symbols", "no symbol table (kallsyms) found", FAKE_NO_SYMBOLS, false, false, false, false },
		{ "symbols that lead nowhere", "no address leads to the kernel's banner", FAKE_KALLSYMS_BEFORE, false, true, false, false },
		{ "no banner", "no banner where its symbols say", FAKE_SYMTAB, false, true, false, false },
		{ "no build-id", "has no build-id", FAKE_SYMTAB, true, false, false, false },
		{ "another machine", "not for x86-64", FAKE_SYMTAB, false, false, true, false },
		{ "no types", "no BTF", FAKE_SYMTAB, false, false, false, true },
		/* clang-format on */
	};
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf types = BUF_INIT;
	_cleanup_(buf_done) struct buf image = BUF_INIT;
	_cleanup_(buf_done) struct buf notes = BUF_INIT;
	struct profile p;
	struct err e;

	(void)state;
	make_types(&types);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_kernel k = kernel_of(rows[i].layout, &types);

		unit_note("%s", rows[i].what);
		k.no_build_id = rows[i].no_build_id;
		k.wrong_banner = rows[i].wrong_banner;
		k.not_x86 = rows[i].not_x86;
		if (rows[i].no_types)
			k.btf = STR_NULL;
		fake_kernel_make(&k, &image);
		assert_true(build_from(write_file(&dir, "vmlinux", &image), &p, &notes, &e) < 0);
		if (!strstr(e.msg, rows[i].message))
			fail_msg("\"%s\" is not in \"%s\"", rows[i].message, e.msg);
	}
	buf_clear(&image);
	buf_puts(&image, "#!/bin/sh\n");
	assert_true(build_from(write_file(&dir, "script", &image), &p, &notes, &e) < 0);
	assert_non_null(strstr(e.msg, "script: neither a kernel image nor a kernel module"));
	assert_int_equal(-ENOENT, build_from("/nonexistent/vmlinux", &p, &notes, &e));
	assert_int_equal(-EINVAL, build_from(dir.path, &p, &notes, &e));
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Every row there, each with numbers of its own. */
static void make_profile(struct profile *p)
{
	*p = (struct profile){ .build_id = FAKE_ID,
		               .release = FAKE_RELEASE,
		               .banner = FAKE_BANNER };
	for (size_t i = 0; i < profile_n_rows; i++) {
		const struct profile_row *row = &profile_rows[i];

		if (row->kind == PROFILE_SYMBOL) {
			p->symbols[row->index] = FAKE_DATA + i * 8;
			p->symbols_there[row->index] = true;
		} else if (row->kind >= PROFILE_SIZE) {
			p->values[row->index] = (int64_t)i;
			p->values_there[row->index] = true;
		} else {
			struct profile_place *f = &p->fields[row->index];

			*f = (struct profile_place){ .offset = (uint32_t)i * 8, .there = true };
			f->bytes = row->kind == PROFILE_PLACE ? 0 : row->bytes ? row->bytes : 4;
			f->bit = row->kind == PROFILE_FLAG ? 3 : 0;
			f->bits = row->kind == PROFILE_FLAG ? 1 : 0;
		}
	}
	profile_finish(p);
}

static void test_round_trip(void **state)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct profile p, again;
	struct err e = ERR_INIT;

	(void)state;
	make_profile(&p);
	assert_int_equal((1u << NEEDS) - 1, p.features);
	profile_write(&p, &text);
	if (profile_read("t", buf_str(&text), &again, &e) < 0)
		fail_msg("%s", e.msg);
	assert_memory_equal(&p, &again, sizeof(p));
	/* Every prefix is a damaged file. */
	for (size_t n = 0; n < text.len; n++) {
		char *cut = unit_memdup(text.p, n);

		e = ERR_INIT;
		assert_int_equal(-EINVAL, profile_read("t", (struct str){ cut, n }, &again, &e));
		free(cut);
	}
}

/* @line in place of the one that begins like it, with a checksum that is right. */
static void edit(const struct buf *text, const char *old, const char *line, struct buf *out)
{
	const char *at = strstr(text->p, old), *end = strstr(text->p, "crc32c ");
	const char *rest = strchr(at, '\n') + 1;

	buf_clear(out);
	buf_put(out, text->p, (size_t)(at - text->p));
	buf_puts(out, line);
	buf_put(out, rest, (size_t)(end - rest));
	buf_printf(out, "crc32c %08x\n", crc32c(0, out->p, out->len));
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *old, *line, *message;
	} rows[] = {
		/* clang-format off */
		{ "periscope-guest-profile", "periscope-guest-profile 2\n", "t: does not begin with" },
		{ "build-id ", "build-id \n", "line 2: not as expected" },
		{ "build-id ", "", "t: has no build-id, release or banner" },
		{ "symbol TEXT ", "", "t: lacks symbol TEXT" },
		{ "symbol TEXT ", "symbol TEXT 0xff\n", "not as expected: symbol TEXT 0xff" },
		{ "symbol TEXT ", "symbol TEXT ff 1\n", "not as expected" },
		{ "symbol TEXT ", "symbol TEXT\n", "not as expected" },
		{ "field TK_SHIFT ", "field TK_SHIFT 8 8\n", "not as expected" },
		{ "field TK_SHIFT ", "field TK_SHIFT 8 3\n", "not as expected" },
		{ "field TK_SHIFT ", "field TK_SHIFT 1048576 4\n", "not as expected" },
		{ "field TK_SHIFT ", "field TK_SHIFT -8 4\n", "not as expected" },
		{ "flag TICK_IDLE ", "flag TICK_IDLE 8 4 32 1\n", "not as expected" },
		{ "flag TICK_IDLE ", "flag TICK_IDLE 8 4 31 2\n", "not as expected" },
		{ "flag TICK_IDLE ", "flag TICK_IDLE 8 4 3 0\n", "not as expected" },
		{ "flag TICK_IDLE ", "flag TICK_IDLE 8 4 3\n", "not as expected" },
		{ "place NODE_ZONES ", "place NODE_ZONES 8 4\n", "not as expected" },
		{ "size ZONE ", "size ZONE -1\n", "not as expected" },
		{ "size ZONE ", "size ZONE 99999999999\n", "not as expected" },
		/* clang-format on */
	};
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	_cleanup_(buf_done) struct buf bad = BUF_INIT;
	struct profile p, got;
	struct err e;

	(void)state;
	make_profile(&p);
	profile_write(&p, &text);
	(void)buf_cstr(&text);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].line);
		edit(&text, rows[i].old, rows[i].line, &bad);
		e = ERR_INIT;
		assert_int_equal(-EINVAL, profile_read("t", buf_str(&bad), &got, &e));
		if (!strstr(e.msg, rows[i].message))
			fail_msg("\"%s\" is not in \"%s\"", rows[i].message, e.msg);
	}
	/* What a newer tool adds is not our concern; what we miss, features miss. */
	edit(&text, "symbol LOAD ", "symbol OF_TOMORROW ff\n", &bad);
	assert_int_equal(0, profile_read("t", buf_str(&bad), &got, &e));
	assert_false(profile_has(&got, NEED_LOAD));
	assert_true(profile_has(&got, NEED_CPU));
}

static void test_versions(void **state)
{
	static const struct {
		const char *banner;
		uint32_t version;
	} rows[] = {
		{ "Linux version 6.1.0-56-cloud-amd64 (x) y", 6001 },
		{ "Linux version 6.12.95+deb12 (x)", 6012 },
		{ "Linux version 7.2", 7002 },
		{ "Linux version 5", 0 },
		{ "Linux version x.1", 0 },
		{ "BSD version 6.1", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(rows[i].version, rules_version(rows[i].banner));
}

/* ---- the folder ----------------------------------------------------------------------------- */

static void count_bad(void *ctx, const char *why)
{
	assert_non_null(strstr(why, ".profile"));
	++*(int *)ctx;
}

static void write_named(const struct tempdir *dir, const char *name, const char *release,
                        const char *build_id)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct profile p;

	make_profile(&p);
	(void)snprintf(p.release, sizeof(p.release), "%s", release);
	(void)snprintf(p.build_id, sizeof(p.build_id), "%s", build_id);
	profile_write(&p, &text);
	(void)write_file(dir, name, &text);
}

static size_t n_found(const struct profile_dir *d, const char *name)
{
	const struct profile *found[4];

	return profile_dir_find(d, name, found, ARRAY_SIZE(found));
}

static void test_folder(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(profile_dir_freep) struct profile_dir *d = NULL;
	const struct profile *held, *fresh;
	char path[128];
	int n_bad = 0;

	(void)state;
	assert_int_equal(0, profile_dir_new(&d, dir.path));
	assert_false(profile_dir_refresh(d, count_bad, &n_bad));
	write_named(&dir, "one.profile", "6.1", "aa");
	write_named(&dir, "two.profile", "6.12", "bb");
	write_named(&dir, ".hidden.profile", "6.12", "cc");
	write_named(&dir, "three.txt", "6.12", "dd");
	assert_true(profile_dir_refresh(d, count_bad, &n_bad));
	assert_false(profile_dir_refresh(d, count_bad, &n_bad));
	assert_int_equal(2, profile_dir_n(d));
	assert_int_equal(2, n_found(d, ""));
	assert_int_equal(1, n_found(d, "one"));
	assert_int_equal(1, n_found(d, "6.12"));
	assert_int_equal(1, n_found(d, "bb"));
	assert_int_equal(0, n_found(d, "on"));
	assert_int_equal(0, n_found(d, "one.profile"));
	assert_int_equal(1, profile_dir_find(d, "one", &held, 1));
	held = profile_ref(held);
	/* A bad file in its place counts once, and what was read before stays. */
	const struct buf junk = { .p = (char *)(uintptr_t) "junk", .len = 4 };

	(void)write_file(&dir, "one.profile", &junk);
	assert_false(profile_dir_refresh(d, count_bad, &n_bad));
	assert_false(profile_dir_refresh(d, count_bad, &n_bad));
	assert_int_equal(1, n_bad);
	assert_int_equal(1, n_found(d, "aa"));
	/* A good one replaces it; who holds the old one keeps it. */
	write_named(&dir, "one.profile", "6.2", "ee");
	assert_true(profile_dir_refresh(d, count_bad, &n_bad));
	assert_int_equal(0, n_found(d, "aa"));
	assert_int_equal(1, profile_dir_find(d, "ee", &fresh, 1));
	assert_ptr_not_equal(held, fresh);
	assert_string_equal("aa", held->build_id);
	(void)snprintf(path, sizeof(path), "%s/one.profile", dir.path);
	assert_int_equal(0, unlink(path));
	assert_false(profile_dir_refresh(d, count_bad, &n_bad));
	assert_int_equal(1, profile_dir_n(d));
	profile_unref(held);
	profile_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts_of_symbols), cmocka_unit_test(test_system_map),
		cmocka_unit_test(test_packings),           cmocka_unit_test(test_bad_images),
		cmocka_unit_test(test_round_trip),         cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_versions),           cmocka_unit_test(test_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
