# SPDX-License-Identifier: BSD-2-Clause
"""An app with every kind of metric that Prometheus' client library for Python knows. client_app.py PORT"""
import sys
import time

import prometheus_client as client

requests = client.Counter("requests", "Requests \\ of\nall kinds.", ["path", "say"])
requests.labels("/", 'a "quoted" \\ text\nin two lines').inc(3, {"trace_id": "4bf92f"})
requests.labels("/é", "").inc(1e15 + 0.5)
client.Gauge("temperature_celsius", "Gauge.", unit="celsius").set(-273.15)
client.Gauge("limits", "Extremes.", ["of"]).labels("high").set(float("inf"))
latency = client.Histogram("latency_seconds", "Histogram.", buckets=(0.005, 0.1, 1, 10))
for seconds in (0.001, 0.05, 0.05, 2, 1e9):
    latency.observe(seconds, {"trace_id": "00f067"})
client.Summary("size_bytes", "Summary.").observe(12345678901)
client.Info("build", "Info.").info({"version": "1.2.3", "commit": ""})
client.Enum("mode", "State set.", states=["starting", "running", "stopping"]).state("running")
client.start_http_server(int(sys.argv[1]))
time.sleep(1e9)
