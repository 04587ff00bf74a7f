#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The region as a server of many: tokens over the wire, organisations in turn, clients that are slow, that
hang up, that like their answers packed, or that are web pages. Standard library only."""
import gzip
import hashlib
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.parse

from region_client import Region, Tally

tally = Tally()
check = tally.check

# Half a minute of work for one worker, in many small steps.
SLOW = "/api/v1/query_range?" + urllib.parse.urlencode(
    {"query": "quantile_over_time(0.5, slow[1h:1s])", "start": "now-1h", "end": "now", "step": "1m", "timeout": "60s"})


def import_slow(r, token=None):
    stamp = int(time.time() * 1000) - 1800000
    lines = "".join(f'slow{{i="{i}"}} {i} {stamp}\nslow{{i="{i}"}} {i} {stamp + 290000}\n' for i in range(20000))
    return r.request("POST", "/api/v1/import/prometheus", lines.encode(), bearer(token) if token else {})[0]


def access_file(path, text, tokens):
    with open(path + ".new", "w") as f:
        f.write(text + "tokens:\n")
        for name, rest in tokens.items():
            f.write(f"  {name}: {{sha256: {hashlib.sha256(name.encode()).hexdigest()}, {rest}}}\n")
    os.rename(path + ".new", path)


def start(folder, conf="", tokens=True):
    path = os.path.join(folder, "region.yml")
    with open(path, "w") as f:
        f.write(f"listen: 0.0.0.0:0\ndata: {folder}/data\naccess: {folder}/access\n" + conf)
    return Region(None, "--config", path, dev=False)


def bearer(token):
    return {"Authorization": "Bearer " + token}


def get(r, path, token=None, **headers):
    status, body, got = r.request("GET", path, headers={**(bearer(token) if token else {}), **headers})
    return status, body, got


def until(what, seconds, test):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            return check(what, False)
        time.sleep(0.02)
    return check(what, True)


def tokens_over_the_wire(folder):
    """A region that can be reached from outside, because it has tokens; and files that change."""
    access = folder + "/access/tokens.yml"
    access_file(access, "organisations: {acme: {}, other: {}}\n", {
        "reader": "organisation: acme, scopes: [read]", "writer": "organisation: acme, scopes: [write]",
        "operator": 'organisation: "*", scopes: [admin]'})
    r = start(folder)
    r.host = "127.0.0.1"
    status, body, got = get(r, "/api/v1/labels")
    check("no token", [status, json.loads(body)["errorType"]], [401, "unauthorized"])
    check("the challenge", "Bearer" in got.get("WWW-Authenticate", ""))
    check("health needs none", get(r, "/health")[0], 200)
    check("read", get(r, "/api/v1/labels", "reader")[0], 200)
    check("read by path", get(r, "/prometheus/acme/api/v1/labels", "reader")[0], 200)
    check("another organisation", get(r, "/prometheus/other/api/v1/labels", "reader")[0], 403)
    check("write with a token to read", r.request("POST", "/api/v1/import/prometheus", b"x 1\n", bearer("reader"))[0], 403)
    check("write", r.request("POST", "/api/v1/import/prometheus", b"x 1\n", bearer("writer"))[0], 204)
    check("FlyV1 for an opaque one", get(r, "/api/v1/labels", None, Authorization="FlyV1 reader")[0], 200)
    check("metrics are the operator's", [get(r, "/metrics", t)[0] for t in ("reader", "operator")], [403, 200])

    access_file(access, "organisations: {acme: {}}\n", {
        "operator": 'organisation: "*", scopes: [admin]', "fresh": "organisation: acme, scopes: [read]"})
    until("a new token is known without a signal", 5, lambda: get(r, "/api/v1/labels", "fresh")[0] == 200)
    check("the old one is gone", get(r, "/api/v1/labels", "reader")[0], 401)
    with open(access, "a") as f:
        f.write("  nonsense: [\n")
    metric = b"\nperiscope_region_access_reload_failed 1\n"
    until("a bad file is told", 5, lambda: metric in get(r, "/metrics", "operator")[1])
    check("and changes nothing", get(r, "/api/v1/labels", "fresh")[0], 200)
    check("stops", r.stop(), 0)
    log = r.read_log()
    check("the log names the file", "tokens.yml" in log)
    check("no token is in the log", [t for t in ("reader", "writer", "fresh") if f'"{t}"' in log], [])


def packed_answers(r):
    stamp = int(time.time() * 1000) - 5000
    lines = "".join(f'packed{{i="{i}"}} {i} {stamp}\n' for i in range(20000))
    check("import", r.import_text(lines), 204)
    path = "/api/v1/query?" + urllib.parse.urlencode({"query": "packed", "time": stamp / 1000 + 1})
    plain = get(r, path)[1]
    status, body, got = get(r, path, **{"Accept-Encoding": "gzip"})
    check("gzip", [status, got.get("Content-Encoding"), got.get("Vary")], [200, "gzip", "Accept-Encoding"])
    unpacked = gzip.decompress(body)
    drop = lambda b: json.loads(b)["data"]
    check("gzip is the same", drop(unpacked) == drop(plain))
    check("gzip is smaller", len(body) < len(plain) / 5)
    status, body, got = get(r, path, **{"Accept-Encoding": "gzip, zstd"})
    check("zstd", [got.get("Content-Encoding"), body[:4], len(body) < len(plain) / 5], ["zstd", b"\x28\xb5\x2f\xfd", True])
    check("a short answer stays plain", get(r, "/health", **{"Accept-Encoding": "gzip"})[2].get("Content-Encoding"), None)


def other_origins(folder):
    r = Region(folder + "/dev")
    page = {"Origin": "https://page.example"}
    got = r.request("GET", "/api/v1/labels", headers=page)[2]
    check("no origin is allowed by default", [k for k in got if k.startswith("Access-Control")], [])
    check("nor asked for", r.request("OPTIONS", "/api/v1/query", headers=page)[0], 405)
    packed_answers(r)
    check("stops", r.stop(), 0)
    access_file(folder + "/access/tokens.yml", "", {"reader": "organisation: acme, scopes: [read]"})
    r = start(folder, "organisations: [acme]\nhttp:\n  cors_origins: [\"https://page.example\"]\n")
    r.host = "127.0.0.1"
    status, _, got = r.request("OPTIONS", "/api/v1/query", headers=page)
    check("preflight", [status, got.get("Access-Control-Allow-Origin"), "Authorization" in got.get("Access-Control-Allow-Headers", "")],
          [204, "https://page.example", True])
    status, _, got = r.request("GET", "/api/v1/query?query=1", headers={**page, **bearer("reader")})
    check("its request", [status, got.get("Access-Control-Allow-Origin")], [200, "https://page.example"])
    status, _, got = r.request("GET", "/api/v1/query?query=1", headers=page)
    check("without a token", [status, got.get("Access-Control-Allow-Origin")], [401, "https://page.example"])
    got = r.request("GET", "/health", headers={"Origin": "https://evil.example"})[2]
    check("another origin", got.get("Access-Control-Allow-Origin"), None)
    check("stops", r.stop(), 0)


def value(r, name):
    for line in r.get("/metrics")[1].decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return None


def active(r):
    return json.loads(r.get("/api/v1/status/active_queries")[1])["data"]


def send(r, path, *headers):
    s = socket.create_connection((r.host, r.port), timeout=30)
    s.sendall(("\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers]) + "\r\n\r\n").encode())
    return s


def hanging_up(folder):
    """A query ends soon after its client is gone; those that wait are not begun."""
    r = Region(folder + "/hang")
    import_slow(r)
    begin = time.monotonic()
    clients = [send(r, SLOW) for _ in range(8)]
    until("four run", 10, lambda: len(active(r)) == 4)
    check("health answers meanwhile", r.get("/health")[0], 200)
    for s in clients:
        s.close()
    until("none runs", 5, lambda: not active(r))
    until("those that waited were dropped", 5, lambda: value(r, "periscope_region_http_cancelled_total") == 4)
    check("all of it took less than one would have", time.monotonic() - begin < 15)
    check("stops", r.stop(), 0)


def in_turn(folder):
    """While one organisation has twenty long queries, another one's short query is answered."""
    access_file(folder + "/access/tokens.yml", "", {
        "greedy": "organisation: a, scopes: [read, write]", "modest": "organisation: b, scopes: [read]"})
    r = start(folder, "organisations: [a, b]\nquery:\n  workers: 2\n  organisation_waiting_max: 10\n")
    r.host = "127.0.0.1"
    import_slow(r, "greedy")
    clients = [send(r, SLOW, "Authorization: Bearer greedy") for _ in range(20)]
    begin = time.monotonic()
    status = get(r, "/api/v1/query?query=1", "modest")[0]
    check("the other one is served", [status, time.monotonic() - begin < 2], [200, True])
    statuses = []
    for s in clients:
        s.settimeout(0.2)
        try:
            statuses.append(s.recv(4096).split(b"\r\n")[0])
        except socket.timeout:
            pass
        s.close()
    # One runs and ten wait, unless all came before the first was begun.
    check("above its share it is told so", [len(statuses) in (9, 10), set(statuses)],
          [True, {b"HTTP/1.1 429 Too Many Requests"}])
    check("stops", r.stop(), 0)


def slow_clients(folder):
    path = os.path.join(folder, "slow.yml")
    with open(path, "w") as f:
        f.write(f"listen: 127.0.0.1:0\ndata: {folder}/slow\norganisations: [dev]\nhttp:\n  idle_timeout: 1s\n  body_timeout: 1s\n")
    r = Region(None, "--config", path, dev=False)

    def dribble(first, piece):
        s = socket.create_connection((r.host, r.port), timeout=10)
        begin = time.monotonic()
        try:
            s.sendall(first)
            while time.monotonic() - begin < 8:
                time.sleep(0.2)
                s.sendall(piece)
                s.setblocking(False)
                try:
                    if s.recv(1000) == b"":
                        break
                except BlockingIOError:
                    pass
                s.setblocking(True)
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.close()
        return time.monotonic() - begin

    took = {}
    threads = [threading.Thread(target=lambda k=k, a=a: took.update({k: dribble(*a)})) for k, a in {
        "head": (b"GET / HTTP/1.1\r\n", b"X: y\r\n"), "line": (b"GET /", b"a"),
        "body": (b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"z")}.items()]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("dribbling clients are closed", {k: v < 5 for k, v in took.items()}, {"head": True, "line": True, "body": True})
    check("and counted", value(r, "periscope_region_http_refused_slow_total") >= 3)
    check("stops", r.stop(), 0)


def reader_that_stops(folder):
    """A client that does not read a long answer holds up nobody, and stopping does not wait for it."""
    path = os.path.join(folder, "reader.yml")
    with open(path, "w") as f:
        f.write(f"listen: 127.0.0.1:0\ndata: {folder}/reader\norganisations: [dev]\nhttp:\n  stop_timeout: 1s\n"
                "query:\n  latency_offset: 0s\n")
    r = Region(None, "--config", path, dev=False)
    stamp = int(time.time() * 1000) - 5000
    for part in range(5):
        r.import_text("".join(f'long{{i="{part}-{i}",pad="{"x" * 2000}"}} 1 {stamp}\n' for i in range(1000)))
    clients = [send(r, "/api/v1/series?match[]=long&limit=30000") for _ in range(4)]
    clients += [send(r, "/api/v1/query?query=long") for _ in range(8)]
    time.sleep(0.5)
    begin = time.monotonic()
    check("others are served", [r.get("/api/v1/query", query="1")[0], time.monotonic() - begin < 5], [200, True])
    for s in clients[:6]:
        s.close()
    check("and after some have gone", r.get("/api/v1/query", query="count(long)")[0], 200)
    begin = time.monotonic()
    r.process.terminate()
    check("stops all the same", r.process.wait(60), 0)
    check("within the time to stop", time.monotonic() - begin < 10)


def main():
    folder = tempfile.mkdtemp(prefix="periscope-server-")
    os.mkdir(folder + "/access")
    try:
        for part in (tokens_over_the_wire, other_origins, hanging_up, in_turn, slow_clients, reader_that_stops):
            begin = time.monotonic()
            part(folder)
            print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tally.finish()


main()
