"""The targets: what shoal set out to reach, as ratios and sizes taken from the measurements."""

from dataclasses import dataclass
from operator import ge, le
from statistics import median

from measure import ratios, values

TUNED = ("ProcessPoolExecutor, chunked", "multiprocessing.Pool", "joblib", "loky, chunked")
SLOW_STARTERS = (
    "joblib",
    "loky, chunked",
    "ProcessPoolExecutor, chunked, forkserver",
    "ProcessPoolExecutor, chunked, spawn",
    "multiprocessing.Pool, forkserver",
)
SWEEPERS = ("pipefunc", "pipefunc, dict", "xyzpy", "xsweep, processes", "xsweep, serial")
KERNEL = "shoal, Qiskit circuit"
SERVICE = "shoal serve"
SIGNS = {"≥": ge, "≤": le}


@dataclass(frozen=True)
class Target:
    """One number to reach.

    Attributes:
        workload: name of the workload whose records decide.
        wanted: what is wanted, for a reader.
        key: the measurement that `limit` is of, which tells its unit; or "ratio".
        sign: "≥" or "≤".
        limit: the number.
        reached: called with the workload's records, returns the number measured.
    """

    workload: str
    wanted: str
    key: str
    sign: str
    limit: float
    reached: object

    def met(self, number):
        """Tell whether a number is enough."""
        return SIGNS[self.sign](number, self.limit)


def share_of(reference, ours="shoal"):
    return lambda records: median(ratios(records, reference, ours, "seconds"))


def share_of_gain(peer):
    """Measure a peer's speed-up over one block on one core, over the ceiling's over the loop."""

    def reached(records):
        gains = ratios(records, "one block", peer, "seconds")
        ceilings = ratios(records, "serial", "ceiling", "seconds")
        return median(gain / ceiling for gain, ceiling in zip(gains, ceilings, strict=True))

    return reached


def lead_over(rivals, key, ours="shoal"):
    """Measure the best rival's time over shoal's, in the same rounds; the slowest sit them out."""

    def reached(records):
        leads = [ratios(records, rival, ours, key) for rival in rivals]
        return min(median(lead) for lead in leads if lead)

    return reached


def single_lead_over(rival, key, ours):
    """Measure a rival's time over shoal's typical one, where the rival ran once, being slow."""
    return lambda records: median(values(records, rival, key)) / median(values(records, ours, key))


def over_floor(factor, seconds):
    """Measure a kernel matrix's time over what it may take: a few times the floor's, and more."""

    def reached(records):
        floors = {r["round"]: r["seconds"] for r in records if r["peer"] == "floor"}
        ours = [r for r in records if r["peer"] == KERNEL and r["round"] in floors and r["round"]]
        return median(r["seconds"] / (factor * floors[r["round"]] + seconds) for r in ours)

    return reached


def typical(key, ours="shoal"):
    return lambda records: median(values(records, ours, key))


def largest(key):
    return lambda records: max(values(records, "shoal", key))


TARGETS = (
    Target("sweep", "warm sweep, share of the ceiling", "ratio", "≥", 0.95, share_of("ceiling")),
    Target(
        "sweep",
        "warm sweep, the best tuned peer's time over shoal's",
        "ratio",
        "≥",
        0.98,
        lead_over(TUNED, "seconds"),
    ),
    Target(
        "sweep-slow", "9 ms tasks, share of the ceiling", "ratio", "≥", 0.95, share_of("ceiling")
    ),
    Target(
        "sweep-cold",
        "cold sweep, time of the best of joblib, loky, spawn and forkserver pools over shoal's",
        "ratio",
        "≥",
        1.0,
        lead_over(SLOW_STARTERS, "call_seconds"),
    ),
    Target("tiny", "tiny tasks", "tasks_per_second", "≥", 3e6, typical("tasks_per_second")),
    Target(
        "tiny-lambda",
        "tiny tasks, a lambda in `__main__`",
        "tasks_per_second",
        "≥",
        3e6,
        typical("tasks_per_second"),
    ),
    Target("shared", "one 8 MB array, 1,000 tasks", "seconds", "≤", 0.025, typical("seconds")),
    Target("large", "1,000 results of 1 MB", "seconds", "≤", 0.7, typical("seconds")),
    Target("trip", "one round trip, median", "seconds", "≤", 100e-6, typical("seconds")),
    Target(
        "first", "import to first result", "import_seconds", "≤", 0.25, typical("import_seconds")
    ),
    Target("memory", "growth of the parent", "growth_mb", "≤", 10.0, largest("growth_mb")),
    Target(
        "memory-ahead",
        "inputs read ahead, of 5,000, the reader asleep for 1 s",
        "ahead_later",
        "≤",
        1000,
        largest("ahead_later"),
    ),
    Target("uneven", "computing, share of the ceiling", "ratio", "≥", 0.91, share_of("ceiling")),
    Target(
        "uneven",
        "computing, share of the ideal schedule",
        "ratio",
        "≥",
        0.91,
        share_of("ideal schedule"),
    ),
    Target(
        "uneven-sleep",
        "sleeping, share of the ideal schedule",
        "ratio",
        "≥",
        0.91,
        share_of("ideal schedule"),
    ),
    Target("grid", "labelled sweep, share of the ceiling", "ratio", "≥", 0.95, share_of("ceiling")),
    Target(
        "grid",
        "labelled sweep, the best tuned peer's time, without labels, over shoal's",
        "ratio",
        "≥",
        0.98,
        lead_over(TUNED, "seconds"),
    ),
    Target(
        "grid",
        "labelled sweep, time a point of the best of pipefunc, xyzpy and xsweep over shoal's",
        "ratio",
        "≥",
        1.0,
        lead_over(SWEEPERS, "point_seconds"),
    ),
    Target(
        "grid-slow", "9 ms points, share of the ceiling", "ratio", "≥", 0.95, share_of("ceiling")
    ),
    Target(
        "grid-cold",
        "cold labelled sweep, import included, time of the best of joblib, loky, spawn and "
        "forkserver pools over shoal's",
        "ratio",
        "≥",
        1.0,
        lead_over(SLOW_STARTERS, "import_seconds"),
    ),
    *(
        Target(
            name,
            f"in blocks, {how}: speed-up over one block on one core, over the ceiling's speed-up",
            "ratio",
            "≥",
            0.9,
            share_of_gain(peer),
        )
        for name in ("grid-vectorized", "grid-vectorized-naive")
        for how, peer in (("as it comes", "shoal"), ("with a reference", "shoal, reference"))
    ),
    Target(
        "grid-compiled", "compiled, share of the ceiling", "ratio", "≥", 0.9, share_of("ceiling")
    ),
    Target("cheap", "a point above the function", "seconds", "≤", 2e-6, typical("above_seconds")),
    Target("arrays", "1,000 points of 1 MB", "seconds", "≤", 0.6, typical("seconds")),
    Target("resume", "every point stored", "seconds", "≤", 0.15, typical("seconds")),
    Target(
        "resume",
        "every point stored, time of the best of pipefunc, xyzpy and xsweep over shoal's",
        "ratio",
        "≥",
        1.0,
        lead_over(SWEEPERS, "seconds"),
    ),
    Target("checkpoint", "what storing costs", "cost_percent", "≤", 3, typical("cost_percent")),
    Target(
        "ray", "on Ray, speed-up over serial", "ratio", "≥", 1.5, share_of("serial", "shoal on Ray")
    ),
    Target(
        "ray-tiny",
        "tiny tasks on Ray",
        "tasks_per_second",
        "≥",
        1e6,
        typical("tasks_per_second", "shoal on Ray"),
    ),
    *(
        Target(
            "dask",
            f"on {where}, time a task of `client.map` over shoal's",
            "ratio",
            "≥",
            10,
            lead_over(["Dask client.map"], "task_seconds", ours),
        )
        for where, ours in (
            ("a Dask of shoal's", "shoal on Dask"),
            ("a Client", "shoal on a Dask Client"),
        )
    ),
    *(
        Target(
            name,
            f"`GridSearchCV`, {what}, time of loky's backend over shoal's",
            "ratio",
            "≥",
            0.98,
            lead_over(["joblib on loky"], "seconds", "joblib on shoal"),
        )
        for name, what in (
            ("scikit", "SVC"),
            ("scikit-trees", "small trees"),
            ("scikit-ridge", "8 MB of data"),
        )
    ),
    *(
        Target(
            name,
            f"{what}, share of the ceiling",
            "ratio",
            "≥",
            0.95,
            share_of("ceiling, circuits", "ParallelBackend"),
        )
        for name, what in (
            ("circuits", "200 circuits of 15 qubits"),
            ("circuits-tiny", "2,000 circuits of 3 qubits"),
        )
    ),
    Target(
        "circuits",
        "200 circuits of 15 qubits, time of the best of Aer's settings over shoal's",
        "ratio",
        "≥",
        1.0,
        lead_over(["serial", "Aer, max_parallel_experiments=0"], "seconds", "ParallelBackend"),
    ),
    *(
        Target(
            "circuits-few",
            f"{count} of 3 qubits, cost above Aer's own run",
            f"{name}_percent",
            "≤",
            3,
            typical(f"{name}_percent", "ParallelBackend, short runs"),
        )
        for name, count in (("one", "1 circuit"), ("five", "5"), ("twenty", "20"), ("fifty", "50"))
    ),
    Target(
        "circuits-sweep",
        "4 by 50 bindings, Qiskit's time over shoal's",
        "ratio",
        "≥",
        1.5,
        share_of("serial", "ParallelSampler"),
    ),
    Target(
        "circuits-cold",
        "a script run once, Aer's time over shoal's",
        "ratio",
        "≥",
        0.97,
        share_of("serial", "ParallelBackend, script"),
    ),
    Target(
        "circuits-memory",
        "20 qubits, growth in states, with two workers",
        "states",
        "≤",
        3,
        typical("states", "ParallelBackend, processes"),
    ),
    *(
        Target(
            name,
            f"{what}, share of the ceiling",
            "ratio",
            "≥",
            limit,
            share_of("ceiling", ours),
        )
        for name, what, limit, ours in (
            ("pennylane", "20 circuits of 12 qubits by the device", 0.95, "shoal.parallel"),
            ("pennylane", "20 circuits of 12 qubits, a QNode mapped", 0.95, "shoal"),
            ("pennylane-16", "20 circuits of 16 qubits by the device", 0.95, "shoal.parallel"),
            ("pennylane-16", "20 circuits of 16 qubits, a QNode mapped", 0.95, "shoal"),
            ("pennylane-20", "20 circuits of 20 qubits by the device", 0.95, "shoal.parallel"),
            ("pennylane-20", "20 circuits of 20 qubits, a QNode mapped", 0.95, "shoal"),
            ("pennylane-gradient", "parameter-shift", 0.9, "shoal.parallel, gradients"),
            ("pennylane-adjoint", "adjoint gradients of 64 inputs", 0.95, "shoal"),
        )
    ),
    *(
        Target(
            name,
            f"20 circuits of {qubits} qubits, built before, by the device, share of the ceiling",
            "ratio",
            "≥",
            0.95,
            share_of("ceiling, tapes", "shoal.parallel, tapes"),
        )
        for name, qubits in (("pennylane-tapes", 12), ("pennylane-tapes-16", 16))
    ),
    *(
        Target(
            name,
            f"{what}, time of one batch on lightning over the device's",
            "ratio",
            "≥",
            0.97,
            share_of("lightning, one batch", "shoal.parallel"),
        )
        for name, what in (
            ("pennylane-small", "100 circuits of 4 qubits"),
            ("pennylane", "20 circuits of 12 qubits"),
        )
    ),
    Target(
        "pennylane-cold",
        "the first call of a process, time of one batch on lightning over the device's",
        "ratio",
        "≥",
        0.97,
        lead_over(["lightning, one batch"], "call_seconds", "shoal.parallel, cold"),
    ),
    Target(
        "pennylane-gradient",
        "time a gradient of `default.qubit`'s `max_workers` over the device's",
        "ratio",
        "≥",
        200,
        lead_over(["default.qubit, max_workers"], "task_seconds", "shoal.parallel, gradients"),
    ),
    *(
        Target(
            name,
            f"{what} in blocks, time of `jax.vmap` over theirs",
            "ratio",
            "≥",
            0.95,
            share_of("vmap", "vmap_in_blocks"),
        )
        for name, what in (
            ("jax", "2,000 inputs of 12 qubits"),
            ("jax-gradient", "400 gradients of 10 qubits"),
            ("jax-large", "1,000 inputs of 14 qubits"),
        )
    ),
    *(
        Target(
            name,
            "memory of blocks of 64 MiB",
            "growth_mb",
            "≤",
            74.0,
            lambda records: max(values(records, "vmap_in_blocks", "growth_mb")),
        )
        for name in ("jax", "jax-gradient", "jax-large")
    ),
    *(
        Target(
            name,
            f"kernel of 1,000 samples, {what}, time over 1.6 times the floor and 40 ms",
            "ratio",
            "≤",
            1.0,
            over_floor(1.6, 0.064),
        )
        for name, what in (
            ("kernels-8", "8 qubits"),
            ("kernels-10", "10 qubits"),
            ("kernels", "12 qubits"),
        )
    ),
    Target(
        "kernels-16",
        "kernel of 1,000 samples, 16 qubits, time over the floor",
        "ratio",
        "≤",
        1.3,
        over_floor(1.0, 0.0),
    ),
    Target(
        "kernels",
        "time a pair of `FidelityStatevectorKernel` over shoal's",
        "ratio",
        "≥",
        50,
        single_lead_over("FidelityStatevectorKernel", "pair_seconds", KERNEL),
    ),
    Target(
        "kernels",
        "time a pair of PennyLane's `kernel_matrix` over shoal's",
        "ratio",
        "≥",
        10_000,
        lead_over(["qml.kernels, lightning"], "pair_seconds", KERNEL),
    ),
    Target(
        "kernels-large",
        "pairs a second, 10,000 samples of 12 qubits",
        "pairs_per_second",
        "≥",
        7e6,
        typical("pairs_per_second", KERNEL),
    ),
    Target(
        "kernels-large",
        "memory above the result, 10,000 samples of 12 qubits",
        "above_result_mb",
        "≤",
        1000,
        lambda records: max(values(records, KERNEL, "above_result_mb")),
    ),
    *(
        Target(
            name,
            f"64 clients, {what}",
            "tasks_per_second",
            "≥",
            limit,
            typical("tasks_per_second", SERVICE),
        )
        for name, what, limit in (
            ("service", "durable submissions", 500),
            ("service-busy", "durable submissions while jobs start", 500),
            ("service-polls", "polls of 100 ended jobs", 2000),
            ("service-polls-many", "polls of 5,000 ended jobs", 2000),
        )
    ),
    *(
        Target(name, what, key, "≤", limit, typical(key, SERVICE))
        for name, what, key, limit in (
            ("service-start", "run → first line, warm", "start_seconds", 0.1),
            ("service-start", "last line → result at the client", "end_seconds", 0.05),
            ("service-cold", "run → first line, cold", "start_seconds", 0.5),
            ("service-restart", "killed → serving again", "restart_seconds", 3),
        )
    ),
    Target(
        "service-many", "sleeping jobs at once", "running", "≥", 200, typical("running", SERVICE)
    ),
    *(
        Target(
            name,
            f"gateway's memory, {what}",
            "rss_mb",
            "≤",
            200,
            lambda records: max(values(records, SERVICE, "rss_mb")),
        )
        for name, what in (
            ("service", "10,000 jobs queued"),
            ("service-polls-many", "5,000 jobs ended"),
            ("service-many", "200 jobs running"),
            ("service-restart", "started again"),
        )
    ),
)
