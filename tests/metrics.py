#!/usr/bin/env python3
"""Reads Prometheus' text format as strictly as its documents describe it, and
with its conventions for names.

    metrics.py FILE [EARLIER]     complaints, one a line; exit status 1 if any
    metrics.py --value SERIES FILE
"""

import re
import sys

NAME = r"[a-z_][a-z0-9_]*"
SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? (-?[0-9.e+]+|NaN|[+-]Inf)" % NAME)
LABEL = re.compile(r'(%s)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)' % NAME)
# Base units only, and none abbreviated.
WRONG_UNITS = re.compile(r"_(ms|sec|milliseconds|minutes|hours|kb|mb|kilobytes|percent)(_|$)")


def parse(text, complain):
    """Series and their values; families in the order of HELP, TYPE, samples."""
    values, types, family, seen = {}, {}, None, set()
    if text and not text.endswith("\n"):
        complain("the last line does not end")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        where = f"line {number}: {line}"
        if line.startswith("# HELP "):
            _, _, name, *words = line.split(" ")
            if name in seen:
                complain(f"{where}: family given twice")
            if not words:
                complain(f"{where}: no help text")
            seen.add(name)
            family = name
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            if name != family or name in types:
                complain(f"{where}: TYPE does not follow its HELP")
            if kind not in ("counter", "gauge"):
                complain(f"{where}: unknown type")
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            if not match:
                complain(f"{where}: not a sample")
                continue
            if match[1] != family or family not in types:
                complain(f"{where}: outside of its family")
            labels = match[2]
            while labels:
                label = LABEL.match(labels)
                if not label:
                    complain(f"{where}: labels are malformed")
                    break
                labels = labels[label.end():]
            series = line.rsplit(" ", 1)[0]
            if series in values:
                complain(f"{where}: series given twice")
            values[series] = float(match[3])
    return values, types


def conventions(types, complain):
    for name, kind in types.items():
        if not name.startswith("pecia_"):
            complain(f"{name}: no prefix")
        if (kind == "counter") != name.endswith("_total"):
            complain(f"{name}: a {kind} should not be called so")
        if WRONG_UNITS.search(name):
            complain(f"{name}: not a base unit")


def main(argv):
    complaints = []
    if argv[1] == "--value":
        values, _ = parse(open(argv[3], encoding="utf-8").read(), complaints.append)
        print(int(values[argv[2]]))
        return 0
    values, types = parse(open(argv[1], encoding="utf-8").read(), complaints.append)
    conventions(types, complaints.append)
    if not types:
        complaints.append("nothing is told")
    if len(argv) > 2:
        before, _ = parse(open(argv[2], encoding="utf-8").read(), complaints.append)
        for series, value in before.items():
            kind = types.get(series.split("{")[0])
            if kind == "counter" and values.get(series, -1) < value:
                complaints.append(f"{series}: counts backwards")
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
