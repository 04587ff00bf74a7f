# SPDX-License-Identifier: BSD-2-Clause
"""Series and queries for comparing two engines: the same for the same seed."""
import random
import re

from oracle import TOP

BASE_S = 1704067200 + 6 * 3600
SPAN_S = 2 * 3600
STALE = "stale"  # the mark that ends a series


def dataset(seed):
    """[({label: value}, [(ts_ms, value)])]: counters with resets and gaps, gauges, histograms, sparse series."""
    import struct
    r = random.Random(seed)
    stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
    out = []

    def add(name, labels, points):
        out.append((dict(labels, __name__=name), points))

    def times(step_s, phase_s=0, jitter_ms=0):
        return [(BASE_S + phase_s + i * step_s) * 1000 + (r.randint(0, jitter_ms) if jitter_ms else 0)
                for i in range(SPAN_S // step_s)]

    def counter(ts, largest, reset=0.0):
        v, points = r.random() * largest * 3, []
        for t in ts:
            v = round(r.random() * largest if r.random() < reset else v + r.random() * largest, 3)
            points.append((t, v))
        return points

    def without(points, from_min, to_min):
        return [p for p in points if not BASE_S + from_min * 60 <= p[0] / 1000 < BASE_S + to_min * 60]

    for i in range(12):
        labels = {"app": "web" if i < 8 else "api", "region": ("iad", "fra", "lhr")[i % 3], "id": f"i{i}",
                  "code": ("200", "404")[i // 3 % 2]}
        add("req_total", labels, without(counter(times(15, i % 5), 50, 0.01 if i % 2 else 0), 30 + i, 33 + i))
        add("mem", {k: labels[k] for k in ("app", "region", "id")},
            [(t, round(r.uniform(-50, 900), 2)) for t in times(15, i % 4, 900)])
        add("up", {"id": f"i{i}", "app": labels["app"]},
            [(t, 0.0 if r.random() < 0.1 else 1.0) for t in times(30)])
        add("info", {"id": f"i{i}", "version": f"v{i % 4}"}, [(t, 1.0) for t in times(60)])
    for i in range(3):
        add("sparse", {"k": str(i)}, sorted((t + r.randint(0, 170) * 1000, round(r.uniform(-9, 9), 3))
                                            for t in times(180) if r.random() < 0.8))
        gone = [(t, float(i + n)) for n, t in enumerate(times(15))]
        add("gone", {"k": str(i)}, gone[:200] + [(gone[200][0], stale)] + gone[300 + 40 * i:])
    for app in ("web", "api"):
        sums = [0] * 7
        rows = [[] for _ in sums]
        for t in times(15, 2):
            for _ in range(r.randint(0, 20)):
                for k in range(min(6, int(abs(r.gauss(0, 2)))), 7):
                    sums[k] += 1
            for k, n in enumerate(sums):
                rows[k].append((t, float(n)))
        for le, points in zip(("0.01", "0.05", "0.1", "0.5", "1", "5", "+Inf"), rows):
            add("lat_bucket", {"app": app, "le": le}, points)
    add("one", {}, [(t, float(i % 7)) for i, t in enumerate(times(15))])
    return out


SELECTORS = ["req_total", 'req_total{app="web"}', 'req_total{region=~"i.+|fra",code!="404"}', "mem", 'mem{id="i3"}',
             "up", 'up{id=~"i[1-4]"}', "sparse", 'sparse{k="1"}', "gone", "lat_bucket", "one", "nosuch",
             'lat_bucket{le=~"0.1|1|\\\\+Inf"}', '{__name__="mem",app="api"}', "info"]
COUNTERS = ["req_total", 'req_total{app="api"}', "lat_bucket", "gone", 'req_total{id="i5"}']
WINDOWS = ["1m", "5m", "47s", "15s", "10m"]
BY = [" by (app)", " by (app, region)", " by (id)", " without (id)", " without (le, code)", "", " by (nosuch)"]
MATCH = ["", "", " on (id)", " on (app, id)", " ignoring (region, code)", " on (id) group_left (version)",
         " on (app) group_right ()", " ignoring (code, region, version) group_left ()"]

# What has no equal values: which of those a topk() takes is an accident.
UNLIKE = ["mem", "avg_over_time(mem[5m])", 'req_total{app="web"}', "sum(req_total) by (id)", "rate(req_total[5m])",
          "max_over_time(sparse[10m])", "mem * 2"]

LABELLED = ["mem", "rate(req_total[5m])", 'up{id=~"i[1-4]"} * 3', "max_over_time(mem[2m])", "sum(mem) by (app, id)"]

# Calls with more than a series; {m} is one in a window, {v} one without, {b} buckets, {u} series UNLIKE
# each other, {l} those of LABELLED, for functions that leave rubbish in a label that is missing.
SPECIAL = {
    "aggr_over_time": '{f}(("min_over_time", "rate", "count_over_time"), {m})', "duration_over_time": "{f}({m}, 20)",
    "count_values_over_time": '{f}("v", {m})', "quantiles_over_time": '{f}("phi", 0.1, 0.9, {m})',
    "holt_winters": "{f}({m}, 0.3, 0.6)", "predict_linear": "{f}({m}, 600)", "quantile_over_time": "{f}(0.8, {m})",
    "hoeffding_bound_lower": "{f}(0.9, {m})", "hoeffding_bound_upper": "{f}(0.9, {m})",
    "bitmap_and": "{f}({v}, 12)", "bitmap_or": "{f}({v}, 12)", "bitmap_xor": "{f}({v}, 12)",
    "buckets_limit": "{f}(4, {b})", "clamp": "{f}({v}, 1, 20)", "clamp_max": "{f}({v}, 20)",
    "clamp_min": "{f}({v}, 2)", "histogram_fraction": "{f}(0.02, 0.7, {b})", "histogram_share": "{f}(0.3, {b})",
    "histogram_quantile": "{f}(0.9, {b})", "histogram_quantiles": '{f}("phi", 0.5, 0.99, {b})',
    "label_graphite_group": "{f}({v}, 0)", "label_join": '{f}({v}, "new", "-", "app", "id")',
    "label_map": '{f}({l}, "app", "web", "www")', "label_match": '{f}({v}, "app", "w.*")',
    "label_mismatch": '{f}({v}, "app", "w.*")', "label_replace": '{f}({v}, "new", "$1x", "id", "i(.*)")',
    "label_transform": '{f}({l}, "id", "[0-9]", "n")', "label_value": '{f}({v}, "le")',
    "labels_equal": '{f}({v}, "app", "id")', "limit_offset": "{f}(2, 1, sort_by_label({v}, \"id\", \"k\", \"le\", \"app\"))",
    "range_quantile": "{f}(0.3, {v})", "range_trim_outliers": "{f}(2, {v})", "range_trim_spikes": "{f}(0.1, {v})",
    "range_trim_zscore": "{f}(2, {v})", "smooth_exponential": "{f}({v}, 0.4)", "timezone_offset": '{f}("Europe/Berlin")',
    "label_copy": '{f}({v}, "id", "new")', "label_del": '{f}({v}, "nosuch")', "label_keep": '{f}({v}, "id", "le", "k", "app")',
    "label_lowercase": '{f}({l}, "id")', "label_uppercase": '{f}({l}, "id")', "label_move": '{f}({v}, "id", "new")',
    "label_set": '{f}({v}, "new", "x", "app", "")', "sort_by_label": '{f}({v}, "id")',
    "sort_by_label_desc": '{f}({v}, "id")', "sort_by_label_numeric": '{f}({v}, "id")',
    "sort_by_label_numeric_desc": '{f}({v}, "id")', "histogram_avg": "{f}({b})", "histogram_stddev": "{f}({b})",
    "histogram_stdvar": "{f}({b})", "prometheus_buckets": "{f}({b})", "vector": "{f}(3)",
    "count_values": '{f}("v", round({v}, 0.001)){by}', "limitk": "{f}(2, {u}){by}", "outliers_mad": "{f}(2, {v}){by}",
    "outliersk": "{f}(2, {u}){by}", "quantile": "{f}(0.7, {v}){by}", "quantiles": '{f}("phi", 0.2, 0.8, {v}){by}',
}
LIMITS = re.compile(r"(count|share|sum)_(eq|ne|gt|le)_over_time")
TOP_K = re.compile(r"(top|bottom)k")
# Theirs pushes the filters of its argument to the other side of an operator, though the label has moved.
ALONE = {"label_move"}
NOT_COMPARED = {"now", "rand", "rand_normal", "rand_exponential", "any"}  # the answer is theirs to choose


def functions():
    """{kind: {name: template}} of all functions in the manual's table."""
    kinds, kind = {}, None
    for line in (TOP / "docs/functions.md").read_text().splitlines():
        if line.startswith("## "):
            kind = line[3:]
        if m := re.match(r"\| `(\w+)` \| (\d+)", line):
            kinds.setdefault(kind, {})[m[1]] = template(kind, m[1], int(m[2]))
    return kinds


def template(kind, name, least):
    if name in SPECIAL:
        return SPECIAL[name]
    if TOP_K.match(name):
        return "{f}(2, {u}){by}"
    if LIMITS.match(name):
        return "{f}({m}, 1)"
    if least > 1:
        raise KeyError(f"say in {__file__} how {name}() is called")
    if kind == "Rollups":
        return "{f}({m})"
    if kind == "Aggregates":
        return "{f}({v}){by}"
    return "{f}({v})" if name not in ("pi", "time", "now", "start", "end", "step") else "{f}()"


class Queries:
    """Random queries of growing depth."""
    operators = ["+", "-", "*", "/", "%", "^", "==", "!=", "<", ">=", "> bool", "== bool", "and", "or", "unless", "if",
                 "ifnot", "default", "atan2"]
    modifiers = ["", "", "", "", " offset 2m", " offset -1m", " @ end()", " @ 1704092400"]

    def __init__(self, seed, kinds):
        self.r = random.Random(seed)
        self.kinds = {kind: {n: t for n, t in rows.items() if n not in NOT_COMPARED} for kind, rows in kinds.items()}

    def pick(self, values):
        return self.r.choice(list(values))

    def call(self, kind, name, depth):
        return self.kinds[kind][name].format(f=name, m=self.windowed(depth, name), v=self.vector(depth),
                                             u=self.pick(UNLIKE), l=self.pick(LABELLED), b="sum(rate(lat_bucket[5m])) by (le, app)", by=self.pick(BY))

    def windowed(self, depth, name=""):
        counters = re.search("rate|incr|resets", name)
        if depth > 1 and self.r.random() < 0.2:
            return f"({self.vector(depth - 1)})[{self.pick(WINDOWS)}:{self.pick(['30s', '1m', ''])}]"
        window = f"[{self.pick(WINDOWS)}]" if self.r.random() < 0.85 else ""
        return self.pick(COUNTERS if counters else SELECTORS) + window + self.pick(self.modifiers)

    def vector(self, depth):
        if depth <= 0 or self.r.random() < 0.15:
            return self.pick(SELECTORS) if self.r.random() < 0.85 else self.pick(["2", "time()", "-1.5", "1m"])
        return self.deep(depth)

    def deep(self, depth):
        kind = self.r.choices(["Rollups", "Transforms", "Aggregates", "operator"], [4, 2, 3, 2])[0]
        if kind != "operator":
            return self.call(kind, self.pick(n for n in self.kinds[kind] if n not in ALONE), depth - 1)
        op = self.pick(self.operators)
        match = self.pick(MATCH)
        if op.split()[0] in ("and", "or", "unless", "if", "ifnot", "default"):
            match = match.split(" group_")[0]
        return f"({self.vector(depth - 1)}) {op}{match} ({self.vector(depth - 1)})"


RANGES = [(3600, 5400, 60), (300, 3000, 150), (-600, 900, 47), (3600, 3660, 1), (0, SPAN_S + 900, 600)]


def cases(queries, seed):
    """Each query over a range or at a moment."""
    r = random.Random(seed)
    for q in queries:
        if r.random() < 0.3:
            yield "/api/v1/query", {"query": q, "time": BASE_S + r.randint(-60, SPAN_S + 300)}
        else:
            start, end, step = r.choice(RANGES)
            yield "/api/v1/query_range", {"query": q, "start": BASE_S + start, "end": BASE_S + end, "step": step}


def metricsql(seed, n):
    """Every function four times, then @n random queries."""
    q = Queries(seed, functions())
    each = [q.call(kind, name, depth) for kind, rows in q.kinds.items() for name in rows for depth in (0, 0, 1, 1)]
    return list(cases(each + [q.vector(3) for _ in range(n)], seed))


# --- PromQL: only what Prometheus has ---
PROMQL_RANGE = {f: "{f}({m})" for f in (
    "rate increase delta irate idelta changes resets deriv sum_over_time avg_over_time count_over_time min_over_time "
    "max_over_time last_over_time present_over_time stdvar_over_time stddev_over_time mad_over_time absent_over_time").split()} | {
    "predict_linear": "{f}({m}, 600)", "quantile_over_time": "{f}(0.8, {m})"}
PROMQL_CALLS = {f: "{f}({v})" for f in (
    "abs ceil floor exp sqrt ln log2 log10 sgn deg rad sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh timestamp "
    "absent minute hour day_of_week day_of_month day_of_year days_in_month month year sort sort_desc").split()} | {
    "clamp": "{f}({v}, 1, 20)", "clamp_min": "{f}({v}, 2)", "clamp_max": "{f}({v}, 20)", "round": "{f}({v}, 0.5)",
    "scalar": "vector({f}({v}))", "vector": "{f}(3)", "time": "vector({f}())", "pi": "vector({f}())",
    "label_replace": '{f}({v}, "new", "$1x", "id", "i(.*)")', "label_join": '{f}({v}, "new", "-", "app", "id")',
    "histogram_quantile": "{f}(0.9, {b})"}
PROMQL_AGGREGATES = {f: "{f}({v}){by}" for f in "sum avg min max count group stddev stdvar".split()} | {
    "topk": "{f}(2, {u}){by}", "bottomk": "{f}(2, {u}){by}", "quantile": "{f}(0.7, {v}){by}",
    "count_values": '{f}("v", round({v}, 0.001)){by}'}


class PromqlQueries(Queries):
    operators = ["+", "-", "*", "/", "%", "^", "==", "!=", "<", ">=", "> bool", "== bool", "and", "or", "unless", "atan2"]
    modifiers = ["", "", "", "", " offset 2m", " offset -1m", " @ end()", " @ 1704092400"]

    def windowed(self, depth, name=""):
        if depth > 1 and self.r.random() < 0.2:
            return f"({self.vector(depth - 1)})[{self.pick(WINDOWS)}:{self.pick(['30s', '1m', ''])}]"
        counters = re.search("rate|incr|resets", name)
        return f"{self.pick(COUNTERS if counters else SELECTORS)}[{self.pick(WINDOWS)}]{self.pick(self.modifiers)}"

    def vector(self, depth):
        if depth <= 0 or self.r.random() < 0.15:
            return self.pick(SELECTORS)
        if self.r.random() < 0.1:
            return f"({self.vector(depth - 1)}) {self.pick(['+', '*', '/', '>', '%', '^'])} {self.pick(['2', '-1.5', 'time()', '0'])}"
        return self.deep(depth)


def promql(seed, n):
    q = PromqlQueries(seed, {"Rollups": PROMQL_RANGE, "Transforms": PROMQL_CALLS, "Aggregates": PROMQL_AGGREGATES})
    each = [q.call(kind, name, depth) for kind, rows in q.kinds.items() for name in rows for depth in (0, 0, 1, 1)]
    own = ["1", "1 + 2", "-2 ^ 2", '"text"', "time()", "1 == bool 1", "1 == 1", "rate(mem)", "mem[1m]", "mem[2m:30s]", "up / 0", "0 * up / 0",
           "sum(up", "sum(mem[5m])", "nosuchfunction(up)", "rate(up[5m], 1)", "up + on(id) up", "scalar(up)", "0/0", "-mem", "{}", "{app=\"web\"}",
           "mem > 100 < 200", "vector(1) or vector(2)", "up and on() vector(1)", "up == bool 1", "sum by (app) (mem) / on (app) group_right mem"]
    return list(cases(each + own + [q.vector(3) for _ in range(n)], seed))
