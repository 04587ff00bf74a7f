#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The programs that people point at a Prometheus or VictoriaMetrics, unmodified, at the region: promtool, the
Prometheus agent, a federating Prometheus, vmagent, vmalert with Alertmanager, vmalert's replay, vmauth, vmctl
both ways. Debian's (scripts/exporters), or with PERISCOPE_ORACLE=DIR newer ones where that folder has them.

Exit code 77 where they are not to be had.
"""
import atexit
import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from region_client import ROOT, Region, Tally

tally = Tally()
check = tally.check
BIN = os.path.join(ROOT, "build/exporters/root/usr/bin")
ORACLE = os.environ.get("PERISCOPE_ORACLE", "")
folder = tempfile.mkdtemp(prefix="periscope-clients-")
running = []


def newer(name):
    return ORACLE and os.access(os.path.join(ORACLE, name), os.X_OK)


def program(name):
    return os.path.join(ORACLE if newer(name) else BIN, name)


def path(name):
    return os.path.join(folder, name)


def put(name, text):
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(name, *args, wrapper=()):
    log = open(path(name + ".log"), "w")
    p = subprocess.Popen([*wrapper, program(name), *args], stdout=log, stderr=log, cwd=folder)
    atexit.register(p.kill)
    running.append(p)
    return p


def stop(p):
    p.terminate()
    try:
        p.wait(20)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()


def run(name, *args, seconds=120):
    r = subprocess.run([program(name), *args], capture_output=True, text=True, timeout=seconds, cwd=folder)
    return r.returncode, r.stdout + r.stderr


def fetch(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError:
        return 0, ""


def value(url, query, **headers):
    """Of an instant query; None when there is nothing."""
    status, body = fetch(url + "/api/v1/query?" + urllib.parse.urlencode({"query": query}), **headers)
    result = json.loads(body)["data"]["result"] if status == 200 else []
    return float(result[0]["value"][1]) if result else None


def until(what, test, seconds=60):
    end = time.monotonic() + seconds
    while not test() and time.monotonic() < end:
        time.sleep(0.2)
    return check(what, bool(test()))


# --- what is asked for, and where ------------------------------------------------------------------------

now = int(time.time())


def series(name, **labels):
    text = ",".join(f'{k}="{v}"' for k, v in labels.items())
    return "".join(f"{name}{{{text}}} {(t - now) // 15 + 1000} {t * 1000}\n" for t in range(now - 1800, now, 15))


DATA = ("# HELP fly_instance_up Whether it runs.\n# TYPE fly_instance_up gauge\n" + series("fly_instance_up", app="web", n="1") +
        series("fly_instance_up", app="web", n="2") + "# TYPE reqs_total counter\n" + series("reqs_total", app="web") +
        "# TYPE lat histogram\n" + series("lat_bucket", le="1") + series("lat_bucket", le="+Inf") + series("lat_count") +
        series("lat_sum"))


def closed_region():
    tokens = "".join(f"  {name}: {{sha256: {hashlib.sha256(name.encode()).hexdigest()}, organisation: acme,"
                     f" scopes: [read, write]}}\n" for name in ("team-token", "fm-token"))
    put("access.yml", "organisations: {acme: {}, other: {}}\ntokens:\n" + tokens)
    put("region.yml", f"listen: 127.0.0.1:0\ndata: {path('closed')}\naccess: {path('access.yml')}\n"
        "query: {latency_offset: 0s}\n")
    return Region(None, "--config", path("region.yml"), dev=False)


def promtool(base):
    code, out = run("promtool", "query", "instant", base, "count(fly_instance_up)")
    check("promtool instant", (code, out.startswith("{} => 2 @")), (0, True))
    code, out = run("promtool", "query", "range", base, "sum(fly_instance_up)", f"--start={now - 600}", f"--end={now - 60}",
                    "--step=5m")
    check("promtool range", (code, out.count(" @[")), (0, 2))
    code, out = run("promtool", "query", "series", base, "--match=fly_instance_up")
    check("promtool series", (code, out.count("fly_instance_up")), (0, 2))
    code, out = run("promtool", "query", "labels", base, "app")
    check("promtool labels", (code, out.split()), (0, ["web"]))


def agent(base, target):
    """Scrapes @target and writes it, with a token in the scheme of Fly."""
    put("agent.yml", f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: agent, static_configs: [{{targets: ['{target}']}}]}}]
remote_write:
- url: {base}/api/v1/write
  authorization: {{type: FlyV1, credentials: team-token}}
  queue_config: {{batch_send_deadline: 1s}}
  metadata_config: {{send_interval: 1s}}
""")
    words = ["--agent"] if "]agent " in run("prometheus", "--help")[1] else ["--enable-feature=agent"]
    return start("prometheus", *words, "--config.file=agent.yml", "--storage.agent.path=" + path("agent"),
                 f"--web.listen-address=127.0.0.1:{free_port()}")


def federation(host):
    """A Prometheus that federates us knows the types of what it gets."""
    port = free_port()
    put("federate.yml", f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- {{job_name: fed, honor_labels: true, metrics_path: /prometheus/acme/federate, params: {{'match[]': ['{{__name__=~".+"}}']}},
   authorization: {{type: FlyV1, credentials: team-token}}, static_configs: [{{targets: ['{host}']}}]}}
""")
    p = start("prometheus", "--config.file=federate.yml", "--storage.tsdb.path=" + path("tsdb"),
              f"--web.listen-address=127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"
    until("a Prometheus federates", lambda: value(url, "count(fly_instance_up)") == 2)

    def types():
        status, body = fetch(url + "/api/v1/targets/metadata")
        return {m["metric"]: (m["type"], m["help"]) for m in json.loads(body)["data"]} if status == 200 else {}

    until("types arrive", lambda: types().get("reqs_total", types().get("reqs", ("",)))[0] == "counter" and
          types().get("lat", ("",))[0] == "histogram")
    check("and helps", types().get("fly_instance_up"), ("gauge", "Whether it runs."))
    stop(p)


def vmagent(base, target):
    put("scrape.yml", f"global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: vmagent, static_configs: "
        f"[{{targets: ['{target}']}}]}}]\n")
    return start("vmagent", "-promscrape.config=scrape.yml", f"-remoteWrite.url={base}/api/v1/write",
                 "-remoteWrite.bearerToken=team-token", "-remoteWrite.tmpDataPath=" + path("queue"),
                 f"-httpListenAddr=127.0.0.1:{free_port()}", "-remoteWrite.flushInterval=1s")


class Webhook(http.server.BaseHTTPRequestHandler):
    got = []

    def do_POST(self):
        Webhook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


RULES = """
groups:
- name: g
  interval: 1s
  rules:
  - {record: "app:reqs:sum", expr: "sum(reqs_total) by (app)"}
  - {alert: TooMany, expr: "count(fly_instance_up) > 1", labels: {severity: page}, annotations: {text: "{{ $value }} run"}}
"""


def alerts(base):
    """A rule fires, Alertmanager tells the webhook; what is recorded is written back."""
    hook = http.server.HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    port = free_port()
    put("rules.yml", RULES)
    put("am.yml", "route: {receiver: hook, group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\nreceivers:\n- name: hook\n"
        f"  webhook_configs: [{{url: 'http://127.0.0.1:{hook.server_port}/'}}]\n")
    # Debian's has its templates at one place only, so it gets a /usr/share of its own.
    place = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    place += ["sh", "-c", 'mount --bind "$0" /usr/share && exec "$@"', os.path.join(os.path.dirname(BIN), "share")]
    am = start("prometheus-alertmanager", "--config.file=am.yml", "--storage.path=" + path("am"),
               f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
               wrapper=place)
    vm = start("vmalert", "-rule=rules.yml", "-datasource.url=" + base, "-datasource.bearerToken=team-token",
               "-remoteWrite.url=" + base, "-remoteWrite.bearerToken=team-token", "-remoteRead.url=" + base,
               "-remoteRead.bearerToken=team-token", f"-notifier.url=http://127.0.0.1:{port}", "-evaluationInterval=1s",
               "-remoteWrite.flushInterval=1s", f"-httpListenAddr=127.0.0.1:{free_port()}")
    bearer = {"Authorization": "Bearer team-token"}
    until("an alert reaches the webhook", lambda: any(
        a["labels"]["alertname"] == "TooMany" and a["annotations"]["text"] == "2 run" for m in Webhook.got
        for a in m["alerts"]))
    until("what vmalert records is stored", lambda: value(base, "app:reqs:sum", **bearer) is not None)
    until("and the state of its alerts", lambda: value(base, 'ALERTS{alertname="TooMany"}', **bearer) == 1)
    stop(vm)
    stop(am)
    hook.shutdown()


def replay(base):
    put("replay.yml", 'groups: [{name: r, interval: 15s, rules: [{record: "replayed:sum", expr: "sum(reqs_total)"}]}]\n')
    code, out = run("vmalert", "-rule=replay.yml", "-datasource.url=" + base, "-datasource.bearerToken=team-token",
                    "-remoteWrite.url=" + base, "-remoteWrite.bearerToken=team-token", f"-httpListenAddr=127.0.0.1:{free_port()}",
                    "-replay.timeFrom=" + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 1200)),
                    "-replay.timeTo=" + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 300)), "-replay.rulesDelay=0s")
    if not check("vmalert replays", code, 0):
        print(out[-2000:], file=sys.stderr)
    want = 50 if newer("vmalert") else 3  # Debian 12's evaluates every five minutes, whatever the group says
    until("what it replayed is stored", lambda: (value(base, f"count_over_time(replayed:sum[30m] @ {now})",
                                                       Authorization="Bearer team-token") or 0) >= want)


def vmauth(base):
    port = free_port()
    put("auth.yml", f"users:\n- {{bearer_token: team-token, url_prefix: '{base}'}}\n")
    p = start("vmauth", "-auth.config=auth.yml", f"-httpListenAddr=127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"
    until("vmauth passes a token on", lambda: value(url, "count(fly_instance_up)", Authorization="Bearer team-token") == 2)
    check("and nobody without one", fetch(url + "/api/v1/query?query=1")[0], 401)
    stop(p)


def vmctl(base):
    """All series to a VictoriaMetrics and back under another organisation. Debian 12's has an older form of
    blocks, which newer VictoriaMetrics do not read either."""
    if not newer("vmctl"):
        print("vmctl: only with PERISCOPE_ORACLE", file=sys.stderr)
        return
    port = free_port()
    p = start("victoria-metrics", "-storageDataPath=" + path("vm"), f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=10y")
    url = f"http://127.0.0.1:{port}"
    until("VictoriaMetrics starts", lambda: fetch(url + "/health")[0] == 200)
    with urllib.request.urlopen(f"{base}/api/v1/export/native?match[]=fly_instance_up", timeout=30) as r:
        blocks = r.read()
    with open(path("blocks"), "wb") as f:
        f.write(blocks)
    code, out = run("vmctl", "verify-block", "--gunzip=false", path("blocks"))
    check("vmctl verifies our blocks", (code, "successfully verified" in out), (0, True))
    start_time = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 7200))
    for what, source, target in (("there", base, url), ("back", url, base.replace("/acme", "/copy"))):
        code, out = run("vmctl", "vm-native", "-s", "--vm-native-src-addr=" + source, "--vm-native-dst-addr=" + target,
                        '--vm-native-filter-match={__name__=~"fly_instance_up|lat_.*"}',
                        "--vm-native-filter-time-start=" + start_time)
        if not check(f"vmctl {what}", code, 0):
            print(out[-2000:], file=sys.stderr)
        fetch(url + "/internal/force_flush")
    for query in (f"sum(count_over_time({{__name__=~'fly_instance_up|lat_.*'}}[2h] @ {now - 60}))",
                  f"sum(sum_over_time(fly_instance_up[2h] @ {now - 60}))"):
        want = value(base, query)
        check(f"{query}: there", value(url, query), want)
        check(f"{query}: back", value(base.replace("/acme", "/copy"), query), want)
    stop(p)


def main():
    if missing := [p for p in ("promtool", "prometheus", "vmagent", "vmalert", "vmauth", "vmctl", "victoria-metrics",
                               "prometheus-alertmanager") if not os.access(program(p), os.X_OK)]:
        print("skip: missing " + ", ".join(missing) + " (scripts/exporters)")
        return 77
    put("open.yml", f"listen: 127.0.0.1:0\ndata: {path('open')}\norganisations: [acme, copy]\nquery: {{latency_offset: 0s}}\n")
    free, closed = Region(None, "--config", path("open.yml"), dev=False), closed_region()
    free_base, base = (f"http://{r.host}:{r.port}/prometheus/acme" for r in (free, closed))
    bearer = {"Authorization": "Bearer team-token"}
    check("data", free.request("POST", "/prometheus/acme/api/v1/import/prometheus", DATA.encode())[0], 204)
    check("data behind tokens", closed.request("POST", "/prometheus/acme/api/v1/import/prometheus", DATA.encode(), bearer)[0],
          204)
    senders = [agent(base, f"{free.host}:{free.port}"), vmagent(base, f"{free.host}:{free.port}")]
    for part, argument in ((promtool, free_base), (vmctl, free_base), (vmauth, base), (alerts, base), (replay, base),
                           (federation, f"{closed.host}:{closed.port}")):
        begin = time.monotonic()
        part(argument)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", file=sys.stderr)
    for job in ("agent", "vmagent"):
        until(f"{job} writes what it scrapes", lambda j=job: value(base, f'up{{job="{j}"}}', **bearer) == 1)
    for p in senders:
        stop(p)
    check("they stop", [r.stop() for r in (free, closed)], [0, 0])
    check("no token in a log", "team-token" not in free.read_log() + closed.read_log())
    return None


code = main()
shutil.rmtree(folder, ignore_errors=True)
if code:
    sys.exit(code)
tally.finish()
