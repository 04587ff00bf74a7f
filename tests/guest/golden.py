#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The golden test: what is read of a guest from outside is what the guest's own /proc says, field by field.

    tests/guest/golden.py [--kernel NAME]... [--only CASE]... [--rounds N]

Every kernel boots every machine below. A program in the guest reads all files into memory and has the
machine paused at that moment; what is read from outside then must be the same, or, of what never stands
still, between that and a second reading behind the pause. A field that is neither fails the test, and so
does a kernel of which less than 99.8 % are equal.

The table of results is left in build/guest-tests/golden.md.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import machine  # first: it finds scripts/lib
import rig

EQUAL_MIN = 0.998
LA57_OFF = "max,cx16=off,la57=off"
CASES = {  # options of machine.Machine, and "load": what goes on meanwhile
    "pc, 5 levels": {"machine": "pc"},
    "microvm, 1 vCPU": {"vcpus": 1},
    "microvm, ELF, no KASLR, 4 levels": {"elf": True, "words": "nokaslr", "cpu": LA57_OFF},
    "pc, 4 levels, PTI": {"machine": "pc", "cpu": LA57_OFF, "words": "pti=on"},
    "pc, 4 levels, no KASLR, 1 vCPU": {"machine": "pc", "cpu": LA57_OFF, "words": "nokaslr", "vcpus": 1},
    "pc, 5 GiB": {"machine": "pc", "memory_mib": 5120},
    "pc, 5 GiB, 4 levels, PTI": {"machine": "pc", "memory_mib": 5120, "cpu": LA57_OFF, "words": "pti=on"},
    "microvm, 5 GiB": {"memory_mib": 5120},
    "pc, ELF, no KASLR, 1 vCPU": {"machine": "pc", "elf": True, "words": "nokaslr", "vcpus": 1},
    "pc, ticks always": {"machine": "pc", "words": "nohz=off"},
    "microvm, disk requests in flight": {"load": "in_flight"},
    "pc, swap in use": {"machine": "pc", "load": "swap"},
    "microvm, after an OOM kill": {"load": "oom"},
    "microvm, btrfs": {"load": "btrfs"},
}
SET_UP = (
    "mkdir -p /ext4 /xfs /sub /over && mount -t ext4 /dev/vda /ext4 && "
    "modprobe xfs && mount -t xfs /dev/vdb /xfs && modprobe overlay && mkdir /ext4/upper /ext4/work /xfs/lower && "
    "mount -t overlay -o lowerdir=/xfs/lower,upperdir=/ext4/upper,workdir=/ext4/work over /over && "
    "mkdir /xfs/sub && mount --bind /xfs/sub /sub && "  # a directory mounted again: not to be listed
    "dd if=/dev/zero of=/ext4/a bs=100k count=30 2>/dev/null && dd if=/dev/zero of=/xfs/b bs=64k count=40 "
    "2>/dev/null && rm /ext4/a && ifconfig eth0 10.0.2.15 && ping -c 2 -W 2 10.0.2.2 >/dev/null && "
    "ifconfig dummy0 10.9.9.1 && ping -c 1 -W 1 10.9.9.2 >/dev/null; ls /over")
STIR = "sleep 0.3; dd if=/dev/zero of=/ext4/c bs=4k count=20 2>/dev/null; ls -R /xfs >/dev/null; ping -c 1 -W 1 10.0.2.2 >/dev/null"


def disks_for(scratch):
    """vda ext4, vdb xfs, vdc with a partition, vdd swap space, vde btrfs; vdc is slow: requests queue up."""
    made = [(machine.make_disk(scratch / f"{kind}.img", kind, mib), "") for kind, mib in
            (("ext4", 64), ("xfs", 320), ("partitioned", 64), ("swap", 256), ("btrfs", 256))]
    made[2] = (made[2][0], "iops=30")
    return made


def begin_load(guest, load):
    if load == "in_flight":
        guest.sh("for i in 1 2 3 4 5 6 7 8; do dd if=/dev/vdc of=/dev/null bs=4k iflag=direct skip=$((i*500)) "
                 ">/dev/null 2>&1 & done; dd if=/dev/zero of=/dev/vdc1 bs=4k count=500 >/dev/null 2>&1 &")
    elif load == "swap":
        guest.sh("swapon /dev/vdd && mkdir /big && mount -t tmpfs -o size=600m tmpfs /big && "
                 "dd if=/dev/zero of=/big/x bs=1M count=480", 120)
    elif load == "btrfs":  # its module measures the processor when it is loaded, which takes long
        guest.sh("mkdir /btrfs && modprobe btrfs && mount -t btrfs /dev/vde /btrfs && "
                 "dd if=/dev/zero of=/btrfs/x bs=64k count=100 && sync && rm /btrfs/x", 240)
    elif load == "oom":
        guest.sh("echo 1 >/proc/sys/vm/overcommit_memory; dd if=/dev/zero of=/dev/null bs=900M count=1; "
                 "test $? -eq 137", 120)


def run_case(kernel, case, options, rounds):
    """[(equal, moved, [differences])] of one machine."""
    options = dict(options)
    load = options.pop("load", None)
    name = f"{kernel.name}-{list(CASES).index(case):02}"
    with rig.Stack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="periscope-golden.")))
        guest = machine.Machine(stack, kernel, disks=disks_for(scratch), name=name, **options).wait_ready()
        guest.sh(SET_UP)
        begin_load(guest, load)
        results = []
        for i in range(rounds):
            guest.sh(STIR)
            image, said = (machine.LOGS / f"{name}-{i}.{kind}" for kind in ("image", "said"))
            results.append(guest.compare(image, said))
            if not any(line.startswith("DIFFERS") for line in results[-1][2]):
                image.unlink()  # nothing to be looked at: periscope guest dump --image --verify
                said.unlink()
        return results


def try_case(kernel, case, options, rounds):
    """QEMU's emulation sometimes hangs in a guest's boot, long before anything of ours matters."""
    for attempt in range(3):
        try:
            return run_case(kernel, case, options, rounds)
        except rig.RigError as error:
            if attempt == 2 or "waited" not in str(error):
                raise
            print(f"    again: {error}")
    return None


class Tally:
    def __init__(self):
        self.equal = self.moved = self.differ = 0
        self.rows = []

    def add(self, kernel, case, results, seconds):
        lines = [line for _, _, more in results for line in more]
        equal, moved = sum(r[0] for r in results), sum(r[1] for r in results)
        differ = sum(line.startswith("DIFFERS") for line in lines)
        self.equal, self.moved, self.differ = self.equal + equal, self.moved + moved, self.differ + differ
        self.rows.append((kernel.release(), case, equal, moved, differ))
        print(f"  {kernel.name}, {case}: {equal} equal, {moved} moved meanwhile, {differ} differ ({seconds:.0f} s)",
              flush=True)
        for line in lines:
            print(f"      {line}")

    def share(self):
        return self.equal / max(1, self.equal + self.moved + self.differ)

    def good(self):
        return self.differ == 0 and self.share() >= EQUAL_MIN


def write_table(tallies):
    lines = ["| kernel | machine | fields equal | moved between two readings | differ |", "|---|---|---|---|---|"]
    for tally in tallies:
        lines += ["| " + " | ".join(map(str, row)) + " |" for row in tally.rows]
    (machine.LOGS / "golden.md").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", action="append", help="one of scripts/guest kernels; default: all")
    parser.add_argument("--only", action="append", help="cases whose name contains this; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    machine.skip_unless_possible()
    names = options.kernel or sorted(subprocess.run([rig.TOP / "scripts/guest", "kernels"], check=True, text=True,
                                                    stdout=subprocess.PIPE).stdout.split())
    tallies = []
    for name in names:
        tallies.append(tally := Tally())
        kernel = machine.Kernel(name)
        for case, how in CASES.items():
            if not options.only or any(part in case for part in options.only):
                start = time.monotonic()
                tally.add(kernel, case, try_case(kernel, case, how, options.rounds), time.monotonic() - start)
        print(f"{kernel.release()}: {tally.share():.3%} of {tally.equal + tally.moved + tally.differ} fields equal, "
              f"{tally.moved} moved meanwhile, {tally.differ} differ: {'ok' if tally.good() else 'FAILED'}", flush=True)
    write_table(tallies)
    return 0 if all(tally.good() for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
