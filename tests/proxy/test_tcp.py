#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Connections: connects, disconnects, bytes, failures, concurrency and proxy_id against nginx's own log."""
import sys
import time

import peers
from lab import SMOKE, Checks, Lab, Probe, Stack, settle, skip_unless_possible

EDGE, APP = ("127.0.0.1", 8080), ("127.0.1.1", 8081)
DOWNLOAD = 4 << 20


def edge_conf(lab):
    """The front of the site; one address answers, one refuses, one never answers."""
    return f"""
    server {{ listen {EDGE[0]}:{EDGE[1]}; listen [::1]:{EDGE[1]}; root {lab.scratch}/files;
      location / {{ proxy_pass http://{APP[0]}:{APP[1]}; proxy_http_version 1.0; }}
      location /file {{ try_files $uri =404; }}
      location /refused {{ proxy_pass http://127.0.1.1:9; }}
      location /silent {{ proxy_pass http://10.9.9.9:80; proxy_connect_timeout 200ms; }} }}"""


class Case:
    def __init__(self, stack):
        self.lab = lab = Lab(stack, "tcp")
        files = lab.scratch / "files"
        files.mkdir()
        (files / "file").write_bytes(b"x" * DOWNLOAD)
        lab.inside("ip", "tuntap", "add", "sink", "mode", "tap")  # nobody reads it
        lab.inside("ip", "address", "add", "10.9.9.1/24", "dev", "sink")
        lab.inside("ip", "link", "set", "sink", "up", "arp", "off")
        self.vm = lab.add_vm("web", APP[0], hostnames=["www.example.com"],
                             listeners=[f"{EDGE[0]}:{EDGE[1]}", f"[::1]:{EDGE[1]}"])
        self.silent = lab.add_vm("silent", "10.9.9.9")
        self.app = lab.nginx("app", f"server {{ listen {APP[0]}:{APP[1]}; return 200 'hello from the app'; }}")
        self.edge = lab.nginx("edge", edge_conf(lab), cgroup="proxy")
        self.checks = Checks()
        self.probe = Probe(lab, f"- {{name: edge, cgroup: {lab.cgroup}/proxy}}\n")
        self.before = self.probe.collect()

    def edge_of(self, samples, name, colour="blue"):
        return samples.sum(f"fly_edge_{name}", app="web", proxy_id=colour)

    def app_of(self, samples, name, instance=None, colour="blue", **more):
        return samples.sum(f"fly_app_{name}", instance=instance or self.vm, proxy_id=colour, **more)

    def connect(self, address=EDGE[0]):
        return peers.connect(self.lab, address, EDGE[1])


def get(path, host="www.example.com"):
    return f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()


def read_all(sock):
    size = 0
    while data := sock.recv(1 << 16):
        size += len(data)
    return size


def short_connections(case, n):
    """Each a client of its own; nothing is missing and nothing is counted twice."""
    c, log = case.checks, case.edge
    log.forget()
    for _ in range(n // 500):
        case.lab.inside("h2load", "--h1", "-n", 500, "-c", 500, "-t", 1, f"http://{EDGE[0]}:{EDGE[1]}/")
    settle()
    now, entries = case.probe.collect(), log.entries()
    c.equal("requests in the log", n, len(entries))
    for what, found in (("edge connects", case.edge_of(now, "tcp_connects_count")),
                        ("edge disconnects", case.edge_of(now, "tcp_disconnects_count")),
                        ("app connects", case.app_of(now, "tcp_connects_count")),
                        ("app disconnects", case.app_of(now, "tcp_disconnects_count")),
                        ("connect times", case.app_of(now, "connect_time_seconds_count"))):
        c.equal(what, n, found)
    c.equal("bytes to clients", sum(e["bytes"] for e in entries), case.edge_of(now, "data_out"))
    c.equal("bytes from clients", sum(e["in"] for e in entries), case.edge_of(now, "data_in"))
    # nginx's clock has milliseconds, and looks at them once for each turn of its loop.
    theirs = sum(float(e["upconn"]) for e in entries)
    ours = case.app_of(now, "connect_time_seconds_sum")
    c.that("sum of connect times is not above nginx's", 0 < ours <= theirs + n * 0.001, (ours, theirs))
    c.equal("concurrency", 0, case.app_of(now, "concurrency"))
    c.equal("nothing was lost", 0, case.probe.own("records_lost_total"))
    return now


def long_connections(case, n, before):
    """Open and idle: they are there, at once, and their bytes count before they close."""
    c = case.checks
    socks = [case.connect() for _ in range(n)]
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
        sock.recv(1 << 16)
    big = case.connect("::1")
    big.sendall(get("/file"))
    big.recv(1 << 16)
    time.sleep(0.3)
    now = case.probe.collect()
    connects = case.edge_of(now, "tcp_connects_count") - case.edge_of(before, "tcp_connects_count")
    c.equal("connects of long connections", n + 1, connects)
    c.equal("none of them ended", case.edge_of(before, "tcp_disconnects_count"),
            case.edge_of(now, "tcp_disconnects_count"))
    grown = case.edge_of(now, "data_out") - case.edge_of(before, "data_out")
    c.that("bytes of open connections count", grown > 100000, grown)
    size = read_all(big)
    for sock in socks:
        sock.close()
    big.close()
    settle(0.5)
    end = case.probe.collect()
    c.equal("all of them ended", case.edge_of(end, "tcp_connects_count"),
            case.edge_of(end, "tcp_disconnects_count"))
    c.that("the download counted once", DOWNLOAD < case.edge_of(end, "data_out") -
           case.edge_of(before, "data_out") < DOWNLOAD + n * 400 + 1000, size)
    return end


def failures(case):
    c = case.checks
    for path in ("/refused", "/refused", "/silent"):
        with case.connect() as sock:
            sock.sendall(get(path))
            read_all(sock)
    settle()
    now = case.probe.collect()
    c.equal("refused", 2, case.app_of(now, "connect_failures_count", reason="refused"))
    c.equal("given up", 1, case.app_of(now, "connect_failures_count", case.silent, reason="given_up"))
    c.equal("no connect of the silent VM", 0, case.app_of(now, "tcp_connects_count", case.silent))


def adoption(case):
    """A daemon that comes later finds what is open, and sees it end."""
    c = case.checks
    sock = case.connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
    first = len(sock.recv(1 << 16))
    late = Probe(case.lab, f"- {{name: edge, cgroup: {case.lab.cgroup}/proxy}}\n", name="late")
    late.collect()
    c.equal("adopted", 1, late.own("connections_adopted_total"))
    sock.sendall(b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
    second = len(sock.recv(1 << 16))
    settle()
    now = late.collect()
    c.equal("only what came after counts", (second, 0),
            (case.edge_of(now, "data_out"), case.edge_of(now, "tcp_connects_count")))
    c.equal("both answers are alike", first, second)
    sock.close()
    settle()
    c.equal("its end is seen", 1, case.edge_of(late.collect(), "tcp_disconnects_count"))
    late.stop()


def restarts(case):
    """A reload is the same proxy; a new main process is another one."""
    c = case.checks
    case.edge.process.signal(1)
    time.sleep(1.5)
    with case.connect() as sock:
        sock.sendall(get("/"))
        read_all(sock)
    settle()
    now = case.probe.collect()
    c.equal("nothing green after a reload", 0, case.edge_of(now, "tcp_connects_count", "green"))
    case.edge.stop()
    case.edge.start(lambda name, argv: case.lab.start(name, argv, "proxy"))
    with case.connect() as sock:
        sock.sendall(get("/"))
        read_all(sock)
    settle()
    then = case.probe.collect()
    c.equal("green after a restart", 1, case.edge_of(then, "tcp_connects_count", "green"))
    c.equal("blue stays as it was", case.edge_of(now, "tcp_connects_count"),
            case.edge_of(then, "tcp_connects_count"))


def main():
    skip_unless_possible()
    with Stack() as stack:
        case = Case(stack)
        after = short_connections(case, 2000 if SMOKE else 10000)
        after = long_connections(case, 100 if SMOKE else 1000, after)
        failures(case)
        adoption(case)
        restarts(case)
        return case.checks.done()


sys.exit(main())
