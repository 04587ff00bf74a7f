#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""periscope-region from outside: writes, queries, restarts, bad input, limits, signals, exit codes."""
import concurrent.futures
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from region_client import PROGRAM, Region, Tally, snappy_literal, write_request  # noqa: E402

tally = Tally()
check = tally.check
NOW = int(time.time())
PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


def values(region, query, **args):
    args.setdefault("time", NOW)
    return sorted(row["value"][1] for row in region.query(query, **args))


def write_and_query(r):
    text = f"temp{{room=\"a\"}} 20.5 {NOW - 30}000\ntemp{{room=\"b\"}} 19 {NOW - 30}000\n"
    check("text", r.import_text(text), 204)
    check("text of organisation", r.import_text("x 1\n", "/prometheus/dev/api/v1/import/prometheus"), 204)
    packed = gzip.compress(f"zipped 7 {NOW - 30}000\n".encode())
    check("gzip", r.request("POST", "/api/v1/import/prometheus", packed,
                            {"Content-Encoding": "gzip"})[0], 204)
    check("remote write", r.write([({"__name__": "rw", "k": "v"}, [((NOW - 30) * 1000, 1.25)]),
                                   ({"__name__": "rw", "__org__": "dev"}, [((NOW - 30) * 1000, 2)])]), 204)
    check("foreign organisation", r.write([({"__name__": "rw", "__org__": "other"}, [(NOW * 1000, 2)])]), 400)
    check_stored(r)


def check_stored(r):
    check("instant", values(r, "temp"), ["19", "20.5"])
    check("sum", values(r, "sum(temp)"), ["39.5"])
    check("remote write is there", values(r, "rw"), ["1.25", "2"])
    check("gzip is there", values(r, "zipped"), ["7"])
    status, body = r.get("/prometheus/api/v1/query_range", query="temp", start=NOW - 60, end=NOW, step=30)
    result = json.loads(body)["data"]["result"]
    check("range", [status, len(result), len(result[0]["values"])], [200, 2, 2])
    check("labels", json.loads(r.get("/api/v1/labels")[1])["data"], ["__name__", "k", "room"])
    check("values", json.loads(r.get("/api/v1/label/room/values")[1])["data"], ["a", "b"])
    series = json.loads(r.get("/api/v1/series", **{"match[]": ["temp", "rw"]})[1])["data"]
    check("series", len(series), 4)


BAD = [  # method, path, headers, body, status
    ("GET", "/", {}, None, 404),
    ("GET", "/%00", {}, None, 404),
    ("GET", "/api/v1/query?query=%zz", {}, None, 400),
    ("GET", "/api/v1/query?" + "&".join("a=1" for _ in range(5000)), {}, None, 400),
    ("GET", "/api/v1/query?query=" + "(" * 2000, {}, None, 400),
    ("GET", "/api/v1/query?query=" + "1%2b" * 7000 + "1", {}, None, 400),
    ("GET", "/api/v1/query_range?query=1&start=0&end=now&step=1ms", {}, None, 422),
    ("DELETE", "/api/v1/query", {}, None, 405),
    ("PUT", "/api/v1/write", {}, b"x" * 100000, 405),
    ("POST", "/api/v1/query", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 415),
    ("POST", "/api/v1/query", {"Content-Type": "application/x-www-form-urlencoded"}, b"a" * (2 << 20), 413),
    ("POST", "/api/v1/write", PROTOBUF, b"", 400),
    ("POST", "/api/v1/write", PROTOBUF, os.urandom(1000), (400, 413)),
    ("POST", "/api/v1/write", PROTOBUF, snappy_literal(b"\x0a\xff\xff\xff\xff\x0f"), 400),
    ("POST", "/api/v1/write", PROTOBUF, b"\xff\xff\xff\xff\x0f" + b"x" * 10, 413),
    ("POST", "/api/v1/write", {**PROTOBUF, "Content-Encoding": "zstd"}, b"x", 400),
    ("POST", "/api/v1/write", {**PROTOBUF, "Content-Type": "application/json"}, b"{}", 415),
    ("POST", "/api/v1/write", PROTOBUF, b"x" * ((32 << 20) + 1), 413),
    ("POST", "/api/v1/import/prometheus", {"Content-Encoding": "gzip"}, b"not gzip", 400),
    ("POST", "/api/v1/import/prometheus", {}, b"\x00\xff\xfe{{{\n" * 1000, 400),
    ("POST", "/api/v1/import/prometheus", {}, b"a" * 1000000, 400),
    ("POST", "/api/v1/import/prometheus", {}, b"old 1 5\n", 400),
]


def bad_input(r):
    for method, path, headers, body, want in BAD:
        what = f"{method} {path[:60]}"
        try:
            status, answer, got = r.request(method, path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            check(what, "reset", want)
            continue
        check(what, status in want if isinstance(want, tuple) else status, True if isinstance(want, tuple) else want)
        check(what + " is JSON", json.loads(answer)["status"], "error")
        check(what + " type", got.get("Content-Type"), "application/json")
        check(what + " Allow", "Allow" in got, want == 405)
    check("alive after bad input", r.get("/health")[0], 200)


RAW = [b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00", b"A" * 200000,
       b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 200000 + b"\r\n\r\n",
       b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
       b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
       b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       b"GET /api/v1/query?query=1 HTTP/1.1\r\nHost: x\r\n\r\n" * 20]


def raw_bytes(r):
    """Whatever comes over the socket, and however it ends, the next client is served."""
    for data in RAW:
        with socket.create_connection((r.host, r.port), timeout=5) as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:  # reset, timed out: the server's right
                pass
        check(f"alive after raw {data[:30]!r}", r.get("/health")[0], 200)


def chunked(r):
    lines = (f"chunk{{i=\"{i}\"}} {i} {NOW - 30}000\n".encode() for i in range(1000))
    conn = r.connect()
    conn.request("POST", "/api/v1/import/prometheus", lines, {}, encode_chunked=True)
    check("chunked body", conn.getresponse().status, 204)
    conn.close()
    check("chunked body is there", values(r, "count(chunk)"), ["1000"])


def keep_alive(r):
    conn = r.connect()
    statuses = []
    for path in ["/health", "/nothing", "/api/v1/query?query=1", "/api/v1/query?query=(", "/metrics"]:
        conn.request("GET", path)
        answer = conn.getresponse()
        answer.read()
        statuses.append(answer.status)
    conn.request("POST", "/api/v1/import/prometheus", f"kept 1 {NOW - 30}000\n")
    answer = conn.getresponse()
    answer.read()
    check("one connection, six requests", statuses + [answer.status], [200, 404, 200, 400, 200, 204])
    conn.close()


def many_clients(r):
    def one(i):
        if i % 3 == 0:
            return r.write([({"__name__": "many", "i": str(i)}, [((NOW - 30) * 1000, i)])]) == 204
        if i % 3 == 1:
            return r.import_text(f"many{{i=\"{i}\"}} {i} {NOW - 30}000\n") == 204
        return r.get("/api/v1/query", query="sum(many)")[0] == 200

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        check("40 clients at a time", all(pool.map(one, range(600))))
    check("what they wrote", values(r, "count(many)"), ["400"])


def big_answer(r):
    rows = "".join(f"wide{{i=\"{i}\"}} {i} {NOW - 600}000\n" for i in range(3000))
    check("3,000 series", r.import_text(rows), 204)
    status, body = r.get("/api/v1/query_range", query="last_over_time(wide[5m])", start=NOW - 600, end=NOW - 350, step=1)
    answer = json.loads(body)
    check("streamed answer", [status, len(answer["data"]["result"])], [200, 3000])
    check("its size", len(body) > 10_000_000)
    check("its sum", sum(len(s["values"]) for s in answer["data"]["result"]), 3000 * 251)
    with socket.create_connection((r.host, r.port)) as s:  # a reader that leaves
        s.sendall(f"GET /api/v1/query_range?query=wide&start={NOW - 600}&end={NOW}&step=1 HTTP/1.1\r\n"
                  "Host: x\r\n\r\n".encode())
        s.recv(1000)
    check("alive after a reader left", r.get("/health")[0], 200)


def own_metrics(r):
    status, body = r.get("/metrics")
    text = body.decode()
    check("metrics", status, 200)
    for want in ('periscope_region_http_requests_total{route="/api/v1/write",status="204"} ',
                 "periscope_region_http_refused_large_total ", "periscope_region_store_series ",
                 "periscope_region_ingest_bad_lines_total "):
        check(f"metrics have {want}", want in text)
    check("import takes our own metrics", r.import_text(text), 204)


def stops_gently(data):
    """Requests that are running when SIGTERM comes are answered."""
    r = Region(data)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(r.get, "/api/v1/query", query="count(wide)", time=NOW - 590) for _ in range(8)]
        time.sleep(0.02)
        code = r.stop()
        answers = []
        for f in running:
            try:
                answers.append(f.result()[0])
            except OSError:  # was not accepted yet
                pass
    check("exit code of SIGTERM", code, 0)
    check("running requests were answered", set(answers) <= {200, 503})


def exit_code(*args, stdin=None):
    p = subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=30, input=stdin)
    return p.returncode, p.stdout + p.stderr


def settings(folder):
    path = os.path.join(folder, "region.yml")

    def conf(text):
        with open(path, "w") as f:
            f.write(text)
        return path

    good = f"listen: 127.0.0.1:0\ndata: {folder}/conf-data\norganisations: [one, two]\n"
    check("help", exit_code("--help")[0], 0)
    check("version", exit_code("--version")[1].startswith("periscope-region "))
    check("unknown option", exit_code("--nosuch")[0], 2)
    check("dev without data", exit_code("--dev")[0], 2)
    check("no file", exit_code("--config", "/nonexistent.yml")[0], 6)
    for text, word in [("nosuch: 1\n", "yml:1: unknown key \"nosuch\""),
                       (good + "retention: 5 parsecs\n", "yml:4: key \"retention\""),
                       ("listen: 127.0.0.1:0\n", "yml: organisations"), (good + "listen: x\n", "yml:4: key \"listen\""),
                       ("organisations: [a]\nlisten: nowhere\n", "yml:2: listen: \"nowhere\" is not an address"),
                       ("organisations: [a, a]\n", "yml:1: organisations: a is named twice"),
                       ("organisations: [UPPER]\n", "slug")]:
        code, out = exit_code("--config", conf(text), "--check-config")
        check(f"bad settings {text!r}", [code, word in out], [6, True])
    for address in ("0.0.0.0:0", ":0", "192.0.2.1:80", "[::]:0"):
        code, out = exit_code("--dev", "--data", folder + "/x", "--listen", address)
        check(f"refuses {address}", [code, "--listen: " in out, "loopback" in out], [6, True, True])
    check("good settings", exit_code("--config", conf(good), "--check-config")[0], 0)
    printed = exit_code("--config", path, "--print-config")[1]
    check("printed settings are settings", exit_code("--config", conf(printed), "--check-config")[0], 0)
    conf(good)
    reload_settings(path, conf, good)


def reload_settings(path, conf, good):
    r = Region(None, "--config", path, dev=False)
    check("two organisations", [r.import_text("a 1\n"), r.import_text("b 1\n", "/prometheus/two/api/v1/import/prometheus")],
          [204, 204])
    check("they are apart", [json.loads(r.get(p + "/api/v1/label/__name__/values")[1])["data"]
                             for p in ("/prometheus/one", "/prometheus/two", "")], [["a"], ["b"], ["a"]])
    check("before the reload", r.get("/api/v1/query", query="1+1")[0], 200)
    conf(good + "query:\n  text_max: 16B\n")
    r.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 10
    long = "1+1+1+1+1+1+1+1+1+1"
    while r.get("/api/v1/query", query=long)[0] == 200 and time.monotonic() < until:
        time.sleep(0.02)
    check("SIGHUP lowers a limit", r.get("/api/v1/query", query=long)[0], 422)
    for text in (good + "query:\n  text_max: 1MiB\n  workers: 9\n", "nonsense"):
        conf(text)
        r.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        check(f"SIGHUP keeps the old settings, {text[-20:]!r}", r.get("/api/v1/query", query=long)[0], 422)
    r.process.send_signal(signal.SIGUSR1)
    check("stops", r.stop(), 0)
    log = r.read_log()
    check("the log says so", ["reloaded" in log, "needs a restart" in log, "msg=state" in log], [True, True, True])


def one_at_a_time(data):
    r = Region(data)
    code, out = exit_code("--dev", "--data", data, "--listen", "127.0.0.1:0")
    check("a second process on the folder", code, 1)
    code, out = exit_code("--dev", "--data", data + "-2", "--listen", f"127.0.0.1:{r.port}")
    check("a taken port", [code, "in use" in out], [1, True])
    check("stops", r.stop(signal.SIGINT), 0)


def main():
    folder = tempfile.mkdtemp(prefix="periscope-smoke-")
    data = os.path.join(folder, "data")
    try:
        r = Region(data)
        write_and_query(r)
        for part in (bad_input, raw_bytes, keep_alive, own_metrics):
            part(r)
        check("exit code", r.stop(), 0)
        shutil.rmtree(data)
        r = Region(data)
        write_and_query(r)
        r.stop(signal.SIGKILL)
        r = Region(data)  # after a kill
        check_stored(r)
        check("exit code", r.stop(), 0)
        r = Region(data)  # after a clean end
        check_stored(r)
        for part in (chunked, many_clients, big_answer):
            part(r)
        check("exit code", r.stop(), 0)
        stops_gently(data)
        one_at_a_time(data)
        settings(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tally.finish()


main()
