#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The scraper against real exporters: Debian's node_exporter, postgres_exporter with a real PostgreSQL, nginx
and its exporter, Prometheus itself, in a network namespace that stands for the VM.

What they say is frozen, so that two scrapers see the same; then Prometheus and periscope-host scrape it, and
must have the same series with the same values.
"""
import contextlib
import json
import sys
import time
import unittest

import e2e  # first: it finds scripts/lib
import edge
import exporters
import periscope
import rig

NODE, PROMETHEUS, NGINX, CLIENT, STUB, FROZEN = 9100, 9090, 9113, 9200, 8080, 8000
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

# The documented series of a Postgres app: https://fly.io/docs/monitoring/metrics/
PG_SERIES = """
pg_stat_activity_count pg_stat_activity_max_tx_duration pg_stat_archiver_archived_count
pg_stat_archiver_failed_count pg_stat_bgwriter_buffers_alloc pg_stat_bgwriter_buffers_backend_fsync
pg_stat_bgwriter_buffers_backend pg_stat_bgwriter_buffers_checkpoint pg_stat_bgwriter_buffers_clean
pg_stat_bgwriter_checkpoint_sync_time pg_stat_bgwriter_checkpoint_write_time
pg_stat_bgwriter_checkpoints_req pg_stat_bgwriter_checkpoints_timed pg_stat_bgwriter_maxwritten_clean
pg_stat_bgwriter_stats_reset pg_stat_database_blk_read_time pg_stat_database_blk_write_time
pg_stat_database_blks_hit pg_stat_database_blks_read pg_stat_database_conflicts_confl_bufferpin
pg_stat_database_conflicts_confl_deadlock pg_stat_database_conflicts_confl_lock
pg_stat_database_conflicts_confl_snapshot pg_stat_database_conflicts_confl_tablespace
pg_stat_database_conflicts pg_stat_database_deadlocks pg_stat_database_numbackends
pg_stat_database_stats_reset pg_stat_database_tup_deleted pg_stat_database_tup_fetched
pg_stat_database_tup_inserted pg_stat_database_tup_returned pg_stat_database_tup_updated
pg_stat_database_xact_commit pg_stat_database_xact_rollback pg_stat_replication_pg_current_wal_lsn_bytes
pg_stat_replication_pg_wal_lsn_diff pg_stat_replication_reply_time pg_replication_lag
pg_database_size_bytes
""".split()

STANDARD = ("app", "host", "instance", "region")


class Scrape(e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.region = periscope.Region(cls.scratch / "data", cls.logs)
        cls.stack.callback(cls.region.stop)
        cls.region.start()
        cls.host = periscope.Host(cls.scratch, cls.logs, cls.region.url, discover=False,
                                  more="sources: [diskstats]\nscrape: {interval: 1s, timeout: 900ms}\n")
        cls.stack.callback(cls.host.stop)
        cls.space = exporters.Space(cls.stack, cls.logs)
        cls.postgres = exporters.Postgres(cls.space, cls.scratch)
        exporters.node_exporter(cls.space, NODE)
        exporters.client_app(cls.space, CLIENT)
        exporters.nginx_exporter(cls.space, cls.scratch, NGINX, STUB)
        exporters.Prometheus(cls.space.start, cls.scratch, "prometheus-vm", PROMETHEUS, f"""
scrape_configs:
- job_name: node
  static_configs: [{{targets: ["127.0.0.1:{NODE}"]}}]
""")
        for port in (NODE, NGINX, PROMETHEUS):
            cls.space.wait_for_page(port)
        cls.host.start()

    def describe(self, instance, **fields):
        """A VM in the namespace: a process of its own, and a description."""
        process = rig.Process(instance, self.space.enter(["sleep", "infinity"]),
                              self.logs / f"{instance}.log")
        self.stack.callback(process.stop)
        draft = self.host.specs / f".{instance}.tmp"
        draft.write_text(json.dumps({"org": "dev", "app": "under-test", "instance": instance,
                                     "pid": process.pid, "addresses": [self.space.address],
                                     **fields}))
        draft.rename(self.host.specs / f"{instance}.json")
        return process

    def test_postgres(self):
        """Marked as Postgres, with nothing else said: the documented series arrive, and end with the VM."""
        process = self.describe("pg", kind="postgres")
        self.wait_for_value("scrape", 'up{instance="pg",port="9187"}', 1, seconds=60)
        with contextlib.suppress(rig.RigError):
            rig.wait_for("all of them", 60, lambda: not self.lacks_of_postgres())
        self.assertEqual([], self.lacks_of_postgres())
        self.assertEqual(1, self.region.number('pg_up{instance="pg"}'))
        size = self.region.number('pg_database_size_bytes{instance="pg",datname="postgres"}')
        self.assertAlmostEqual(
            size, float(self.postgres.sql("SELECT pg_database_size('postgres')")), delta=1 << 20)
        (labels, _), = self.region.query('pg_replication_lag{instance="pg"}')
        self.assertEqual(
            {"app": "under-test", "host": "d001", "instance": "pg", "region": "dev"},
            {name: labels[name] for name in STANDARD})
        metadata = self.region.get("/api/v1/metadata", metric="pg_replication_lag")
        self.assertEqual("gauge", metadata["pg_replication_lag"][0]["type"])
        process.stop()
        for name in ("pg_replication_lag", "up"):
            self.wait_for_value("end", f'count({name}{{instance="pg"}})', None, seconds=60)

    def lacks_of_postgres(self):
        have = {labels["__name__"] for labels, _ in self.region.query('{instance="pg"}')}
        return [name for name in PG_SERIES if name not in have]

    def freeze(self):
        """What every exporter says, in each of its formats: {name: (Content-Type, path of the file)}."""
        folder = self.scratch / "frozen"
        folder.mkdir()
        folder.chmod(0o755)
        self.scratch.chmod(0o755)
        bodies = {}
        for name, port in (("node", NODE), ("postgres", exporters.Postgres.PORT), ("nginx", NGINX),
                           ("prometheus", PROMETHEUS), ("client", CLIENT)):
            for ending, accept in (("text", "text/plain;version=0.0.4"), ("om", OPENMETRICS)):
                kind, body = self.space.page(port, "/metrics", accept)
                if (ending == "om") == kind.startswith("application/openmetrics-text"):
                    (folder / f"{name}-{ending}").write_bytes(body)
                    bodies[f"{name}-{ending}"] = kind
        places = "".join(f'location /{name} {{ root {folder}; types {{}} default_type "{kind}"; }}'
                         for name, kind in bodies.items())
        server = edge.Nginx(self.scratch / "nginx-frozen", f"server {{ listen {FROZEN}; {places} }}")
        server.start(self.space.start)
        self.stack.callback(server.stop)
        return bodies

    def theirs(self, port, job):
        url = f"http://127.0.0.1:{port}/api/v1/query?query={{job=%22{job}%22}}"
        answer = json.loads(periscope.http_get(url))["data"]["result"]
        return {self.key(item["metric"], ("job", "instance")): float(item["value"][1])
                for item in answer if item["value"][1] != "NaN"}  # which our store does not keep

    def ours(self, instance):
        answer = self.region.get("/api/v1/query", query=f'{{instance="{instance}"}}')["result"]
        return {self.key(item["metric"], STANDARD): float(item["value"][1]) for item in answer}

    @staticmethod
    def key(labels, without):
        """A series without what either scraper says of it, or of the scrape."""
        return tuple(sorted((k, v) for k, v in labels.items() if k not in without))

    @staticmethod
    def of_the_app(series):
        about = ("up", "scrape_", "fly_instance_")
        return {key: value for key, value in series.items()
                if not dict(key)["__name__"].startswith(about) or
                dict(key)["__name__"].startswith("scrape_duration_seconds_")}

    def test_same_as_prometheus(self):
        bodies = self.freeze()
        self.assertIn("node-text", bodies)
        self.assertIn("client-om", bodies)
        port = periscope.free_port()
        jobs = "".join(f"""
- job_name: {name}
  metrics_path: /{name}
  static_configs: [{{targets: ["{self.space.address}:{FROZEN}"]}}]""" for name in bodies)
        exporters.Prometheus(self.start_process, self.scratch, "prometheus-here", port,
                             f"scrape_configs:{jobs}\n")
        for name in bodies:
            self.describe(name, metrics=[{"port": FROZEN, "path": f"/{name}"}])
        for name in bodies:
            self.wait_for_value("our scrape", f'up{{instance="{name}"}}', 1, seconds=60)
        rig.wait_for("Prometheus' scrapes", 60, lambda: self.all_up(port, len(bodies)))
        for name in bodies:
            with self.subTest(name):
                self.compare(port, name)

    def compare(self, port, name, seconds=60):
        """A machine that is busy with other things may miss a scrape, but not all of them."""
        end = time.monotonic() + seconds
        while True:
            theirs = self.of_the_app(self.theirs(port, name))
            differ = sorted(theirs.items() ^ self.of_the_app(self.ours(name)).items())
            if not differ or time.monotonic() > end:
                break
            time.sleep(0.5)
        print(f"{name}: {len(theirs)} series")
        self.assertGreater(len(theirs), 5)
        self.assertEqual([], differ)

    @staticmethod
    def all_up(port, n):
        try:
            answer = json.loads(periscope.http_get(f"http://127.0.0.1:{port}/api/v1/query?query=sum(up)"))
            return answer["data"]["result"][0]["value"][1] == str(n)
        except (OSError, IndexError):
            return False


if __name__ == "__main__":
    sys.exit(e2e.main_in_netns())
