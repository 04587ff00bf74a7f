#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Thin volumes filled to known percentages, as the daemon sees them and as lvs prints them.

Runs inside the rig (scripts/rig): makes a volume group of its own and changes /etc/lvm.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("O", "build/release")
MIB = 1 << 20
CAP_SYS_ADMIN = 1 << 21
LVM_CONF = """\
devices { scan = "/dev" use_devicesfile = 0 filter = [ "a|/dev/loop|", "r|.*|" ] }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
global { locking_dir = "/run/lock/lvm" }
"""


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False,
                          env=os.environ | {"DM_DISABLE_UDEV": "1"})
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
    return done.stdout.strip()


def wait_for(what, probe, seconds=30):
    end = time.monotonic() + seconds
    while not (value := probe()):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.2)
    return value


def install_tools():
    """LVM as scripts/rigtools unpacked it, over the root that is gone with the rig."""
    tools = TOP / "build/rigtools/root"
    if tools.exists():
        run("sh", "-c", f"tar -C {tools} -c . | tar -C / -x --keep-directory-symlink && ldconfig")


def fill(device, mib):
    with open(device, "wb", buffering=0) as file:
        for _ in range(mib):
            file.write(b"\x5a" * MIB)
        os.fsync(file.fileno())


def state_of(pid):
    """The letter that ps prints."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


class Daemon:
    """A periscope-host that collects once a second."""
    ADDRESS = "127.0.0.1:9478"

    def __init__(self, folder, settings):
        path = folder / "daemon.yml"
        path.write_text(settings + f"interval: 1s\nlisten: '{self.ADDRESS}'\n")
        self.process = subprocess.Popen([BUILD / "periscope-host", "--config", path])

    def metrics(self):
        """{name{labels}: value}; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.ADDRESS}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        rows = (line.rsplit(" ", 1) for line in lines if line[:1] != "#")
        return {name: float(value) for name, value in rows}

    def up(self, source):
        """(whether it works, its labels); None while the daemon does not answer."""
        for name, value in self.metrics().items():
            if name.startswith("periscope_host_source_up{") and f'source="{source}"' in name:
                return value == 1, name
        return None

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Volumes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        install_tools()
        run("modprobe", "-a", "dm-thin-pool", "loop")
        pathlib.Path("/etc/lvm").mkdir(exist_ok=True)
        pathlib.Path("/etc/lvm/lvm.conf").write_text(LVM_CONF)
        cls.dir = pathlib.Path(tempfile.mkdtemp(dir="/run"))
        (cls.dir / "vms.d").mkdir()
        image = cls.dir / "disk"
        with open(image, "wb") as file:
            file.truncate(900 * MIB)
        loop = run("losetup", "--find", "--show", image)
        run("pvcreate", "-q", loop)
        run("vgcreate", "-q", "vg-0", loop)  # a dash: device-mapper doubles it
        run("lvcreate", "-q", "--type", "thin-pool", "-L", "400M", "-n", "pool", "vg-0")
        for name, size in ("a", "500M"), ("b", "256M"), ("c", "64M"), ("d", "64M"):
            run("lvcreate", "-q", "-V", size, "--thinpool", "vg-0/pool", "-n", name)
        run("lvcreate", "-q", "-L", "32M", "-n", "plain", "vg-0")
        run("lvchange", "-q", "--addtag", "periscope.volume=vol_b", "vg-0/b")
        for tag in ("volume=vol_c", "org=acme", "app=db"):
            run("lvchange", "-q", "--addtag", f"periscope.{tag}", "vg-0/c")
        fill("/dev/vg-0/a", 100)
        fill("/dev/vg-0/b", 37)
        cls.helper = subprocess.Popen([BUILD / "periscope-host-volumes", "--socket", cls.dir / "socket"])
        wait_for("the helper's socket", (cls.dir / "socket").exists)
        # What stands for a monitor: a process that its description names.
        cls.monitor = subprocess.Popen(["sleep", "3600"])
        cls.settings = (
            f"host_id: 00ff\nregion: ams\nvms_dir: {cls.dir}/vms.d\nstate_dir: {cls.dir}/state\n"
            f"volumes: {{socket: {cls.dir}/socket}}\nqueue: {{dir: ''}}\n"
            "sources: [volumes, vm_task, diskstats, life]\ndiscovery: {enabled: false}\n")
        (cls.dir / "host.yml").write_text(cls.settings)
        (cls.dir / "vms.d/i-1.json").write_text(json.dumps({
            "org": "dev", "app": "web", "instance": "i-1", "pid": cls.monitor.pid,
            "disks": [{"path": "/dev/vg-0/b"}],
            "volumes": [{"id": "vol_a", "device": "/dev/vg-0/a"},
                        {"id": "vol_p", "device": "/dev/vg-0/plain"}]}))

    @classmethod
    def tearDownClass(cls):
        cls.helper.terminate()
        cls.monitor.kill()
        cls.helper.wait(10)
        cls.monitor.wait()

    def once(self):
        """{(series, volume): (labels, value)} as the daemon prints them."""
        text = run(BUILD / "periscope-host", "--config", self.dir / "host.yml", "--once")
        found = {}
        for line in text.splitlines():
            if match := re.match(r"(fly_volume_\w+)\{(.*)\} (\S+)$", line):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
                found[match[1], labels["id"]] = labels, float(match[3])
        return found

    def lvs(self):
        """{name: (bytes, percent or None)} as lvs prints them."""
        report = json.loads(run("lvs", "--reportformat", "json", "--units", "b", "--nosuffix",
                                "-o", "lv_name,lv_size,data_percent,metadata_percent", "vg-0"))
        return {row["lv_name"]: row for row in report["report"][0]["lv"]}

    def test_1_equal_to_lvs(self):
        wait_for("tags", lambda: ("fly_volume_size_bytes", "vol_c") in self.once())
        found, lvs = self.once(), self.lvs()
        self.assertEqual(lvs["a"]["data_percent"], "20.00", "the rig itself: 100 of 500 MiB")
        for name in "abc":
            _, size = found["fly_volume_size_bytes", f"vol_{name}"]
            _, used = found["fly_volume_used_pct", f"vol_{name}"]
            self.assertEqual(size, float(lvs[name]["lv_size"]), name)
            self.assertEqual(f"{used:.2f}", lvs[name]["data_percent"], name)
            print(f"{name}: {size:.0f} bytes, {used:.4f} %; lvs {lvs[name]['data_percent']}")

    def test_2_labels(self):
        found = self.once()
        of_vm = {"app": "web", "host": "00ff", "region": "ams"}
        self.assertEqual(found["fly_volume_used_pct", "vol_a"][0], of_vm | {"id": "vol_a"})
        self.assertEqual(found["fly_volume_used_pct", "vol_b"][0], of_vm | {"id": "vol_b"},
                         "a disk of the VM that is a volume by its tag")
        self.assertEqual(found["fly_volume_used_pct", "vol_c"][0],
                         {"app": "db", "host": "00ff", "region": "ams", "id": "vol_c"},
                         "a volume that no VM has")
        self.assertEqual({name for name, _ in found if name[0] == "vol_p"}, set())
        self.assertEqual(found["fly_volume_size_bytes", "vol_p"][1], 32 * MIB,
                         "not thin: its size is known")
        self.assertNotIn(("fly_volume_used_pct", "vol_p"), found)
        self.assertEqual(len(found), 7, f"and nothing else: {sorted(found)}")

    def test_3_only_its_capability(self):
        status = pathlib.Path(f"/proc/{self.helper.pid}/status").read_text()
        for field in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
            bits = int(re.search(rf"^{field}:\s+(\w+)$", status, re.MULTILINE)[1], 16)
            self.assertEqual(bits, CAP_SYS_ADMIN, field)
        self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")

    def test_4_grown_and_trimmed(self):
        run("lvextend", "-q", "-L", "600M", "vg-0/a")
        run("blkdiscard", "-o", "0", "-l", str(50 * MIB), "/dev/vg-0/a")
        found, lvs = self.once(), self.lvs()
        self.assertEqual(found["fly_volume_size_bytes", "vol_a"][1], 600 * MIB)
        self.assertEqual(f"{found['fly_volume_used_pct', 'vol_a'][1]:.2f}", lvs["a"]["data_percent"])
        self.assertEqual(lvs["a"]["data_percent"], "8.33", "50 of 600 MiB")

    def test_5_inactive_and_gone(self):
        run("lvchange", "-q", "-an", "vg-0/a")
        found = self.once()
        self.assertNotIn(("fly_volume_used_pct", "vol_a"), found)
        run("lvchange", "-q", "-ay", "vg-0/a")
        self.assertIn(("fly_volume_used_pct", "vol_a"), self.once())
        run("lvremove", "-q", "-f", "vg-0/c")
        self.assertNotIn(("fly_volume_size_bytes", "vol_c"), self.once())

    def test_6_device_mapper_hangs(self):
        """Where the pool keeps its metadata stops. A write waits for it with the pool's lock in its
        hand, and so whoever asks for a status waits, too."""
        metadata = "vg--0-pool_tmeta"
        daemon = Daemon(self.dir, self.settings)
        self.addCleanup(daemon.close)
        wait_for("the daemon", lambda: (daemon.up("volumes") or [False])[0])
        run("dmsetup", "suspend", "--noflush", "--nolockfs", metadata)
        writer = subprocess.Popen(["dd", "if=/dev/zero", "of=/dev/vg-0/d", "bs=1M", "count=8",
                                   "conv=fsync"], stderr=subprocess.DEVNULL)
        try:
            wait_for("the helper to hang", lambda: state_of(self.helper.pid) == "D")
            before, began = daemon.metrics(), time.monotonic()
            wait_for("the daemon to say so", lambda: daemon.up("volumes")[0] is False, 180)
            after, waited = daemon.metrics(), time.monotonic() - began
            self.assertRegex(daemon.up("volumes")[1], 'reason="[^"]*device-mapper hangs')
            self.assertEqual(state_of(self.helper.pid), "D")
            for source in "vm_task", "diskstats", "life":
                self.assertTrue(daemon.up(source)[0], source)
            made, missed = (after[name] - before[name] for name in (
                "periscope_host_collections_total", "periscope_host_collections_missed_total"))
            print(f"{made:.0f} collections in {waited:.0f} s, {missed:.0f} missed")
            self.assertGreater(made, waited * 0.9)
        finally:
            run("dmsetup", "resume", metadata)
        self.assertEqual(writer.wait(60), 0)
        wait_for("volumes again", lambda: daemon.up("volumes")[0], 60)
        self.assertEqual(f"{self.once()['fly_volume_used_pct', 'vol_b'][1]:.2f}",
                         self.lvs()["b"]["data_percent"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
