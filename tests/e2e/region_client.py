# SPDX-License-Identifier: BSD-2-Clause
"""Starts periscope-region for a test and speaks to it: HTTP, remote write, text. Standard library only."""
import atexit
import http.client
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("PERISCOPE_REGION") or os.path.join(
    ROOT, os.environ.get("O", "build/release"), "periscope-region")


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def snappy_literal(data):
    """A snappy block of literals only: valid, if not small."""
    out = bytearray(varint(len(data)))
    for i in range(0, len(data), 65536):
        piece = data[i:i + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def write_request(series):
    """series: [({label: value}, [(ts_ms, value)])] as an uncompressed prometheus.WriteRequest."""
    out = b""
    for labels, samples in series:
        body = b"".join(field(1, field(1, k.encode()) + field(2, v.encode()))
                        for k, v in sorted(labels.items()))
        body += b"".join(field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + varint(ts % 2**64))
                         for ts, v in samples)
        out += field(1, body)
    return out


class Region:
    """One running program. `url` is host:port."""

    def __init__(self, data, *args, dev=True):
        self.port_file = tempfile.mktemp(prefix="periscope-port-")
        self.log = tempfile.TemporaryFile("w+")
        command = [PROGRAM, "--port-file", self.port_file, *args]
        if dev:
            command += ["--dev", "--listen", "127.0.0.1:0", "--data", data,
                        "--latency-offset", "0s"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        atexit.register(self.process.kill)  # a test that fails leaves nobody behind
        self.host, self.port = self.wait_for_port()

    def wait_for_port(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"periscope-region ended with {self.process.returncode}: "
                                   f"{self.read_log()}")
            try:
                with open(self.port_file) as f:
                    host, port = f.read().rsplit(":", 1)
                os.unlink(self.port_file)
                return host, int(port)
            except (FileNotFoundError, ValueError):
                time.sleep(0.005)
        raise RuntimeError("periscope-region did not start within 60 s")

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def connect(self, timeout=30):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        conn = self.connect()
        try:
            conn.request(method, path, body, headers or {})
            response = conn.getresponse()
            return response.status, response.read(), dict(response.getheaders())
        finally:
            conn.close()

    def get(self, path, **args):
        if args:
            path += "?" + urllib.parse.urlencode(args, doseq=True)
        status, body, _ = self.request("GET", path)
        return status, body

    def query(self, text, prefix="", **args):
        status, body = self.get(prefix + "/api/v1/query", query=text, **args)
        answer = json.loads(body)
        if status != 200:
            raise RuntimeError(f"{text}: {status} {answer}")
        return answer["data"]["result"]

    def write(self, series, path="/api/v1/write"):
        return self.request("POST", path, snappy_literal(write_request(series)), {
            "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0"})[0]

    def import_text(self, text, path="/api/v1/import/prometheus"):
        return self.request("POST", path, text.encode())[0]

    def stop(self, sig=signal.SIGTERM, timeout=30):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(timeout)


class Tally:
    """Counts checks, prints the failed ones, ends the program."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, got, want=True):
        if got == want:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAIL {what}: want {want!r}, got {got!r}", file=sys.stderr)
        return got == want

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
