# SPDX-License-Identifier: BSD-2-Clause
"""What periscope-host --tap wrote: every sample that was collected, and whether it came to be in the queues."""
import re

SAMPLE = re.compile(r'^(\w+)\{(.*)\} (\S+) (\d+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def collected(path):
    """({(series, ts): value} that must arrive, the same of what may: its batch was cut off by a kill; what was
    collected twice with another value, which a daemon does that is killed before its clock is set back).

    A series is name{a="b",…}, sorted, without the label that names the organisation."""
    must, may, batch, twice = {}, {}, {}, set()
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("begin "):
            may.update(batch)
            batch = {}
        elif line.startswith("queued "):
            must.update(batch)
            batch = {}
        elif match := SAMPLE.match(line):
            series = f'{match[1]}{{{match[2]}}}'.replace('__org__="dev",', "")
            key, value = (series, int(match[4])), float(match[3])
            if not same(must.get(key, value), value):
                twice.add(key)
            batch[key] = value
    may.update(batch)
    return must, may, twice


def same(a, b):
    """A stale mark is a NaN."""
    return a == b or (a is not None and b is not None and a != a and b != b)


def relabelled(name, drop=(), **add):
    """The name of a series without some of its labels and with others."""
    metric, _, rest = name.partition("{")
    labels = {key: value for key, value in LABEL.findall(rest) if key not in drop}
    return series({"__name__": metric} | labels | add)


def series(labels):
    """The same name of a series from its labels."""
    text = ",".join(f'{k}="{v}"' for k, v in sorted(labels.items()) if k != "__name__")
    return f'{labels["__name__"]}{{{text}}}'
