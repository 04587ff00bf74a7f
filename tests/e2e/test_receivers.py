#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""One host and many receivers of remote write: a region behind TLS, Prometheus, VictoriaMetrics, one that is
away and one that is an impostor. Each has a queue and rules of its own, and gets every sample that its rules
let through, in whatever form it takes; none waits for another.

With PERISCOPE_ORACLE=DIR, a folder of newer programs (scripts/get-oracle), they receive, too.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import sys
import time
import unittest
import urllib.parse

import e2e  # first: it finds scripts/lib
import edge
import exporters
import periscope
import rig
import tap

ORACLE = os.environ.get("PERISCOPE_ORACLE")
SIMULATE = "VMS=6,SERIES=20"
KEPT = "fly_instance_up|fly_instance_cpu.*"


class Pki:
    """Two authorities, and what the first one vouches for."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for name in ("ca", "other-ca"):
            self._openssl(name, "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE")
        for name in ("server", "client"):
            self._openssl(name, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                          "-addext", "basicConstraints=critical,CA:FALSE",
                          "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"))

    def path(self, name):
        return str(self.folder / name)

    def _openssl(self, name, *words):
        rig.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
                "-days", "2", "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"), *words)


OLD_FORM = 'version="1.0",compression="snappy"'


class PrometheusReceiver:
    """It takes the samples of a series in their order only."""
    rules = """\
    - {source_labels: [__org__], target_label: tenant}
    - {action: labeldrop, regex: __org__}
    - {action: drop, source_labels: [__name__], regex: fly_instance_cpu}
"""
    more = "    live_first: false\n"

    def __init__(self, test, name, program, form=OLD_FORM):
        self.name, self.form, self.port = name, form, periscope.free_port()
        folder = test.scratch / name
        folder.mkdir()
        (folder / "prometheus.yml").write_text("")
        self.process = test.start_process(name, [
            program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver",
            f"--web.console.templates={folder}", f"--web.console.libraries={folder}",
            "--log.level=warn"])

    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    @staticmethod
    def expected(must):
        return {(tap.relabelled(series, tenant="dev"), ts): value
                for (series, ts), value in must.items() if not series.startswith("fly_instance_cpu{")}

    def stored(self):
        query = urllib.parse.urlencode({"query": '{__name__=~".+"}[1h]', "time": f"{time.time():.3f}"})
        answer = json.loads(periscope.http_get(f"http://127.0.0.1:{self.port}/api/v1/query?{query}"))
        return samples_of(answer["data"]["result"])


class VictoriaMetricsReceiver:
    rules = f"""\
    - {{action: keep, source_labels: [__name__], regex: "{KEPT}"}}
    - {{action: labeldrop, regex: "__org__|host"}}
"""
    more = ""

    def __init__(self, test, name, program, form=OLD_FORM):
        self.name, self.form, self.port = name, form, periscope.free_port()
        self.process = test.start_process(name, [
            program, f"-storageDataPath={test.scratch / name}", f"-httpListenAddr=127.0.0.1:{self.port}",
            "-loggerLevel=ERROR"])

    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    @staticmethod
    def expected(must):
        return {(tap.relabelled(series, drop=("host",)), ts): value
                for (series, ts), value in must.items()
                if series.startswith(("fly_instance_up{", "fly_instance_cpu"))}

    def stored(self):
        periscope.http_get(f"http://127.0.0.1:{self.port}/internal/force_flush")
        lines = periscope.http_get(f"http://127.0.0.1:{self.port}/api/v1/export?match={{__name__!=%22%22}}")
        return {(tap.series(row["metric"]), ts): value for row in map(json.loads, lines.splitlines())
                for ts, value in zip(row["timestamps"], row["values"])}


class RegionReceiver:
    """Behind nginx, which speaks TLS and wants to see the host's certificate; and with tokens."""
    rules = ""
    form = 'version="2.0",compression="zstd"'

    def __init__(self, test, name, pki, more=""):
        self.name, self.folder = name, test.scratch / name
        self.folder.mkdir()
        self.port, self.tls_port = periscope.free_port(), periscope.free_port()
        self.access, self.token = self.folder / "access.yml", self.folder / "token"
        self.set_token("first")
        (self.folder / "region.yml").write_text(
            f"listen: 127.0.0.1:{self.port}\ndata: {self.folder}/data\naccess: {self.access}\n"
            "query: {latency_offset: 0s}\n")
        self.process = test.start_process(name, [periscope.BUILD / "periscope-region", "--config",
                                               self.folder / "region.yml"])
        self.nginx = edge.Nginx(self.folder / "nginx", f"""
server {{ listen 127.0.0.1:{self.tls_port} ssl; client_max_body_size 64m;
         ssl_certificate {pki.path('server.pem')}; ssl_certificate_key {pki.path('server.key')};
         ssl_client_certificate {pki.path('ca.pem')}; ssl_verify_client on;
         location / {{ proxy_pass http://127.0.0.1:{self.port}; }} }}""")
        self.nginx.start(test.start_process)
        self.more = more or (f"    token_file: {self.token}\n    tls: {{ca_file: {pki.path('ca.pem')}, "
                             f"cert_file: {pki.path('client.pem')}, key_file: {pki.path('client.key')}}}\n")

    def set_token(self, text):
        tokens = "".join(f"  {name}: {{sha256: {hashlib.sha256(name.encode()).hexdigest()}, {what}}}\n"
                         for name, what in ((text, 'organisation: "*", scopes: [host]'),
                                            ("reader", "organisation: dev, scopes: [read]")))
        replace(self.access, f"organisations: {{dev: {{}}}}\ntokens:\n{tokens}")
        replace(self.token, text + "\n")

    def url(self):
        return f"https://127.0.0.1:{self.tls_port}/api/v1/write"

    @staticmethod
    def expected(must):
        return must

    def stored(self):
        query = urllib.parse.urlencode({"query": '{__name__=~".+"}[1h]', "time": f"{time.time():.3f}"})
        answer = json.loads(rig.run("curl", "-sS", "-H", "Authorization: Bearer reader",
                                    f"http://127.0.0.1:{self.port}/api/v1/query?{query}"))
        return samples_of(answer["data"]["result"])


class Nowhere:
    """Nobody listens."""
    rules = more = ""
    name, process = "nowhere", None

    def __init__(self):
        self.port = periscope.free_port()

    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v1/write"


def replace(path, text):
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.rename(path)


def samples_of(result):
    return {(tap.series(row["metric"]), round(float(t) * 1000)): float(value)
            for row in result for t, value in row["values"]}


class Receivers(e2e.TestCase):
    def start_receivers(self):
        pki = Pki(self.scratch / "pki")
        debian = exporters.ROOT / "usr/bin"
        self.region = RegionReceiver(self, "region", pki)
        self.prometheus = PrometheusReceiver(self, "prometheus", debian / "prometheus")
        good = [self.region, self.prometheus,
                VictoriaMetricsReceiver(self, "victoria", debian / "victoria-metrics")]
        if ORACLE:
            new = pathlib.Path(ORACLE)
            good += [PrometheusReceiver(self, "prometheus-new", new / "prometheus",
                                        'version="2.0",compression="snappy"'),
                     VictoriaMetricsReceiver(self, "victoria-new", new / "victoria-metrics",
                                             'version="1.0",compression="zstd"')]
        impostor = RegionReceiver(self, "impostor", pki, more=(
            f"    token_file: {self.region.token}\n    tls: {{ca_file: {pki.path('other-ca.pem')}, "
            f"cert_file: {pki.path('client.pem')}, key_file: {pki.path('client.key')}}}\n"))
        return good, [impostor, Nowhere()]

    def start_host(self, receivers, simulate=SIMULATE):
        self.metrics_port = periscope.free_port()
        destinations = "".join(
            f"  {one.name}:\n    url: {one.url()}\n    backoff_min: 50ms\n    backoff_max: 500ms\n{one.more}" +
            (f"    relabel:\n{one.rules}" if one.rules else "") for one in receivers)
        (self.scratch / "host.yml").write_text(f"""\
host_id: d001
region: dev
interval: 500ms
own_series: false
vms_dir: {self.scratch}/vms.d
listen: 127.0.0.1:{self.metrics_port}
queue: {{dir: {self.scratch}/queue, flush: 1s}}
remote_write:
{destinations}""")
        return self.start_process("host", [
            periscope.BUILD / "periscope-host", "--config", self.scratch / "host.yml", "--simulate", simulate,
            "--tap", self.scratch / "tap"])

    def metric(self, name, destination):
        """The value of a host's metric with the label destination; None: it is not there."""
        with contextlib.suppress(OSError):
            for line in periscope.http_get(f"http://127.0.0.1:{self.metrics_port}/metrics").splitlines():
                if line.startswith(f'{name}{{destination="{destination}"'):
                    return line
        return None

    def number(self, name, destination):
        line = self.metric(name, destination)
        return line and float(line.split()[-1])

    def wait_for_metric(self, name, destination, test, seconds=60):
        rig.wait_for(f"{name} of {destination}", seconds,
                     lambda: (value := self.number(name, destination)) is not None and test(value))

    def test_all_of_them(self):
        good, bad = self.start_receivers()
        host = self.start_host(good + bad)
        for one in good:
            with self.subTest(f"{one.name} takes samples"):
                self.wait_for_metric("periscope_host_samples_sent_total", one.name, lambda n: n > 100)
                self.assertIn(one.form, self.metric("periscope_host_remote_write_form", one.name))
        self.one_stands_still(good)
        self.the_token_changes()
        host.stop()
        must, *others = tap.collected(self.scratch / "tap")
        self.assertEqual([{}, set()], others)
        self.assertGreater(len(must), 1000)
        host = self.start_host(good + bad, "VMS=0")  # nothing more comes, what is left goes out
        for one in good:
            self.wait_for_metric("periscope_host_queue_samples", one.name, lambda n: n == 0)
        for one in good:
            with self.subTest(one.name):
                self.has_it_all(one, must)
        for one in bad:
            with self.subTest(one.name):
                self.assertEqual(0, self.number("periscope_host_remote_write_up", one.name))
                self.assertEqual(0, self.number("periscope_host_samples_sent_total", one.name))
                self.assertEqual(len(must), self.number("periscope_host_queue_samples", one.name))
        self.assertEqual([], bad[0].nginx.entries())  # not one request, and so no token
        self.assertEqual(0, host.stop())

    def has_it_all(self, one, must):
        expected, stored = one.expected(must), one.stored()
        self.assertGreater(len(expected), 100)
        missing = {key: value for key, value in expected.items() if stored.get(key) != value}
        strange = {key: value for key, value in stored.items() if key not in expected}
        self.assertEqual(({}, {}), (dict(list(missing.items())[:5]), dict(list(strange.items())[:5])))
        print(f"{one.name}: {len(stored)} samples, {one.form}")

    def one_stands_still(self, good):
        """It takes connections and nothing else; meanwhile the others go on."""
        self.prometheus.process.signal(19)  # SIGSTOP
        before = {one.name: self.number("periscope_host_samples_sent_total", one.name) for one in good}
        for one in good:
            if one is not self.prometheus:
                self.wait_for_metric("periscope_host_samples_sent_total", one.name,
                                     lambda n, one=one: n > before[one.name] + 100)
        self.wait_for_metric("periscope_host_queue_samples", "prometheus", lambda n: n > 200)
        self.prometheus.process.signal(18)  # SIGCONT
        self.wait_for_metric("periscope_host_samples_sent_total", "prometheus",
                             lambda n: n > before["prometheus"] + 300)

    def the_token_changes(self):
        """First at the region: what it refuses waits. The host reads the file again of its own accord."""
        self.region.set_token("second")
        sent = self.number("periscope_host_samples_sent_total", "region")
        self.wait_for_metric("periscope_host_samples_sent_total", "region", lambda n: n > sent + 500)


if __name__ == "__main__":
    sys.exit(e2e.main_in_netns())
