# SPDX-License-Identifier: BSD-2-Clause
"""Guests of all shapes for the tests of the guest's own view: any of the kernels of scripts/guest, any
machine, disks with every filesystem; with QEMU's monitor, so that a test can pause them.

They need no root and no tap: their network is QEMU's own. Reading their memory takes what ptrace takes.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/lib"))
# pylint: disable=wrong-import-position
import periscope  # noqa: E402
import rig  # noqa: E402

PERISCOPE = periscope.BUILD / "periscope"
OBSERVE = periscope.BUILD / "tests/guest/observe"
WATCH, CROWD = (periscope.BUILD / f"tests/guest/{name}" for name in ("watch", "crowd"))
LIAR = rig.TOP / "build/address+undefined/tests/guest/liar"  # with sanitizers, whatever the others are
LOGS = rig.TOP / "build/guest-tests"
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs",
         "mkfs.btrfs": "btrfs-progs", "mkswap": "util-linux", "busybox": "busybox-static"}


def missing():
    lacks = [f"{tool} (apt-get install {package})" for tool, package in TOOLS.items() if not shutil.which(tool)]
    return lacks + [f"{path} (make)" for path in (PERISCOPE, OBSERVE, WATCH, CROWD) if not path.exists()]


def run_periscope(*arguments, check=True):
    done = subprocess.run([PERISCOPE, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    if check and done.returncode != 0:
        raise rig.RigError(f"periscope {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done


class Kernel:
    """A kernel to boot, and the folder with its profile."""

    def __init__(self, name):
        self.name = name
        self.folder = rig.ensure_kernel(name, OBSERVE)
        self.profiles = periscope.ensure_profiles(self.folder)
        self.image, self.initrd = self.folder / "vmlinuz", self.folder / "initrd"

    def release(self):
        text = next(self.profiles.glob("*.profile")).read_text()
        return re.search(r"^release (.*)$", text, re.MULTILINE)[1]

    def elf(self):
        """The unpacked image, which QEMU boots directly by its PVH entry, as Firecracker does."""
        path = self.folder / "vmlinux"
        if not path.exists():
            run_periscope("guest", "profile", "--quiet", "--vmlinux", path, "--output", "/dev/null", self.image)
        return path


def make_disk(path, kind, mib):
    """A sparse file with a filesystem of that kind, swap space, a partition table, or nothing on it."""
    with open(path, "wb") as file:
        file.truncate(mib << 20)
    if kind == "swap":
        rig.run("mkswap", str(path))
    elif kind == "partitioned":
        entry = bytes([0, 0, 2, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (8192).to_bytes(4, "little")
        with open(path, "r+b") as file:
            file.seek(446)
            file.write(entry + bytes(48) + b"\x55\xaa")
    elif kind != "raw":
        rig.run(f"mkfs.{kind}", *(["-q", "-F"] if kind == "ext4" else ["-q"]), str(path))
    return path


class Machine:
    """One running guest. Leaves nothing behind when the stack is closed.

    Without cmpxchg16b: QEMU 7.2 now and then emulates it wrong, and a kernel 6.12, which uses it in every
    allocation, then crashes.
    """

    count = 0

    def __init__(self, stack, kernel, *, machine="microvm", cpu="max,cx16=off", vcpus=2, memory_mib=512, words="",
                 elf=False, disks=(), name="guest", devices=()):
        """@disks: (file, further options of -drive), in the guest's order; @devices: further arguments."""
        Machine.count += 1
        self.kernel, self.pc = kernel, machine == "pc"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="periscope-guest."))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{name}.console"
        self.log.write_bytes(b"")
        self.console = self.qmp = None
        bus = "pci" if self.pc else "device"
        argv = [
            "qemu-system-x86_64", "-M", machine, "-nodefaults", "-no-user-config", "-display", "none",
            "-action", "panic=pause", "-no-reboot", "-accel", "tcg,thread=multi", "-cpu", cpu,
            "-smp", vcpus, "-m", memory_mib, "-name", f"{name},debug-threads=on",
            "-kernel", kernel.elf() if elf else kernel.image, "-initrd", kernel.initrd,
            "-append", f"{rig.kernel_words('tcg')} {words}",
            "-chardev", f"socket,id=con,path={self.folder}/con,server=on,wait=off,logfile={self.log}",
            "-serial", "chardev:con", "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
            "-device", "pvpanic", "-netdev", "user,id=net", "-device", f"virtio-net-{bus},netdev=net",
        ]
        for i, (path, options) in enumerate(disks):
            argv += ["-drive", f"if=none,id=d{i},file={path},format=raw{options and ','}{options}",
                     "-device", f"virtio-blk-{bus},drive=d{i}"]
        self.process = rig.Process(name, [*argv, *devices], LOGS / f"{name}.qemu")
        stack.callback(self.close)

    @property
    def pid(self):
        """setpriv execs QEMU: one process."""
        return self.process.pid

    def wait_ready(self, seconds=300):
        def ready():
            if not self.process.running():
                raise rig.RigError(f"QEMU ended: {self.process.log().strip()}")
            return b"rig: ready" in self.log.read_bytes()
        rig.wait_for(f"the guest's console (see {self.log})", seconds, ready)
        self.console, self.qmp = rig.Console(self.folder / "con"), rig.Qmp(self.folder / "qmp")
        return self

    def sh(self, command, seconds=180):
        return self.console.sh(command, seconds)

    def compare(self, image, said):
        """Has the guest read its own files and pauses it at that moment; what is read of it from outside
        then is compared. Leaves both readings in the two files; returns (equal, moved, [differences])."""
        answer = {}
        reader = threading.Thread(target=lambda: answer.update(text=self.sh("observe pause")))
        reader.start()
        self.qmp.wait("STOP")
        saved = run_periscope("guest", "dump", "--profiles", self.kernel.profiles, "--save", image, self.pid,
                              check=False)
        self.qmp.command("cont")
        reader.join()
        if saved.returncode != 0:
            raise rig.RigError(f"the paused guest was not read: {saved.stderr.strip()}")
        said.write_text(answer["text"])
        return verify(self.kernel, image, said)

    def close(self):
        for thing in (self.console, self.qmp):
            if thing:
                thing.close()
        self.process.popen.kill()
        self.process.popen.wait()


def verify(kernel, image, said):
    done = run_periscope("guest", "dump", "--profiles", kernel.profiles, "--image", image, "--verify", said,
                         check=False)
    last = re.search(r"^\d+ fields: (\d+) equal, (\d+) moved meanwhile, (\d+) differ$", done.stdout, re.MULTILINE)
    if not last:
        raise rig.RigError(f"periscope guest dump --verify: {done.stdout}{done.stderr}")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("DIFFERS", "moved"))]
    return int(last[1]), int(last[2]), lines


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def skip_unless_possible():
    """77 with a reason where this machine cannot boot guests."""
    if lacks := missing():
        print("SKIP: missing " + "; ".join(lacks))
        sys.exit(77)
    if os.geteuid() != 0:
        print("SKIP: reading a guest's memory needs root")
        sys.exit(77)
