"""Runs the workloads on every peer and writes the results; see README.md, or --help."""

import argparse
import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path

from environment import environment, load, stolen_seconds
from measure import loops_per_ms, measure
from report import refresh, report
from workloads import NAMES

HERE = Path(__file__).parent


def main():
    options = arguments()
    kind = "quick" if options.quick else "full"
    path = HERE / "results" / f"{kind}.json"
    run = json.loads(path.read_text()) if options.only and path.exists() else {}
    os.environ["BENCHMARK_LOOPS_PER_MS"] = str(loops_per_ms())
    begun = time.monotonic()
    names = chosen(options.only)
    for name in names:
        print(f"{time.monotonic() - begun:5.0f} s  {name}", flush=True)
        run[name] = one(name, quick=options.quick)
        path.parent.mkdir(exist_ok=True)
        path.write_text(as_json(run))
    text = report(run)
    path.with_suffix(".md").write_text(f"# The benchmarks, a {kind} run\n\n{text}")
    if not options.quick:
        refresh(HERE / "README.md", text)
    print(f"{time.monotonic() - begun:5.0f} s\n\n{report({name: run[name] for name in names})}")


def arguments():
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, two rounds")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"one workload, or those of one file; may be repeated. Workloads: {', '.join(NAMES)}",
    )
    options = parser.parse_args()
    if unknown := [name for name in options.only or () if not chosen([name])]:
        parser.error(f"unknown workload {unknown[0]!r}; there are {', '.join(NAMES)}")
    return options


def chosen(only):
    """Return the workloads asked for: "sweep-cold" is one, "sweep" is it and its variants."""
    if not only:
        return NAMES
    return [n for n in NAMES if n in only or n.partition("-")[0] in only]


def one(name, *, quick):
    before = stolen_seconds()
    entry = {
        "quick": quick,
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "load": load(),
        "environment": environment(),
    }
    entry |= measure(name, quick=quick)
    entry["stolen_seconds"] = stolen_seconds() - before
    return entry


def as_json(run):
    """Write each innermost object, so each record, on a line of its own."""
    text = json.dumps(run, indent=1, ensure_ascii=False)
    return re.sub(r"\{[^{}]*\}", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text) + "\n"


if __name__ == "__main__":
    main()
