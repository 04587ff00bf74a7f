# SPDX-License-Identifier: BSD-2-Clause
"""A proxy in a cgroup and a network namespace of its own, VMs behind it, and the probe that measures it.

Everything ends with the test that made it, however that ends: processes die with their parent, the
namespace with its holder, and the cgroup is removed by the Stack.
"""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "scripts/lib"))
# pylint: disable=wrong-import-position
import edge  # noqa: E402
from rig import Process, RigError, Stack, run, wait_for  # noqa: E402

BUILD = TOP / os.environ.get("O", "build/release")
SKIP = 77
SMOKE = bool(os.environ.get("SMOKE"))  # the part of a test that fits into `make check`


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(SKIP)


def skip_unless_possible():
    if os.geteuid() != 0:
        skip("needs root")
    if not os.environ.get("RIG"):
        edge.fetch()
    edge.ensure_cgroup()
    if lacks := edge.missing():
        skip("needs " + "; ".join(lacks))


class Lab:
    def __init__(self, stack, name):
        self.stack, self.name = stack, name
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix=f"periscope-{name}."))
        self.scratch.chmod(0o755)  # nginx's workers are nobody
        stack.callback(run, "rm", "-rf", str(self.scratch))
        self.logs = TOP / "build/proxy" / name
        run("rm", "-rf", str(self.logs))
        self.logs.mkdir(parents=True)
        self.cgroup = edge.Cgroup(stack, name).path
        self.holder = Process("namespace", ["unshare", "--net", "sleep", "infinity"],
                              self.logs / "namespace.log")
        stack.callback(self.holder.stop)
        wait_for("a network namespace", 60, self._has_namespace)
        self.inside("ip", "link", "set", "lo", "up")
        self.specs = self.scratch / "vms.d"
        self.specs.mkdir()
        self.vms = 0
        self.prefix = []  # of every command that is started

    def _has_namespace(self):
        with contextlib.suppress(FileNotFoundError):
            return os.readlink(f"/proc/{self.holder.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        return False

    def enter(self, *argv):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *map(str, argv)]

    def inside(self, *argv, **kw):
        return run(*self.enter(*argv), **kw)

    def popen(self, *argv, **kw):
        return subprocess.Popen(self.enter(*argv), **kw)

    def start(self, name, argv, cgroup=None):
        """A process in the namespace and, when @cgroup says so, in a cgroup below ours."""
        words = ["env", f"LD_LIBRARY_PATH={edge.LIBRARIES}", *self.prefix, *argv]
        if cgroup:
            folder = self.cgroup / cgroup
            folder.mkdir(exist_ok=True)
            words = edge.in_cgroup(folder, words)
        process = Process(name, self.enter(*words), self.logs / f"{name}.log")
        self.stack.callback(process.stop)
        return process

    def nginx(self, name, http, cgroup=None, **more):
        server = edge.Nginx(self.scratch / name, http, **more)
        return server.start(lambda name, argv: self.start(name, argv, cgroup))

    def wait_port(self, address, port, process):
        def answers():
            if not process.running():
                raise RigError(f"{process.name} ended: {process.log()[-2000:]}")
            done = subprocess.run(
                self.enter("bash", "-c", f"</dev/tcp/{address}/{port}"), check=False,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return done.returncode == 0
        wait_for(f"{process.name} to listen on {address}:{port}", 60, answers)

    def certificate(self, name):
        """@scratch/crt and @scratch/key, signed by themselves."""
        edge.self_signed(self.scratch, name)

    def add_vm(self, app, address, **more):
        """Describes a VM with that private address; returns its instance."""
        self.vms += 1
        instance = f"{self.vms:014x}"
        spec = {"org": "dev", "app": app, "instance": instance, "pid": self.stand_in(),
                "addresses": [address]} | more
        path = self.specs / f"{instance}.json"
        path.with_suffix(".new").write_text(json.dumps(spec))
        path.with_suffix(".new").rename(path)
        return instance

    def stand_in(self):
        """A process for the registry to find: what it is does not matter to the proxies."""
        process = Process("vm", ["sleep", "infinity"], self.logs / "vm.log")
        self.stack.callback(process.stop)
        return process.pid


class Samples:
    """What one collection brought: {(name, labels)}: value."""

    LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.values = {}
        for line in text.splitlines():
            if (m := self.LINE.match(line)) and not line.startswith("#"):
                labels = frozenset(self.LABEL.findall(m[2] or ""))
                self.values[m[1], labels] = float(m[3])

    def each(self, name, **wanted):
        for (n, labels), value in self.values.items():
            have = dict(labels)
            if n == name and all(have.get(k, "") == v for k, v in wanted.items()):
                yield have, value

    def sum(self, name, **wanted):
        return sum(value for _, value in self.each(name, **wanted))

    def by(self, label, name, **wanted):
        """{value of the label: sum}, without zeroes."""
        found = {}
        for labels, value in self.each(name, **wanted):
            found[labels.get(label, "")] = found.get(labels.get(label, ""), 0) + value
        return {key: value for key, value in found.items() if value}


class Probe:
    """tests/proxy/probe: the daemon's source proxy, asked by hand."""

    def __init__(self, lab, proxies, routes="", start=True, name="probe"):
        self.lab, self.name = lab, name
        self.config = lab.scratch / f"{name}.yml"
        self.config.write_text(f"host_id: d001\nregion: dev\nvms_dir: {lab.specs}\nlisten: ''\n"
                               f"discovery: {{enabled: false, org: dev}}\nproxies:\n{proxies}{routes}")
        self.process = None
        if start:
            self.start()

    def start(self):
        self.process = Process(self.name, [BUILD / "tests/proxy/probe", self.config],
                               self.lab.logs / f"{self.name}.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lab.stack.callback(self.stop)
        if self.process.popen.stdout.readline() != b"ready\n":
            raise RigError(f"probe: {self.process.log()}")
        return self

    def ask(self, command):
        self.process.popen.stdin.write(f"{command}\n".encode())
        self.process.popen.stdin.flush()
        lines = []
        while (line := self.process.popen.stdout.readline().decode()) not in (".\n", ""):
            lines.append(line)
        if not line:
            raise RigError(f"probe ended: {self.process.log()[-2000:]}")
        return Samples("".join(lines))

    def collect(self):
        return self.ask("collect")

    def own(self, name):
        return self.ask("metrics").sum(f"periscope_host_proxy_{name}")

    def stop(self):
        if self.process and self.process.running():
            self.process.popen.stdin.close()
            self.process.stop()
            self.process.popen.stdout.close()

    def kill(self):
        self.process.popen.kill()
        self.process.popen.wait()


class Checks:
    """Counts what held and prints what did not; a test's exit code follows from it."""

    def __init__(self):
        self.passed = self.failed = 0

    def that(self, what, good, found=""):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        if not good:
            print(f"NOT AS EXPECTED: {what}: {found}", flush=True)

    def equal(self, what, expected, found):
        self.that(what, expected == found, f"expected {expected}, found {found}")

    def near(self, what, expected, found, error):
        self.that(what, abs(expected - found) <= error, f"expected {expected} ± {error}, found {found}")

    def add(self, other):
        self.passed, self.failed = self.passed + other.passed, self.failed + other.failed

    def done(self):
        print(f"checks: {self.passed} passed, {self.failed} failed")
        return 0 if self.failed == 0 and self.passed > 0 else 1


def settle(seconds=0.15):
    """Lets the last packets of what just ended be seen: a close travels a little longer than an answer."""
    time.sleep(seconds)
