# SPDX-License-Identifier: BSD-2-Clause
"""Debian's PostgreSQL, exporters and Prometheus, unpacked by scripts/exporters and never installed, run in a
network namespace that stands for a VM."""
import http.client
import os
import shutil
import subprocess
import time

import edge
import rig
from rig import TOP, Process, RigError, run, wait_for

ROOT = TOP / "build/exporters/root"
LIBRARIES = ROOT / "usr/lib/x86_64-linux-gnu"
POSTGRES = ROOT / "usr/lib/postgresql/15/bin"
QUERIES = TOP / "docs/examples/postgres-queries.yml"
TOOLS = ("ip", "unshare", "nsenter")  # iproute2 and util-linux


def missing():
    """What this machine lacks, as sentences; empty when nothing."""
    if os.geteuid() != 0:
        return ["root: network namespaces need it"]
    lacks = [f"{tool} ({rig.TOOLS[tool]})" for tool in TOOLS if not shutil.which(tool)]
    if not lacks and subprocess.run(["unshare", "--user", "true"], check=False).returncode:
        lacks.append("user namespaces: PostgreSQL does not run as root")
    return lacks


def fetch():
    run(str(TOP / "scripts/exporters"))
    edge.fetch()


def with_libraries(argv, **environment):
    pairs = [f"{key}={value}" for key, value in
             {"LD_LIBRARY_PATH": LIBRARIES, **environment}.items()]
    return ["env", *pairs, *argv]


class Space:
    """A network namespace with one address, joined to ours by a veth pair; its first process stands for
    the monitor of a VM."""

    def __init__(self, stack, logs, address="10.99.0.2", ours="10.99.0.1", device="vm0"):
        self.stack, self.logs, self.address = stack, logs, address
        self.holder = self._start("monitor", ["unshare", "--net", "sleep", "infinity"])
        mine = os.readlink("/proc/self/ns/net")
        wait_for("a network namespace", 60, lambda: self._namespace() not in ("", mine))
        run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns",
            str(self.holder.pid))
        run("ip", "address", "add", f"{ours}/30", "dev", device)
        run("ip", "link", "set", device, "up")
        for words in (f"address add {address}/30 dev eth0", "link set eth0 up", "link set lo up"):
            run(*self.enter(["ip", *words.split()]))

    def _namespace(self):
        try:
            return os.readlink(f"/proc/{self.holder.pid}/ns/net")
        except OSError:
            return ""

    def _start(self, name, argv):
        process = Process(name, argv, self.logs / f"{name}.log")
        self.stack.callback(process.stop)
        return process

    def enter(self, argv):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *map(str, argv)]

    def start(self, name, argv):
        return self._start(name, self.enter(argv))

    def page(self, port, path, accept="text/plain;version=0.0.4"):
        """(Content-Type, body), or None when there is none."""
        connection = http.client.HTTPConnection(self.address, port, timeout=5)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            reply = connection.getresponse()
            return (reply.getheader("Content-Type"), reply.read()) if reply.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()

    def wait_for_page(self, port, path="/metrics", seconds=60):
        return wait_for(f"port {port}{path}", seconds, lambda: self.page(port, path))


class Postgres:
    """A server with a table that was worked on, a replica of it, and postgres_exporter."""

    PORT = 9187

    def __init__(self, space, scratch):
        self.space, self.folder = space, scratch / "postgres"
        self.folder.mkdir()
        data = self.folder / "data"
        run(*self._as_user("initdb", "--username=postgres", "--locale=C", "--encoding=UTF8",
                           "--no-sync", "--auth=trust", "-D", data))
        with open(data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(f"unix_socket_directories = '{self.folder}'\nlisten_addresses = ''\n"
                       "fsync = off\nshared_buffers = 16MB\ntrack_io_timing = on\n")
        self.server = space.start("postgres", self._as_user("postgres", "-D", data))
        wait_for("PostgreSQL", 60, self._answers)
        self.sql("CREATE TABLE work AS SELECT generate_series(1, 1000) AS n")
        self.sql("SELECT pg_stat_reset()")
        self.sql("SELECT count(*) FROM work")
        self._start_replica()
        space.start("postgres_exporter", with_libraries(
            [ROOT / "usr/bin/prometheus-postgres-exporter", f"--extend.query-path={QUERIES}",
             f"--web.listen-address=:{self.PORT}"],
            DATA_SOURCE_NAME=f"user=postgres host={self.folder} sslmode=disable"))
        space.wait_for_page(self.PORT)

    def _start_replica(self):
        run(*self._as_user("pg_basebackup", *self._where(), "-D", self.folder / "replica", "-R",
                           "--checkpoint=fast", "--no-sync"))
        self.space.start("replica", self._as_user("postgres", "-D", self.folder / "replica",
                                                  "-p", "5433"))
        wait_for("the replica", 60, lambda: self.sql(
            "SELECT count(replay_lsn) FROM pg_stat_replication") == "1")

    def _where(self):
        return ["-h", self.folder, "-U", "postgres"]

    @staticmethod
    def _as_user(program, *arguments):
        """PostgreSQL does not run as root; in a user namespace of its own it need not know that it does."""
        return [str(word) for word in with_libraries(
            ["unshare", "--user", "--map-user=1000", "--map-group=1000", POSTGRES / program,
             *arguments])]

    def _answers(self):
        try:
            return self.sql("SELECT 1") == "1"
        except RigError:
            if not self.server.running():
                raise
            time.sleep(0.1)
            return False

    def sql(self, text):
        return run(*self._as_user("psql", *self._where(), "-Atqc", text))


def node_exporter(space, port):
    space.start("node_exporter", [ROOT / "usr/bin/prometheus-node-exporter",
                                  f"--web.listen-address=:{port}"])


def nginx_exporter(space, scratch, port, stub_port=8080):
    """nginx with its stub_status page, and the exporter that reads it."""
    nginx = edge.Nginx(scratch / "nginx",
                       f"server {{ listen {stub_port}; location /stub {{ stub_status; }} }}")
    nginx.start(space.start)
    space.stack.callback(nginx.stop)
    space.wait_for_page(stub_port, "/stub")
    space.start("nginx_exporter", [ROOT / "usr/bin/prometheus-nginx-exporter",
                                   f"-nginx.scrape-uri=http://127.0.0.1:{stub_port}/stub",
                                   f"-web.listen-address=:{port}"])


def client_app(space, port):
    """A program that is instrumented with Prometheus' client library for Python, which speaks OpenMetrics."""
    space.start("client_app", ["env", f"PYTHONPATH={ROOT}/usr/lib/python3/dist-packages",
                               "/usr/bin/python3", TOP / "tests/e2e/client_app.py", port])
    space.wait_for_page(port)


class Prometheus:
    """@launch(name, argv) starts it; its own /metrics is an exporter, too."""

    def __init__(self, launch, scratch, name, port, config=""):
        folder = scratch / name
        folder.mkdir()
        (folder / "prometheus.yml").write_text(f"global: {{scrape_interval: 1s}}\n{config}")
        self.port = port
        self.process = launch(name, [
            ROOT / "usr/bin/prometheus", f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data", f"--web.listen-address=:{port}",
            f"--web.console.templates={folder}", f"--web.console.libraries={folder}",
            "--log.level=warn"])
