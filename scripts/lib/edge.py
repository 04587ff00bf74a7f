# SPDX-License-Identifier: BSD-2-Clause
"""Debian's nginx and haproxy as proxies to be measured: unpacked by scripts/proxies, never installed."""
import contextlib
import ctypes
import json
import os
import pathlib
import sys

from rig import TOP, Process, RigError, run, wait_for

ROOT = TOP / "build/proxies/root"
NGINX = ROOT / "usr/sbin/nginx"
HAPROXY = ROOT / "usr/sbin/haproxy"
LIBRARIES = ROOT / "usr/lib/x86_64-linux-gnu"

CLONE_NEWNS = 0x00020000  # sched.h

# One JSON object for each request: what our series are compared with.
NGINX_LOG = ("log_format ours escape=json '{\"status\":$status,\"time\":$request_time,"
             "\"bytes\":$bytes_sent,\"in\":$request_length,\"conn\":$connection,"
             "\"host\":\"$host\",\"uri\":\"$request_uri\","
             "\"proto\":\"$server_protocol\",\"tls\":\"$ssl_protocol\",\"reused\":\"$ssl_session_reused\","
             "\"sni\":\"$ssl_server_name\",\"up\":\"$upstream_status\","
             "\"uptime\":\"$upstream_response_time\",\"upconn\":\"$upstream_connect_time\"}';")


def cgroup_root():
    """Where cgroup v2 is mounted, in a hybrid set-up beside v1; None: nowhere."""
    lines = (line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines())
    roots = [pathlib.Path(words[1]) for words in lines if words[2] == "cgroup2"]
    return next((root for root in roots if os.access(root, os.W_OK)), roots[0] if roots else None)


def ensure_cgroup():
    """A machine on which nobody mounted cgroup v2 gets it for as long as we live: in a mount namespace of
    our own, so that nothing is left of it however we end. Before any thread and any child."""
    root = cgroup_root()
    if os.geteuid() != 0 or (root and os.access(root, os.W_OK)):
        return
    folder = TOP / "build/cgroup"
    folder.mkdir(parents=True, exist_ok=True)
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0:
        with contextlib.suppress(RigError):  # a kernel without it: missing() says so
            run("mount", "--make-rprivate", "/")
            run("mount", "-t", "cgroup2", "none", str(folder))


def in_cgroup(folder, argv):
    """The command, run in that cgroup: it must be there before the first socket is."""
    return ["sh", "-c", f'echo $$ >"{folder}/cgroup.procs" && exec "$@"', "sh", *map(str, argv)]


class Nginx:
    """One nginx in a folder of its own; @launch(name, argv) starts a process and returns it."""

    def __init__(self, folder, http, workers=1, main=""):
        folder.mkdir()
        folder.chmod(0o777)  # the workers are nobody
        self.folder, self.process = folder, None
        self.access_log = folder / "access.log"
        self.conf = folder / "nginx.conf"
        temp = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.conf.write_text(f"""
daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/error.log info;
user nobody nogroup; worker_rlimit_nofile 65536; {main}
events {{ worker_connections 20000; }}
http {{
  {NGINX_LOG}
  access_log {self.access_log} ours;
  {temp}
  keepalive_timeout 60s; keepalive_requests 1000000; lingering_close off;
  {http}
}}
""")

    def argv(self):
        return [NGINX, "-p", self.folder, "-c", self.conf, "-e", self.folder / "error.log"]

    def start(self, launch):
        self.process = launch(self.folder.name, self.argv())
        wait_for(f"{self.folder.name} to start", 60,
                 lambda: (self.folder / "pid").exists() or not self.process.running())
        if not self.process.running():
            raise RigError(f"nginx: {self.process.log()} {(self.folder / 'error.log').read_text()}")
        return self

    def stop(self):
        return self.process.stop()

    def entries(self):
        return [json.loads(line) for line in self.access_log.read_text().splitlines()]

    def forget(self):
        """Begins an empty log for the next part of a test; nginx appends, so it stays its own."""
        self.access_log.write_text("")


class Haproxy:
    """One haproxy with one thread, its log on its standard output."""

    LOG = ('{"status":%ST,"time":%Ta,"bytes":%B,"term":"%tsc","host":"%[capture.req.hdr(0)]","uri":"%HP",'
           '"port":%fp}')

    def __init__(self, folder, text, main=""):
        folder.mkdir()
        self.folder, self.process, self.begin = folder, None, 0
        self.conf = folder / "haproxy.cfg"
        log = self.LOG.replace('"', '\\"')
        self.conf.write_text(f"""
global
  log stdout format raw local0
  nbthread 1
  maxconn 4000
  {main}
defaults
  mode http
  log global
  log-format "{log}"
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  timeout http-request 20s
  option abortonclose
  option dontlognull
  retries 0
{text}
""")

    def start(self, launch):
        self.process = launch(self.folder.name, [HAPROXY, "-db", "-f", self.conf])
        return self

    def entries(self):
        lines = self.process.log()[self.begin:].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def forget(self):
        self.begin = len(self.process.log())


class Cgroup:
    """A cgroup of v2 that is gone with its Stack; what a killed process left is taken away by the next one."""

    def __init__(self, stack, name):
        for path in cgroup_root().glob(f"periscope-{name}-*"):
            if not pathlib.Path(f"/proc/{path.name.rpartition('-')[2]}").exists():
                self._remove(path)
        self.path = cgroup_root() / f"periscope-{name}-{os.getpid()}"
        stack.callback(self.close)
        self.path.mkdir()

    def close(self):
        self._remove(self.path)

    @staticmethod
    def _remove(path):
        for folder in sorted(path.glob("**/"), reverse=True):
            with contextlib.suppress(RigError, OSError):
                wait_for("the cgroup to be empty", 5,
                         lambda at=folder: not (at / "cgroup.procs").read_text())
                folder.rmdir()


def self_signed(folder, name):
    """A certificate for @name and its key, as two files in @folder."""
    files = folder / "crt", folder / "key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", str(files[1]), "-out", str(files[0]), "-subj", f"/CN={name}",
        "-addext", f"subjectAltName=DNS:{name}", "-days", "30")
    return files


class Site:
    """The demo's front: nginx before one VM, on the host side of the VM's tap, and somebody who visits it."""

    NAME, PORT = "www.demo.example", 8080

    def __init__(self, stack, network, scratch, logs):
        self.stack, self.network, self.scratch, self.logs = stack, network, scratch, logs
        self.cgroup = Cgroup(stack, "demo").path
        self.nginx = self.visitor = None

    def proxies(self):
        """What the daemon is told of it."""
        return f"proxies:\n- {{name: nginx, cgroup: {self.cgroup}, edge_http: derived}}\n"

    def open(self, vm):
        certificate, key = self_signed(self.scratch, self.NAME)
        self.nginx = Nginx(self.scratch / "nginx", f"""
server {{ listen {vm.peer_ip}:{self.PORT}; listen {vm.peer_ip}:{self.PORT + 1} ssl; server_name {self.NAME};
         ssl_certificate {certificate}; ssl_certificate_key {key};
         location / {{ proxy_pass http://{vm.ip}:80; proxy_connect_timeout 2s; }} }}""")
        self.nginx.start(self._launch)
        address = f"{vm.peer_ip}:{self.PORT}"
        self.visitor = self._launch("visitor", [sys.executable, TOP / "scripts/lib/visitor.py", address,
                                                self.NAME, certificate], cgroup=False)

    def spec(self, vm):
        """What the VM's description says of it."""
        return {"addresses": [vm.ip], "hostnames": [self.NAME], "soft_limit": 20, "hard_limit": 25,
                "listeners": [f"{vm.peer_ip}:{port}" for port in (self.PORT, self.PORT + 1)]}

    def _launch(self, name, argv, cgroup=True):
        # In a PID namespace: when its first process dies, with us at the latest, so do the workers.
        argv = ["unshare", "--pid", "--fork", "--kill-child", *argv]
        argv = in_cgroup(self.cgroup, argv) if cgroup else argv
        process = Process(name, self.network.enter(*argv), self.logs / f"{name}.log")
        self.stack.callback(process.stop)
        return process


def missing():
    """What this machine lacks for a measured proxy, as sentences."""
    root = cgroup_root()
    lacks = [] if root and os.access(root, os.W_OK) else ["a writable cgroup v2 (mount -t cgroup2 none FOLDER)"]
    return lacks + ([] if NGINX.exists() else ["build/proxies (scripts/proxies)"])


def fetch():
    run(str(TOP / "scripts/proxies"))
