/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host full of fake VMs (fake_host.h), to run programs beside. Makes the network namespace and
 * everything in it, writes a description of each VM, runs COMMAND in that namespace, and ends with
 * its exit code.
 *
 *	hosthold VMS SPEC-FOLDER COMMAND...
 */
#include "tests/bench/fake_host.h"

#include <sys/wait.h>

#include "userspace/base/num.h"

static void write_spec(const char *folder, int i, pid_t pid)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%014x.json", folder, (unsigned)i + 1);
	f = fopen(path, "we");
	if (!f)
		fake_die(path);
	(void)fprintf(
		f,
		"{\"org\": \"dev\", \"app\": \"app-%d\", \"instance\": \"%014x\", \"pid\": %d, "
		"\"vcpus\": %d, \"cpu_class\": \"shared\", "
		"\"taps\": [{\"ifname\": \"tap%d\", \"guest\": \"eth0\"}]}\n",
		i / 3, (unsigned)i + 1, pid, FAKE_VCPUS, i);
	if (fclose(f) != 0)
		fake_die(path);
}

int main(int argc, char **argv)
{
	uint64_t n = 0;
	int status = 0;
	pid_t command;

	if (argc < 4 || num_parse_u64(str_from(argv[1]), &n) < 0 || n < 1 || n > FAKE_VMS_MAX) {
		(void)fprintf(stderr, "usage: hosthold VMS SPEC-FOLDER COMMAND...\n");
		return 2;
	}
	fake_netns();
	fake_taps((int)n);
	for (int i = 0; i < (int)n; i++)
		write_spec(argv[2], i, fake_vm_start());
	command = fork();
	if (command == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execvp(argv[3], argv + 3);
		fake_die(argv[3]);
	}
	if (command < 0 || waitpid(command, &status, 0) != command)
		fake_die(argv[3]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
