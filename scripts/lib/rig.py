# SPDX-License-Identifier: BSD-2-Clause
"""Real micro-VMs for the demo and the end-to-end tests: network, block device, QEMU.

Everything here is owned by processes or open files, not by names, so that even a killed rig leaves
nothing behind: the network namespace is held by its peer process, every process dies with its parent
(setpriv --pdeathsig), and a loop device is told to detach itself when QEMU closes it. An orderly end
goes through a Stack all the same; what takes one registers its close() before it acquires anything, so
that an interrupt cannot fall between the two.
"""
import base64
import contextlib
import ctypes
import functools
import json
import mmap
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
GUEST = TOP / "build/guest"
TOOLS = {  # what the rig runs: Debian package that has it
    "qemu-system-x86_64": "qemu-system-x86",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}


# Our programs are on loopback, and a proxy that the machine needs for its downloads is no way there.
for _name in ("no_proxy", "NO_PROXY"):
    os.environ[_name] = ",".join(filter(None, [os.environ.get(_name), "127.0.0.1", "localhost"]))


class RigError(Exception):
    """The rig could not be set up or the guest did not do as told; the text is for the user."""


def run(*argv, **kw):
    """Runs a short command and returns its output; a failure says which command and why."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, **kw)
    if done.returncode != 0:
        raise RigError(f"{' '.join(map(str, argv))}: {done.stderr.strip() or f'exit {done.returncode}'}")
    return done.stdout.strip()


def wait_for(what, seconds, probe, every=0.05):
    """Polls until probe() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        if value := probe():
            return value
        if time.monotonic() > end:
            raise RigError(f"waited {seconds} s in vain for {what}")
        time.sleep(every)


def has_device(path, module, minor):
    """Whether the kernel has that device, after what can be done for it: containers and small machines
    have a /dev of their own, or load nothing on demand."""
    if not os.path.exists(path):
        subprocess.run(["modprobe", "-q", module], check=False, stderr=subprocess.DEVNULL)
    with contextlib.suppress(OSError):
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(10, minor))
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        return True
    return False


def missing():
    """What this machine lacks to run the rig, as sentences; empty when nothing."""
    if os.geteuid() != 0:
        return ["root: taps, loop devices and BPF need it (run: sudo make demo)"]
    lacks = [f"{tool} (apt-get install {package})"
             for tool, package in TOOLS.items() if not shutil.which(tool)]
    for path, module, minor in (("/dev/net/tun", "tun", 200), ("/dev/loop-control", "loop", 237)):
        if not has_device(path, module, minor):
            lacks.append(f"{path} (modprobe {module}; in a container, give it the device)")
    return lacks


class Stack(contextlib.ExitStack):
    """Takes everything down in reverse order; a second Ctrl-C cannot stop it half-way."""

    def __exit__(self, *details):
        before = {number: signal.signal(number, signal.SIG_IGN)
                  for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            return super().__exit__(*details)
        finally:  # what is started later inherits what is ignored now, and could not be ended
            for number, handler in before.items():
                signal.signal(number, handler)


class Process:
    """A child that this rig started: in a session of its own, so that Ctrl-C reaches only us."""

    def __init__(self, name, argv, log, stdin=subprocess.DEVNULL, stdout=None):
        self.name = name
        self.log_path = log
        with open(log, "ab") as file:
            self.popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, argv)], stdin=stdin,
                stdout=stdout or file, stderr=file, start_new_session=True, cwd=TOP)
        self.pid = self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def wait(self, seconds=10):
        return self.popen.wait(seconds)

    def stop(self, seconds=20):
        """Asks, waits, insists; whatever the process started goes with it. Returns the exit status."""
        if self.running():
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        status = self.popen.wait()
        with contextlib.suppress(ProcessLookupError, RigError):  # none left: the usual case
            os.killpg(self.pid, signal.SIGKILL)
            wait_for("the rest of a session", 30, lambda: os.killpg(self.pid, 0), every=0.01)
        return status

    def log(self):
        return pathlib.Path(self.log_path).read_text(errors="replace")


class Network:
    """A network namespace with an echo server and one tap for each VM, 10.77.N.0/30."""

    def __init__(self, stack, logs):
        self.peer = Process("peer", ["unshare", "--net", sys.executable, TOP / "scripts/lib/peer.py"],
                            logs / "peer.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.callback(self.close)
        if self.peer.popen.stdout.readline() != b"ready\n":
            raise RigError(f"no network namespace: {self.peer.log().strip()}")
        self.taps = 0
        self.inside("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        self.inside("ip", "link", "set", "lo", "up")

    def enter(self, *argv):
        return ["nsenter", f"--net=/proc/{self.peer.pid}/ns/net", *argv]

    def inside(self, *argv):
        return run(*self.enter(*argv))

    def add_tap(self):
        """Returns the tap's name, the address on its host side and that for the guest."""
        name, number = f"tap{self.taps}", self.taps
        self.taps += 1
        self.inside("ip", "tuntap", "add", name, "mode", "tap")
        self.inside("ip", "address", "add", f"10.77.{number}.1/30", "dev", name)
        self.inside("ip", "link", "set", name, "up")
        return name, f"10.77.{number}.1", f"10.77.{number}.2"

    def close(self):
        self.peer.popen.stdin.close()
        self.peer.stop()
        self.peer.popen.stdout.close()


class Disk:
    """An image file behind a loop device: a real block device, with statistics in the kernel."""

    def __init__(self, stack, image, mib, ext4=False):
        self.image, self.path = str(image), None
        stack.callback(self.close)
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        if ext4:
            run("mkfs.ext4", "-q", "-F", self.image)
        for attempt in range(5):  # between asking for a free one and taking it another may take it
            try:
                self.path = run("losetup", "--find")
                self._make_node()
                run("losetup", self.path, self.image)
                return
            except RigError as error:
                failure = error
                time.sleep(0.1 * attempt)
        raise RigError(f"no loop device is free or allowed here: {failure}")

    def _make_node(self):
        """Static /dev trees, as in containers, lack the nodes that the kernel would make."""
        if not os.path.exists(self.path):
            number = int(self.path.removeprefix("/dev/loop"))
            os.mknod(self.path, 0o600 | stat.S_IFBLK, os.makedev(7, number))

    def is_ours(self):
        return self.image in run("losetup", "--noheadings", "--output", "BACK-FILE", "--list", self.path)

    def detach_on_close(self):
        """Detaching a device in use makes the kernel do it at the last close."""
        run("losetup", "--detach", self.path)

    def sectors_written(self):
        name = os.path.basename(self.path)
        return int(pathlib.Path(f"/sys/block/{name}/stat").read_text().split()[6])

    def close(self):
        with contextlib.suppress(RigError):  # gone already: detached itself
            if self.path and self.is_ours():
                self.detach_on_close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.image)


class Console:
    """A guest's console that answers commands (scripts/guest-root/init)."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rwb")
        self.commands = 0

    def sh(self, command, seconds=120):
        """Runs a command in the guest and returns its output."""
        self.commands += 1
        key = f"={self.commands} "
        self.socket.settimeout(seconds)
        self.file.write(f"{self.commands} {command}\n".encode())
        self.file.flush()
        while line := self.file.readline().decode(errors="replace"):
            if line.startswith(key):
                _, code, out = (line.rstrip() + " ").split(" ")[:3]
                text = base64.b64decode(out).decode(errors="replace")
                if code != "0":
                    raise RigError(f"guest: {command}: exit {code}: {text}")
                return text
        raise RigError(f"the guest's console closed during: {command}")

    def tell(self, command):
        """Has the guest's first process do it, as its last deed. What it prints from then on is read away: a
        kernel that panics waits for its console."""
        self.file.write(f"0 init:{command}\n".encode())
        self.file.flush()
        self.socket.settimeout(None)
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self):
        with contextlib.suppress(OSError, ValueError):
            while self.file.read(1):
                pass

    def close(self):
        self.file.close()
        self.socket.close()


class Qmp:
    """QEMU's monitor protocol: commands, and waiting for events."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(120)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rwb")
        self.events = []
        self._read()  # the greeting
        self.command("qmp_capabilities")

    def _read(self):
        line = self.file.readline()
        if not line:
            raise RigError("QEMU closed its monitor")
        return json.loads(line)

    def command(self, name, **arguments):
        self.file.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        self.file.flush()
        while "event" in (answer := self._read()):
            self.events.append(answer)
        if "error" in answer:
            raise RigError(f"QMP {name}: {answer['error']['desc']}")
        return answer["return"]

    def wait(self, event):
        """Until it has happened since the last wait() for anything."""
        while not any(seen["event"] == event for seen in self.events):
            answer = self._read()
            if "event" in answer:
                self.events.append(answer)
        self.events.clear()

    def close(self):
        self.file.close()
        self.socket.close()


class Vm:
    """One QEMU micro-VM with a console that answers commands (scripts/guest-root/init)."""

    def __init__(self, stack, instance, network, scratch, logs, *, accel, vcpus=2, memory_mib=192,
                 disk_mib=64, volume_mib=0, workload="",
                 reboots=False, devices=()):
        """@volume_mib: size of a second disk with ext4 on it, mounted at /data; 0 = none. @reboots: in place; else
        a reboot ends QEMU. @devices: further arguments."""
        self.instance, self.network, self.accel = instance, network, accel
        self.vcpus, self.memory_mib = vcpus, memory_mib
        self.devices = [*([] if reboots else ["-no-reboot"]), *devices]
        self.console_log = logs / f"{instance}.console"
        self.pid_file = scratch / f"{instance}.pid"
        self.socket_path = scratch / f"{instance}.con"
        self.console_log.write_bytes(b"")
        self.console = self.process = None
        self.tap, self.peer_ip, self.ip = network.add_tap()
        self.disk = Disk(stack, scratch / f"{instance}.img", disk_mib)
        self.disks = {"vda": self.disk}
        if volume_mib:
            self.disks["vdb"] = Disk(stack, scratch / f"{instance}.volume", volume_mib, ext4=True)
        stack.callback(self.close)
        self.workload = workload.replace("PEER", self.peer_ip)
        self.process = Process(instance, network.enter(*self.argv()), logs / f"{instance}.qemu")

    def argv(self):
        words = [kernel_words(self.accel), f"rig.ip={self.ip}"]
        if "vdb" in self.disks:
            words.append("rig.mount=/dev/vdb:/data")
        if self.workload:
            words.append(f"rig.run={self.workload.replace(' ', ',')}")
        return [
            "qemu-system-x86_64", "-M", "microvm", "-nodefaults", "-no-user-config", *self.devices,
            "-display", "none", "-name", f"{self.instance},debug-threads=on",
            "-pidfile", self.pid_file, *accel_options(self.accel),
            "-smp", self.vcpus, "-m", self.memory_mib,
            "-kernel", GUEST / "vmlinuz", "-initrd", GUEST / "initrd", "-append", " ".join(words),
            "-chardev", f"socket,id=con,path={self.socket_path},server=on,wait=off,"
                        f"logfile={self.console_log}",
            "-serial", "chardev:con",
            *(word for name, disk in self.disks.items() for word in (
                "-blockdev", f"host_device,node-name={name},filename={disk.path},cache.direct=on,"
                             "aio=threads",
                "-device", f"virtio-blk-device,drive={name}")),
            "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
            "-device", "virtio-net-device,netdev=net",
        ]

    def wait_started(self):
        """Until QEMU has its disks open and is there to be found; the guest need not have booted."""
        paths = {disk.path for disk in self.disks.values()}
        wait_for("QEMU to open its disks", 60, lambda: self.alive() and paths <= set(self.open_files()))
        for disk in self.disks.values():
            disk.detach_on_close()

    def alive(self):
        if not self.process.running():
            raise RigError(f"QEMU ended: {self.process.log().strip()}")
        return True

    def open_files(self):
        for fd in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(fd)

    def wait_ready(self, seconds=240):
        self.wait_started()
        wait_for(f"the guest's console (see {self.console_log})", seconds,
                 lambda: self.alive() and b"rig: ready" in self.console_log.read_bytes())
        self.console = Console(self.socket_path)

    def sh(self, command, seconds=120):
        """Runs a command in the guest and returns its output."""
        return self.console.sh(command, seconds)

    def vcpu_tids(self):
        """{cpu_id: tid} by QEMU's own thread names."""
        tids = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            words = (task / "comm").read_text().split()
            if words[0] == "CPU":
                tids[words[1].split("/")[0]] = int(task.name)
        return tids

    def schedstat(self, tid):
        """(seconds run, seconds waited for a CPU) of a thread, by the scheduler itself."""
        text = pathlib.Path(f"/proc/{self.process.pid}/task/{tid}/schedstat").read_text()
        ran, waited, _ = map(int, text.split())
        return ran / 1e9, waited / 1e9

    def spec(self, **changes):
        """The description that an orchestrator would drop into vms.d."""
        return {
            "org": "dev", "app": "demo", "instance": self.instance,
            "pid_file": str(self.pid_file), "vcpus": self.vcpus,
            "memory_bytes": self.memory_mib << 20, "cpu_class": "shared", "process_group": "app",
            "taps": [{"ifname": self.tap, "guest": "eth0"}],
            "disks": [{"path": disk.path, "guest": name} for name, disk in self.disks.items()],
        } | changes

    def write_spec(self, folder, **changes):
        """In one step, as an orchestrator should: the daemon never sees half a file."""
        path = pathlib.Path(folder) / f"{self.instance}.json"
        path.with_suffix(".new").write_text(json.dumps(self.spec(**changes), indent=1))
        path.with_suffix(".new").rename(path)
        return path

    def kill(self):
        self.process.popen.kill()
        self.process.popen.wait()

    def close(self):
        if self.process:
            self.process.stop()
        if self.console:
            self.console.close()
        self.pid_file.unlink(missing_ok=True)


def accel_options(accel):
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    # Without cmpxchg16b: QEMU 7.2 now and then emulates it wrong, and kernels use it in every allocation.
    return ["-accel", "tcg,thread=multi", "-cpu", "max,cx16=off"]


@functools.cache
def tsc_khz():
    """The rate of this machine's time-stamp counter, measured by executing RDTSC."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("0f31" "48c1e220" "4809d0" "c3"))  # rdtsc; shl rdx,32; or rax,rdx; ret
    rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def read():
        """(ticks, nanoseconds) of one moment: of several readings the one that took least time, since
        losing the CPU between the two clocks by 10 ms would make the guest's clock 10 % wrong."""
        tries = [(time.monotonic_ns(), rdtsc(), time.monotonic_ns()) for _ in range(50)]
        before, ticks, after = min(tries, key=lambda t: t[2] - t[0])
        return ticks, (before + after) / 2

    ticks, nanoseconds = read()
    time.sleep(0.1)
    later = read()
    return round((later[0] - ticks) * 1e6 / (later[1] - nanoseconds))


def kernel_words(accel):
    """The microvm machine has neither HPET nor PM timer, so an emulated guest has only the PIT to
    calibrate its TSC against: on a busy host that fails, and the boot hangs. TCG passes the host's
    TSC through, so its rate is ours to tell, and the guest may rely on it: else it would count ticks
    for a clock, and lose time whenever the host is busy."""
    words = "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off psi=1"
    return words if accel == "kvm" else f"{words} tsc=reliable tsc_early_khz={tsc_khz()}"


def kvm_boots(seconds=5):
    """Whether KVM really runs a guest: nested machines often have /dev/kvm that opens but does not."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    argv = ["qemu-system-x86_64", "-M", "microvm", "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", *accel_options("kvm"), "-m", "192", "-serial", "stdio",
            "-kernel", GUEST / "vmlinuz", "-initrd", GUEST / "initrd",
            "-append", kernel_words("kvm")]
    log = GUEST / "kvm-probe.log"
    log.unlink(missing_ok=True)
    probe = Process("kvm probe", argv, log)
    try:
        wait_for("KVM", seconds, lambda: "rig: ready" in probe.log() or not probe.running())
        return "rig: ready" in probe.log()
    except RigError:
        return False
    finally:
        probe.popen.kill()
        probe.popen.wait()


def choose_accel():
    """kvm or tcg, asked of the machine once per boot."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    cache = GUEST / "accel"
    with contextlib.suppress(FileNotFoundError):
        known = cache.read_text().split()
        if known[:1] == [boot]:
            return known[1]
    accel = "kvm" if kvm_boots() else "tcg"
    cache.write_text(f"{boot} {accel}\n")
    return accel


def guest_modules(names, kernel=GUEST):
    """Files of those modules that the kernel has as modules."""
    found = {path.name.split(".")[0]: path for path in (kernel / "root/lib/modules").rglob("*.ko*")}
    return [found[name] for name in names if name in found]


def ensure_kernel(name, observe):
    """build/guest/kernels/NAME: vmlinuz, root, initrd. @observe: the program that goes into the initrd."""
    done = subprocess.run([TOP / "scripts/guest", "kernel", name], check=False,
                          env=os.environ | {"OBSERVE": str(observe)})
    if done.returncode != 0:
        raise RigError(f"scripts/guest could not build the kernel {name}")
    return GUEST / "kernels" / name


def ensure_guest():
    done = subprocess.run([TOP / "scripts/guest", "build"], check=False)
    if done.returncode != 0:
        raise RigError("scripts/guest could not build the guest")
