/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs inside a guest of the rig: reads what the guest's own /proc says, has the machine paused at
 * that very moment, and prints it when it goes on.
 *
 *	observe          prints
 *	observe pause    pauses the machine between reading and printing, by QEMU's pvpanic device
 *
 * Reading must change as little as possible of what is read: all files are open, all buffers are
 * there and were written to before, and everything is read once in vain. What moves by itself,
 * disk and CPU time, is read last. When the machine goes on, everything is read once more
 * ("== after NAME"): what was read from outside must be in between, even of what never stands
 * still.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES   65536
#define MOUNTS_MAX   32
#define PAUSE_PORT   0x505 /* of pvpanic */
#define PAUSE_BYTE   1
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct file {
	const char *name, *path;
	int fd;
	ssize_t len[2];
	char text[2][FILE_BYTES];
} files[] = {
	{ .name = "net", .path = "/proc/net/dev" },
	{ .name = "files", .path = "/proc/sys/fs/file-nr" },
	{ .name = "vmstat", .path = "/proc/vmstat" },
	{ .name = "pressure", .path = "/proc/pressure/memory" }, /* not every kernel has it */
	{ .name = "meminfo", .path = "/proc/meminfo" },
	{ .name = "loadavg", .path = "/proc/loadavg" },
	{ .name = "uptime", .path = "/proc/uptime" },
	{ .name = "diskstats", .path = "/proc/diskstats" },
	{ .name = "stat", .path = "/proc/stat" },
};

static struct mount {
	char path[256];
	struct statfs s[2];
} mounts[MOUNTS_MAX];
static size_t n_mounts;
static struct timespec now;

static int fail(const char *what)
{
	fprintf(stderr, "observe: %s: %s\n", what, strerror(errno));
	return 1;
}

/*
 * Filesystems on disks, and overlays, by the guest's own list; not directories of them that are
 * mounted again. A line: "36 35 98:0 /root /point options - type device ...".
 */
static int find_mounts(void)
{
	char root[256], path[256], rest[512], type[64], device[256];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	if (!f)
		return fail("/proc/self/mountinfo");
	while (n_mounts < MOUNTS_MAX &&
	       fscanf(f, "%*s %*s %*s %255s %255s %511[^\n]", root, path, rest) == 3) {
		const char *dash = strstr(rest, " - ");

		if (!dash || sscanf(dash, " - %63s %255s", type, device) != 2)
			continue;
		if (strcmp(type, "overlay") != 0 &&
		    (strncmp(device, "/dev/vd", 7) != 0 || strcmp(root, "/") != 0))
			continue;
		(void)snprintf(mounts[n_mounts++].path, sizeof(path), "%s", path);
	}
	(void)fclose(f);
	return 0;
}

static int open_files(void)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		files[i].fd = open(files[i].path, O_RDONLY | O_CLOEXEC);
		if (files[i].fd < 0 && errno != ENOENT && errno != EOPNOTSUPP)
			return fail(files[i].path);
	}
	return 0;
}

static void read_file(struct file *f, int round)
{
	ssize_t n = 1, len = 0;

	while (f->fd >= 0 && n > 0 && len < FILE_BYTES) {
		n = pread(f->fd, f->text[round] + len, (size_t)(FILE_BYTES - len), len);
		len += n > 0 ? n : 0;
	}
	f->len[round] = len;
}

/* Round 0 is before the pause, round 1 after it. */
static void read_all(int round)
{
	for (size_t i = 0; i < n_mounts; i++)
		(void)statfs(mounts[i].path, &mounts[i].s[round]);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		read_file(&files[i], round);
	if (round == 0)
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
}

static void print_all(int round)
{
	const char *after = round == 1 ? "after " : "";

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (files[i].fd >= 0)
			printf("== %s%s\n%.*s", after, files[i].name, (int)files[i].len[round],
			       files[i].text[round]);
	}
	printf("== %sstatfs\n", after);
	for (size_t i = 0; i < n_mounts; i++) {
		const struct statfs *s = &mounts[i].s[round];

		printf("%s %ld %lu %lu %lu\n", mounts[i].path, (long)s->f_bsize,
		       (unsigned long)s->f_blocks, (unsigned long)s->f_bfree,
		       (unsigned long)s->f_bavail);
	}
}

int main(int argc, char **argv)
{
	int pause_too = argc > 1 && strcmp(argv[1], "pause") == 0;

	if (pause_too && ioperm(PAUSE_PORT, 1, 1) < 0)
		return fail("I/O port");
	if (mlockall(MCL_CURRENT) < 0)
		return fail("mlockall");
	if (find_mounts() != 0 || open_files() != 0)
		return 1;
	read_all(1);
	read_all(0);
	read_all(0);
	if (pause_too)
		outb(PAUSE_BYTE, PAUSE_PORT);
	read_all(1);
	print_all(0);
	printf("== clock\n%lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
	print_all(1);
	return fflush(stdout) == 0 ? 0 : 1;
}
