#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The tests of the two programs that know processes by number, once more in a PID namespace of their own.
set -eu
programs=${O:-build/release}/tests/bpf
if ! unshare --pid --fork --mount-proc true 2>/dev/null; then
	echo "SKIP: no PID namespace can be made here (root?)"
	exit 77
fi
for name in test_vm_life test_vm_task; do
	unshare --pid --fork --mount-proc "$programs/$name"
done
