#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What reading guests costs: many processes with the memory of a real guest, sampled in turn (crowd.c).

    tests/guest/bench.py [--processes N] [--sweeps N]

Boots a guest for the image when there is none yet, and fails when 1,000 guests every 15 s would take more than
1.5 % of a CPU. The figures are left in build/guest-tests/bench.json.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import golden  # first: it finds scripts/lib
import machine
import rig

CPU_PCT_MAX = 1.5  # of one, for 1,000 guests every 15 s


def ensure_image(kernel):
    image = machine.LOGS / "bench.image"
    if not image.exists():
        with rig.Stack() as stack:
            scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="periscope-bench.")))
            guest = machine.Machine(stack, kernel, disks=golden.disks_for(scratch), name="bench").wait_ready()
            guest.sh(golden.SET_UP)
            guest.qmp.command("stop")
            machine.run_periscope("guest", "dump", "--profiles", kernel.profiles, "--save", image, guest.pid)
    return image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--sweeps", type=int, default=5)
    options = parser.parse_args()
    machine.skip_unless_possible()
    kernel = machine.Kernel("debian12-cloud")
    profile, = kernel.profiles.glob("*.profile")
    done = subprocess.run([machine.CROWD, profile, ensure_image(kernel), str(options.processes), str(options.sweeps)],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return 1
    result = json.loads(done.stdout)
    (machine.LOGS / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    share = result["cpu_pct_every_15s"] * 1000 / options.processes
    print(f"{options.processes} guests: {result['us_per_sample']} us of CPU time a sample (best sweep "
          f"{result['us_per_sample_best']}), {result['calls_per_sample']} system call, {result['pages_per_sample']} pages, "
          f"{result['bytes_per_sample'] // 1024} KiB\n1,000 guests every 15 s: {share:.2f} % of a CPU "
          f"(at most {CPU_PCT_MAX} %): {'ok' if share <= CPU_PCT_MAX else 'FAILED'}")
    return 0 if share <= CPU_PCT_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
