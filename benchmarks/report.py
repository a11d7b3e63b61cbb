"""The report: measurements as tables in Markdown, and the part of README.md that shows them."""

from pathlib import Path

from measure import counted, middle, ratios, values, workload_named
from targets import TARGETS
from workloads import NAMES

BEGIN = "<!-- Written by benchmarks/run from here: -->"
END = "<!-- to here. -->"


def report(run):
    """Return a whole run as Markdown."""
    parts = [targets_table(run), settings_table(run)]
    parts += [workload_section(name, run[name]) for name in NAMES if name in run]
    return "\n\n".join(parts) + "\n"


def refresh(readme, text):
    """Put a text between the two marks of a README."""
    before, _, rest = Path(readme).read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    Path(readme).write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def targets_table(run):
    rows = []
    for target in TARGETS:
        if target.workload not in run:
            continue
        records = run[target.workload]["records"]
        try:
            number = target.reached(records)
            measured, met = show(target.key, number), "yes" if target.met(number) else "no"
        except ValueError:  # No round has all that it takes: who failed is in the tables.
            measured, met = "none", "no"
        wanted = f"{target.sign} {show(target.key, target.limit)}"
        rows.append([f"`{target.workload}`", target.wanted, wanted, measured, met])
    return "### Targets\n\n" + table(["workload", "what", "wanted", "measured", "met"], rows)


def settings_table(run):
    """Show what the newest of the workloads was measured on."""
    newest = max(run.values(), key=lambda entry: entry["measured_at"])
    rows = [[key, value] for key, value in newest["environment"].items()]
    return "### Settings\n\n" + table(["setting", "value"], rows)


def workload_section(name, entry):
    workload = workload_named(name)
    records = entry["records"]
    rank = next(iter(workload.columns))
    headings = ["peer", *workload.columns.values(), *workload.references.values(), "rounds", "same"]
    rows = []
    for peer in workload.peers:
        if peer in entry["failures"]:
            rows.append([peer, f"failed: {entry['failures'][peer]}"])
        elif counted(records, peer):
            cells = [spread(key, values(records, peer, key)) for key in workload.columns]
            cells += [
                spread("ratio", ratios(records, reference, peer, rank))
                for reference in workload.references
            ]
            rows.append([peer, *cells, rounds(records, peer), same(records, peer)])
    notes = (
        f"Measured {entry['measured_at']}; load average {entry['load']:.2f} at the start; "
        f"{entry['stolen_seconds']:.1f} s of the cores' time taken by other guests of the host"
    )
    size = " (smaller: a quick run)" if entry["quick"] else ""
    return f"### `{name}`: {workload.title}{size}\n\n{table(headings, rows)}\n\n{notes}."


def rounds(records, peer):
    return str(len(counted(records, peer)))


def same(records, peer):
    """Tell whether every repetition's results were those of the serial loop in that round."""
    verdicts = [record["same"] for record in records if record["peer"] == peer and "same" in record]
    return "" if not verdicts else "yes" if all(verdicts) else "NO"


def spread(key, numbers):
    if not numbers:
        return ""
    typical, least, most = middle(numbers)
    if least == most:
        return show(key, typical)
    return f"**{show(key, typical)}** [{show(key, least)} … {show(key, most)}]"


def show(key, number):
    """Write a measurement with its unit, which its key ends in."""
    if key == "ratio":
        return f"{number:.3f}" if number < 1 else f"{number:.2f}"
    if key == "tasks_per_second":
        return f"{number / 1e6:.3g} M/s" if number >= 1e6 else f"{number:,.0f}/s"
    if key.endswith(("_mb", "_percent")):
        return f"{number:.1f} {'MB' if key.endswith('_mb') else '%'}"
    if key.endswith("seconds"):
        for unit, size in (("s", 1), ("ms", 1e-3)):
            if number >= size:
                return f"{number / size:.3g} {unit}"
        return f"{number / 1e-6:.3g} µs"
    return f"{number:,.0f}"


def table(headings, rows):
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
