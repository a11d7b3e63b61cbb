"""The measuring: rounds in which every peer runs once, in shuffled order, and what they come to.

A round compares what ran within seconds of each other, so ratios are taken within rounds. The
ceiling always runs right before or right after shoal. Round 0 warms up and is not counted, save
for a peer so slow that it takes part in no other.
"""

import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import psutil

HERE = Path(__file__).parent
LIMIT_SECONDS = 60  # A peer that takes longer for one repetition is stopped.
CLOSE_SECONDS = 10  # A peer that takes longer to end itself is ended.
# A ceiling runs beside one of these.
OURS = (
    "shoal",
    "shoal on Ray",
    "shoal on Dask",
    "ParallelBackend",
    "shoal.parallel",
    "shoal.parallel, tapes",
)
CEILINGS = ("ceiling", "ceiling, circuits", "ceiling, one batch", "ceiling, tapes")
ONE_THREAD = {
    name: os.environ.get(name, "1")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}


PATHS = [str(HERE), str(HERE.parent / "examples" / "spdc")]  # Where workers find the functions.


def workload_named(name):
    sys.path[:0] = [path for path in PATHS if path not in sys.path]
    return import_module("workloads." + name.partition("-")[0]).WORKLOADS[name]


# A Ray that is told not to be a cluster listens on this machine only.
LOCAL_RAY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
DROPPED = {"PYTHONDONTWRITEBYTECODE", "RAY_ADDRESS", "SHOAL_EXECUTOR"}


def surroundings():
    """Return the environment variables of all peers; bytecode is kept, as it is by default."""
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return {**kept, **ONE_THREAD, **LOCAL_RAY, "PYTHONPATH": os.pathsep.join(PATHS)}


class Stand:
    """A peer in a process of its own, see `stand.py`."""

    def __init__(self, workload, peer, folder, *, quick):
        own = Path(folder) / re.sub(r"\W+", "-", peer)
        own.mkdir(exist_ok=True)
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self.born_at = monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stand", workload, peer, "quick" if quick else "full"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            cwd=HERE,
            env={**surroundings(), "BENCHMARK_FOLDER": str(own), "RAY_TMPDIR": str(folder)},
            start_new_session=True,
        )

    def ask(self, repetition):
        """Run one repetition; return its measurements, or an "error"."""
        until = monotonic() + LIMIT_SECONDS
        try:
            self.process.stdin.write(f"{repetition}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"error": self._last_words()}
        while not select.select([self.process.stdout], [], [], 0.5)[0]:
            if monotonic() > until:
                return {"error": f"no result within {LIMIT_SECONDS} s"}
            if self._has_ended():
                return {"error": self._last_words()}
        line = self.process.stdout.readline()
        if not line:
            return {"error": self._last_words()}
        reply = json.loads(line)
        if "finished_at" in reply:
            reply["exec_seconds"] = reply.pop("finished_at") - self.born_at
        return reply

    def _has_ended(self):
        """Tell without reaping it, so that its number stays its own until `close` is through."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, how) is not None

    def _last_words(self):
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").split("\n")
        return next((line[:200] for line in reversed(lines) if line.strip()), "ended silently")

    def close(self):
        """End the process, first kindly, and whatever is left of all that it has started."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        until = monotonic() + CLOSE_SECONDS
        while not self._has_ended() and monotonic() < until:
            sleep(0.01)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in started:  # Those of Ray and Dask may have a group of their own.
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.stderr.close()


def measure(name, *, quick):
    """Run a workload on all of its peers.

    Returns:
        A dict of "records", one for each repetition, with its "peer", its "round" and what was
        measured; and "failures", the error's text by peer.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-", ignore_cleanup_errors=True) as folder:
        return measure_in(folder, name, quick=quick)


def measure_in(folder, name, *, quick):
    """Do so, with a folder for what peers store."""
    workload = workload_named(name)
    rounds = workload.quick_rounds if quick else workload.rounds
    more = 0 if quick else workload.more_rounds
    chance = random.Random(name)
    playing, stands = list(workload.peers), {}
    records, failures = [], {}
    try:
        for number in range(1 + rounds + more):
            played = []
            for peer in in_turn(playing, chance):
                if number > rounds and peer not in workload.contenders:
                    continue
                stand = stands.pop(peer, None) or Stand(name, peer, folder, quick=quick)
                stands[peer] = stand
                reply = stand.ask(number)
                if "error" in reply:
                    failures[peer] = reply["error"]
                else:
                    played.append({"peer": peer, "round": number, **reply})
                too_slow = reply.get("seconds", 0) > workload.patience_seconds
                if "error" in reply or (number == 0 and too_slow):
                    playing.remove(peer)
                if peer not in playing or not workload.warm:
                    stands.pop(peer).close()
            records += compared(played)
    finally:
        for stand in stands.values():
            stand.close()
    return {"records": records, "failures": failures}


def in_turn(peers, chance):
    """Return the peers in a new order, with the ceiling, where there is one, beside shoal."""
    order = [peer for peer in peers if peer not in CEILINGS]
    chance.shuffle(order)
    for ceiling in CEILINGS:
        if ceiling in peers:
            beside = next((place for place, peer in enumerate(order) if peer in OURS), 0)
            order.insert(beside + chance.randrange(2), ceiling)
    return order


def compared(played):
    """Replace each digest by whether it is that of the serial loop in the same round.

    Who did less than the loop has compared it already.
    """
    digests = {record["peer"]: record.pop("digest", None) for record in played}
    for record in played:
        if digests.get("serial") and "same" not in record:
            record["same"] = digests[record["peer"]] == digests["serial"]
    return played


def counted(records, peer):
    """Return a peer's records by round; round 0 only where there is no other."""
    own = {record["round"]: record for record in records if record["peer"] == peer}
    return {number: own[number] for number in own if number > 0} or own


def values(records, peer, key):
    return [record[key] for record in counted(records, peer).values() if key in record]


def ratios(records, reference, peer, key):
    """Return the reference's measurement over the peer's, for each round that both ran in."""
    ours = counted(records, peer)
    theirs = {r["round"]: r for r in records if r["peer"] == reference}
    return [theirs[number][key] / ours[number][key] for number in ours if number in theirs]


def middle(numbers):
    """Return the median, the smallest and the largest."""
    return median(numbers), min(numbers), max(numbers)


def loops_per_ms():
    """Return how many turns of an empty loop take a millisecond here, undisturbed."""

    def seconds(loops=200_000):
        start = monotonic()
        for _ in range(loops):
            pass
        return monotonic() - start

    return int(200 / min(seconds() for _ in range(15)))
