/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The running kernel takes every BPF object of the tree, whether a test of its own drives it or
 * not: all of $O/bpf/ are loaded, with all of their programs.
 */
#include "tests/bpf/bpf_test.h"

#include <errno.h>
#include <glob.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static int on_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vprintf(format, args) : 0;
}

/* Does the kernel take fentry at all? Some are built without; the others must take ours. */
static bool kernel_has_fentry(void)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY);
	int id = libbpf_find_vmlinux_btf_id("do_exit", BPF_TRACE_FENTRY);
	int fd;

	if (id < 0)
		return false;
	opts.attach_btf_id = (__u32)id;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "probe", "GPL", nothing, ARRAY_SIZE(nothing),
	                   &opts);
	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

static void load(const char *path, bool with_fentry)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_program *prog;
	size_t n = 0;
	int r;

	if (!obj)
		fail_msg("%s: %s", path, strerror(errno));
	bpf_object__for_each_program(prog, obj)
	{
		bool loads =
			with_fentry || bpf_program__expected_attach_type(prog) != BPF_TRACE_FENTRY;

		(void)bpf_program__set_autoload(prog, loads);
		if (!loads)
			print_message("    %s: left out, the kernel has no fentry\n",
			              bpf_program__name(prog));
		n += loads;
	}
	r = bpf_object__load(obj);
	if (r < 0)
		fail_msg("%s: %s", path, strerror(-r));
	print_message("    %s: %zu programs\n", path, n);
	assert_true(n > 0);
	bpf_object__close(obj);
}

static void test_every_object_loads(void **state)
{
	const char *o = getenv("O");
	bool with_fentry = kernel_has_fentry();
	char pattern[256];
	glob_t found;

	(void)state;
	(void)snprintf(pattern, sizeof(pattern), "%s/bpf/*.bpf.o", o ? o : "build/release");
	if (glob(pattern, 0, NULL, &found) != 0)
		fail_msg("no object is %s", pattern);
	for (size_t i = 0; i < found.gl_pathc; i++)
		load(found.gl_pathv[i], with_fentry);
	globfree(&found);
}

/* Whoever has no capability cannot tell whether the kernel would take them. */
static void skip_unless_allowed(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "probe", 4, 4, 1, &opts);

	if (fd < 0)
		skip_test("the kernel allows no BPF here");
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_object_loads),
	};

	skip_unless_root();
	skip_unless_allowed();
	(void)libbpf_set_print(on_libbpf);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
