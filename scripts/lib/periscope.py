# SPDX-License-Identifier: BSD-2-Clause
"""The two programs under test, and the queries that judge them: only what a user could do, too."""
import fcntl
import json
import os
import pathlib
import random
import re
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request

import rig
from rig import TOP, Process, RigError, wait_for

INTERVAL_S = 1
PROFILE_MODULES = ["virtio_net", "ext4", "xfs", "btrfs", "overlay"]  # whose structures the daemon reads
BUILD = TOP / os.environ.get("O", "build/release")
CPU_MODES = {"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest",
             "guest_nice"}


def catalogue():
    """{series name: extra labels} by the table that the daemon itself is built from."""
    text = (TOP / "userspace/host/catalog.def").read_text()
    row = r'^SERIES\(\s*\w+,\s*"(\w+)",\s*\w+,\s*[^,]+,\s*"[\w,]+",\s*"([\w,]*)"'
    rows = {name: set(filter(None, labels.split(",")))
            for name, labels in re.findall(row, text, re.MULTILINE)}
    row = r'^HISTOGRAM\(\s*\w+,\s*"(\w+)",\s*"\w+",\s*"([\w,]*)"'
    for name, labels in re.findall(row, text, re.MULTILINE):
        extra = set(filter(None, labels.split(",")))
        rows |= {f"{name}_bucket": extra | {"le"}, f"{name}_sum": extra, f"{name}_count": extra}
    if len(rows) != len(re.findall(r"^SERIES\(", text, re.MULTILINE)) + \
            3 * len(re.findall(r"^HISTOGRAM\(", text, re.MULTILINE)):
        raise RigError("catalog.def has rows that this script cannot read")
    return rows


# Rows that a VM does not have at all times: once it has ended; after the first 100 ms of sampling.
AT_THE_END = {"fly_instance_exit_info"}
PEAKS = {"fly_instance_cpu_peak_ratio", "fly_instance_net_recv_bytes_peak",
         "fly_instance_net_sent_bytes_peak"}


def rows_of_running():
    """The catalogue's rows that every VM has which has run for a while. Volumes are a thing apart, and so are
    scrapes, which only an app with metrics of its own has. The histograms that are off by default, Host asks for."""
    return {name: extra for name, extra in catalogue().items()
            if name not in AT_THE_END and name != "up" and not name.startswith(("fly_volume_", "scrape_"))}


def selector(name, **labels):
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def free_port(preferred=0):
    """@preferred when nobody has it, else any. Not one of those that the kernel gives to whoever connects
    somewhere: until it is used, it could be gone."""
    for port in (*filter(None, [preferred]), *random.sample(range(20000, 32000), 50), 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
                return sock.getsockname()[1]
            except OSError:
                continue
    raise RigError("no TCP port is free on 127.0.0.1")


def http_get(url, seconds=60):
    with urllib.request.urlopen(url, timeout=seconds) as reply:
        return reply.read().decode()


def own_metric(port, name):
    """The value of a metric without labels that the program on that port has of itself."""
    text = http_get(f"http://127.0.0.1:{port}/metrics")
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


class Region:
    """periscope-region --dev on loopback. start() again after stop() goes on with the same data."""

    def __init__(self, data, logs, port=0):
        self.data, self.log_path = data, logs / "region.log"
        self.port_file = logs / "region.port"
        self.port = free_port(port)
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """The first time on another port, when somebody was quicker to take the one that was free."""
        first = self.process is None
        while not self._start():
            if not first or "in use" not in tail(self.log_path, 1):
                raise RigError(f"periscope-region ended: {tail(self.log_path)}")
            self.port = free_port()
        return self

    def _start(self):
        """Whether it serves: an answer on the port could be somebody else's."""
        self.port_file.unlink(missing_ok=True)
        self.process = Process("region", [
            BUILD / "periscope-region", "--dev", "--listen", f"127.0.0.1:{self.port}",
            "--data", self.data, "--latency-offset", "0s", "--port-file", self.port_file], self.log_path)
        wait_for("periscope-region to serve", 60,
                 lambda: self.port_file.exists() or not self.process.running())
        return self.process.running()

    def get(self, path, **arguments):
        pairs = [(k, x) for k, v in arguments.items() for x in (v if isinstance(v, list) else [v])]
        url = f"{self.url}{path}?{urllib.parse.urlencode(pairs)}"
        try:
            answer = json.loads(http_get(url))
        except urllib.error.HTTPError as error:
            raise RigError(f"{url}: {error}: {error.read().decode(errors='replace')}") from error
        return answer["data"]

    def query(self, expression, at=None):
        """[(labels, value)] of an instant query."""
        answer = self.get("/api/v1/query", query=expression, time=f"{at or time.time():.3f}")
        if answer["resultType"] == "scalar":
            return [({}, float(answer["result"][1]))]
        return [(item["metric"], float(item["value"][1])) for item in answer["result"]]

    def number(self, expression, at=None):
        """The one value of a query, or None when there is none."""
        result = self.query(expression, at)
        if len(result) > 1:
            raise RigError(f"{expression}: {len(result)} series where one was expected")
        return result[0][1] if result else None

    def raw(self, selector, seconds):
        """[(labels, [(time, value)])]: the stored samples of the last seconds, as they are."""
        answer = self.get("/api/v1/query", query=f"{selector}[{int(seconds) + 1}s]",
                          time=f"{time.time():.3f}")
        return [(item["metric"], [(float(t), float(v)) for t, v in item["values"]])
                for item in answer["result"]]

    def stop(self):
        return self.process.stop() if self.process else None

    def kill(self):
        self.process.popen.kill()
        self.process.popen.wait()


def ensure_profiles(kernel=rig.GUEST):
    """The folder with the profile of a guest kernel, made by our own tool when it is missing or older than
    what it is made of. One at a time makes it: demos that begin together would take it from each other."""
    folder, tool, image = kernel / "profiles", BUILD / "periscope", kernel / "vmlinuz"
    folder.mkdir(exist_ok=True)
    with open(kernel / "profiles.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = list(folder.glob("*.profile"))
        newest = max(path.stat().st_mtime for path in (tool, image))
        if len(made) != 1 or made[0].stat().st_mtime < newest:
            for path in made:
                path.unlink()
            rig.run(tool, "guest", "profile", "--quiet", "--output-dir", folder, image,
                    *rig.guest_modules(PROFILE_MODULES, kernel))
    return folder


class Host:
    """periscope-host with a configuration and a folder for VM descriptions of its own."""

    def __init__(self, scratch, logs, region_url, discover=True, profiles=None, more=""):
        """@profiles: folder of guest kernel profiles; None: guests are only seen from the host."""
        self.specs = scratch / "vms.d"
        self.specs.mkdir()
        self.config = scratch / "host.yml"
        self.log_path = logs / "host.log"
        self.process = None
        self.metrics_port = free_port()
        self.config.write_text(f"""\
host_id: d001
region: dev
interval: {INTERVAL_S}s
vms_dir: {self.specs}
state_dir: {scratch / "state"}
listen: 127.0.0.1:{self.metrics_port}
guest: {{profiles: {profiles or scratch / 'profiles'}}}
histograms: {{run_delay: true, disk_latency: true}}
discovery:
  enabled: {str(discover).lower()}
  org: dev
  app: found
queue:
  dir: {scratch}/queue
remote_write:
  region:
    url: {region_url}/api/v1/write
    backoff_max: 1s
{more}""")

    def argv(self, *more):
        return [BUILD / "periscope-host", "--config", self.config, *more]

    def start(self):
        self.process = Process("host", self.argv(), self.log_path)
        return self

    def reload(self):
        self.process.signal(signal.SIGHUP)

    def stop(self):
        return self.process.stop() if self.process else None


def tail(path, lines=5):
    return " | ".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])


def programs_missing():
    return [f"{BUILD / name} (make)" for name in ("periscope-region", "periscope-host", "periscope")
            if not (BUILD / name).exists()]
