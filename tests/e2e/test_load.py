#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""500 connections at once: valid requests, wrong and unauthorised ones, broken ones and clients that are slow.
No crash, no 5xx to a valid request, no memory that stays. LOAD_SECONDS=60 for a longer one.

Exit code 77 without wrk.
"""
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from region_client import Region, Tally

SECONDS = int(os.environ.get("LOAD_SECONDS", "5"))
tally = Tally()
check = tally.check
folder = tempfile.mkdtemp(prefix="periscope-load-")

# Paths in turn, with a token or without; counts the answers by status.
SCRIPT = """
local paths, token, n = {%s}, "%s", 0
request = function()
  n = n + 1
  return wrk.format(nil, paths[n %% #paths + 1], token ~= "" and {["Authorization"] = "Bearer " .. token} or {})
end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() statuses = "" seen = {} end
function response(status)
  seen[status] = (seen[status] or 0) + 1
  statuses = ""
  for k, v in pairs(seen) do statuses = statuses .. k .. "=" .. v .. " " end
end
function done() for _, t in ipairs(threads) do print("STATUS " .. t:get("statuses")) end end
"""
VALID = ["/api/v1/query?query=sum(rate(load_total%5B5m%5D))%20by%20(app)", "/api/v1/labels", "/api/v1/label/app/values",
         "/api/v1/series?match%5B%5D=load_total", "/api/v1/query_range?query=load_total&start=now-10m&end=now&step=15s",
         "/api/v1/export?match%5B%5D=load_total", "/federate?match%5B%5D=load_total", "/health"]
WRONG = ["/api/v1/query?query=sum(", "/nothing", "/api/v1/series", "/prometheus/other/api/v1/labels", "/api/v1/query?query=%zz",
         "/api/v1/query?query=1&time=yesterday"]


def wrk(r, name, paths, token, connections):
    path = os.path.join(folder, name + ".lua")
    with open(path, "w") as f:
        f.write(SCRIPT % (", ".join(f'"{p}"' for p in paths), token))
    return subprocess.Popen(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "30s", "-s", path,
                             f"http://{r.host}:{r.port}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def statuses(process):
    out = process.communicate(timeout=SECONDS + 120)[0]
    counts = {}
    for status, n in re.findall(r"(\d+)=(\d+)", "".join(re.findall(r"STATUS (.*)", out))):
        counts[int(status)] = counts.get(int(status), 0) + int(n)
    if not counts:
        print(out, file=sys.stderr)
    return counts


def nuisance(r, until):
    """Heads that do not end, bytes that are no HTTP, bodies that never come, answers that nobody reads."""
    heads = [b"GET /api/v1/labels HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"\x00\xff\x16\x03garbage\r\n\r\n",
             b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
             b"GET /api/v1/export?match%5B%5D=load_total HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer load\r\n\r\n" * 20]
    open_ones = []
    while time.monotonic() < until:
        while len(open_ones) < 100 and time.monotonic() < until:
            s = socket.socket()
            s.setblocking(False)
            try:
                s.connect((r.host, r.port))
            except BlockingIOError:
                pass
            open_ones.append(s)
        for i, s in enumerate(open_ones):
            try:
                s.send(heads[i % len(heads)])
            except (BlockingIOError, OSError):
                pass
        time.sleep(0.2)
        for s in open_ones[::3]:
            s.close()
        open_ones = [s for s in open_ones if s.fileno() >= 0]
    for s in open_ones:
        s.close()


def rss_kib(r):
    with open(f"/proc/{r.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def round_of_load(r):
    until = time.monotonic() + SECONDS
    pests = threading.Thread(target=nuisance, args=(r, until))
    pests.start()
    valid, wrong = wrk(r, "valid", VALID, "load", 200), wrk(r, "wrong", WRONG, "load", 100)
    nobody = wrk(r, "nobody", VALID[:-1], "", 100)
    check("health is answered meanwhile", r.get("/health")[0], 200)
    of_valid, of_wrong, of_nobody = statuses(valid), statuses(wrong), statuses(nobody)
    pests.join()
    print(f"valid {of_valid}, wrong {of_wrong}, unauthorised {of_nobody}", file=sys.stderr)
    check("valid requests are answered", of_valid.get(200, 0) > 0)
    check("with no 5xx", [s for s in of_valid if s >= 500], [])
    check("only turned away when too many wait", set(of_valid) <= {200, 429})
    check("wrong ones are told so", set(of_wrong) <= {400, 403, 404, 429} and of_wrong.get(400, 0) > 0)
    check("nobody gets in", set(of_nobody), {401})


def main():
    if not shutil.which("wrk"):
        print("skip: missing wrk")
        return 77
    with open(os.path.join(folder, "access.yml"), "w") as f:
        f.write(f"organisations: {{acme: {{}}, other: {{}}}}\ntokens:\n  load: {{sha256: {hashlib.sha256(b'load').hexdigest()}, "
                "organisation: acme, scopes: [read, write]}\n")
    with open(os.path.join(folder, "region.yml"), "w") as f:
        f.write(f"listen: 127.0.0.1:0\ndata: {folder}/data\naccess: {folder}/access.yml\nhttp: {{idle_timeout: 5s, body_timeout: 5s}}\n")
    r = Region(None, "--config", os.path.join(folder, "region.yml"), dev=False)
    now = int(time.time() * 1000)
    text = "".join(f'load_total{{app="a{i}"}} {k} {now - k * 15000}\n' for i in range(50) for k in range(40))
    check("data", r.request("POST", "/api/v1/import/prometheus", text.encode(), {"Authorization": "Bearer load"})[0], 204)
    round_of_load(r)  # its memory is what the program needs for as many requests
    first = rss_kib(r)
    round_of_load(r)
    second = rss_kib(r)
    print(f"{first} KiB after the first round, {second} KiB after the second", file=sys.stderr)
    check("memory is the same after a second round", second < first * 1.5 + 32768)
    check("it stops", r.stop(), 0)
    return None


code = main()
shutil.rmtree(folder, ignore_errors=True)
if code:
    sys.exit(code)
tally.finish()
