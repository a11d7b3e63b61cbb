"""The service: submissions, polls, starts and ends of jobs, many at once, and a restart.

Times that two processes tell of are by the machine's monotonic clock, which they share.
"""

import json
import time
from functools import partial
from itertools import cycle, islice
from statistics import median
from uuid import uuid4

from clients import CLIENTS, ask, request
from services import Disk, Gateway, RayJobs

from workloads import Workload

API = "/api/v1"
RUN = f"{API}/programs/run/"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
RUNS_SECONDS = 0.1  # Long enough for a client to be waiting when the job ends.
JOBS_FOR_RAY = 5  # Each takes seconds.
AT_ONCE = 50  # Jobs that run when the gateway is killed.
RATES = {
    "tasks_per_second": "requests/s",
    "median_seconds": "median",
    "p99_seconds": "99th percentile",
    "tasks": "requests",
    "rss_mb": "gateway's memory",
}
TIMES = {
    "start_seconds": "run → first line",
    "start_most_seconds": "longest",
    "end_seconds": "last line → result here",
    "end_most_seconds": "longest",
}


def either(small, large):
    """Return a job that is a size alone."""
    return lambda quick, _repetition: (small if quick else large,)


def submission(gateway, title, arguments):
    """Return the request by which our client has a program run."""
    body = {
        "title": title,
        "provider": None,
        "arguments": json.dumps(arguments),
        "config": {},
        "max_attempts": 1,
    }
    return gateway.request("POST", RUN, body, idempotency_key=uuid4().hex)


def submit(gateway, jobs, title, **arguments):
    """Submit so many jobs by all clients; return what came of it, and their ids."""
    load = ask(gateway.port, (submission(gateway, title, arguments) for _ in range(jobs)))
    if load.refused:
        raise RuntimeError(f"{load.refused} of {jobs} refused, the last with {load.bodies[-1]}")
    return load, [json.loads(body)["id"] for body in load.bodies]


def occupy(gateway):
    """Have the only job that may run wait, so that all others stay queued."""
    submit(gateway, 1, "waits", **gateway.open_pipe())
    gateway.until(lambda counts: counts["RUNNING"] == 1)


def stop(gateway, ids):
    """End jobs; those that are queued end at once."""
    ask(gateway.port, (gateway.request("POST", f"{API}/jobs/{job}/stop/", {}) for job in ids))


def submitted(peer, jobs, *, busy):
    """Submit jobs of a program that does nothing, while they start or while none does."""
    if isinstance(peer, Disk):
        seconds = peer.write(jobs)
        return {
            "tasks_per_second": jobs / sum(seconds),
            "tasks": jobs,
            "median_seconds": median(seconds),
        }
    if not isinstance(peer, Gateway):
        return told_the_same(peer, request("POST", RUN, {"title": "ends", "arguments": "{}"}), jobs)
    if busy:
        peer.ready()
    elif peer.ready(max_jobs=1):
        occupy(peer)
    before = sum(peer.counts().values())
    load, ids = submit(peer, jobs, "ends")
    counts, rss_mb = peer.counts(), peer.rss_mb
    if busy:
        stop(peer, ids)
        peer.until(lambda counts: counts["PENDING"] + counts["RUNNING"] == 0)
    kept = sum(counts.values()) - before
    return {**load.measurements(), "rss_mb": rss_mb, "same": kept == jobs == len(set(ids))}


def polled(peer, size):
    """Ask for the states of jobs that have ended, with their results, by all clients."""
    polls, jobs = size
    if not isinstance(peer, Gateway):
        return told_the_same(peer, request("GET", f"{API}/jobs/1/"), polls)
    if peer.ready(max_jobs=1):
        occupy(peer)
        _, ids = submit(peer, jobs, "ends")
        stop(peer, ids)
        peer.turn = cycle(ids)
    asked = [peer.request("GET", f"{API}/jobs/{job}/") for job in islice(peer.turn, polls)]
    load = ask(peer.port, asked)
    same = not load.refused and all(json.loads(body)["status"] in ENDED for body in load.bodies)
    return {**load.measurements(), "rss_mb": peer.rss_mb, "same": same}


def told_the_same(peer, text, requests):
    """Measure the clients themselves, at a server that has nothing to do."""
    return ask(peer.port, (text for _ in range(requests))).measurements()


def one_by_one(peer, jobs):
    """Run jobs one after the other, each by a client that waits for its result."""
    peer.ready()
    ray = isinstance(peer, RayJobs)
    run_one(peer)
    runs = [run_one(peer) for _ in range(min(jobs, JOBS_FOR_RAY) if ray else jobs)]
    starts, ends = zip(*runs, strict=True)
    return {
        "start_seconds": median(starts),
        "start_most_seconds": max(starts),
        "end_seconds": median(ends),
        "end_most_seconds": max(ends),
        "tasks": len(runs),
    }


def first(peer, _size):
    """Run one job as soon as the service listens."""
    peer.ready()
    start, end = run_one(peer)
    return {
        "start_seconds": start,
        "end_seconds": end,
        "starting_seconds": peer.starting_seconds,
    }


def run_one(peer):
    """Return the seconds from `run` to the first line, and from the last to the result here."""
    start = time.monotonic()
    if isinstance(peer, RayJobs):
        told = peer.run(RUNS_SECONDS)
    else:
        told = peer.client.run("timed", {"seconds": RUNS_SECONDS}).result()
        told["seen_at"] = time.monotonic()
    return told["began"] - start, told["seen_at"] - told["ended"]


def at_once(peer, jobs):
    """Have many jobs wait at the same time, then end at the same time."""
    peer.ready(max_jobs=jobs)
    before = peer.counts()["SUCCEEDED"]
    pipe = peer.open_pipe()
    start = time.monotonic()
    submit(peer, jobs, "waits", **pipe)
    peer.until(lambda counts: counts["RUNNING"] == jobs)
    running_seconds = time.monotonic() - start
    record = {
        "running": peer.counts()["RUNNING"],
        "running_seconds": running_seconds,
        "rss_mb": peer.rss_mb,
        "jobs_mb": peer.memory_of_jobs_mb() / jobs,
    }
    start = time.monotonic()
    peer.close_pipe()
    peer.until(lambda counts: counts["RUNNING"] == 0)
    record["ending_seconds"] = time.monotonic() - start
    return {**record, "same": peer.counts()["SUCCEEDED"] - before == jobs}


def restarted(peer, queued):
    """Kill a gateway with jobs queued and running, and start it again."""
    if peer.ready(max_jobs=AT_ONCE):
        pipe = peer.open_pipe()
        _, peer.running = submit(peer, AT_ONCE, "waits", **pipe)
        peer.until(lambda _counts: len(peer.started()) >= AT_ONCE)
        _, peer.queued = submit(peer, queued, "waits", **pipe)
    peer.kill()
    start = time.monotonic()
    peer.start()
    answers = [
        peer.get(path)
        for path in ("/health", f"{API}/jobs/{peer.running[0]}/", f"{API}/jobs/{peer.queued[-1]}/")
    ]
    restart_seconds = time.monotonic() - start
    told = [status for status, _ in answers] + [json.loads(body)["status"] for _, body in answers]
    counts = peer.counts()
    is_same = (
        told == [200, 200, 200, "ok", "RUNNING", "QUEUED"]
        and (counts["RUNNING"], counts["QUEUED"]) == (AT_ONCE, queued)
        and sorted(peer.started()) == sorted(peer.running)
    )
    # What its users ask next: their newest jobs, and after those that run.
    ask(peer.port, [peer.request("GET", f"{API}/jobs/?limit=100") for _ in range(CLIENTS)])
    return {
        "restart_seconds": restart_seconds,
        "starting_seconds": peer.starting_seconds,
        "rss_mb": peer.rss_mb,
        "same": is_same,
    }


WORKLOADS = {
    "service": Workload(
        "Submissions by 64 clients, each durable when answered, the jobs queued",
        either(640, 1920),
        peers=("shoal serve", "uvicorn alone", "clients alone", "disk alone"),
        repeat=partial(submitted, busy=False),
        rounds=5,
        columns=RATES,
    ),
    "service-busy": Workload(
        "Submissions by 64 clients while jobs start, as many at a time as there are cores",
        either(640, 1920),
        peers=("shoal serve",),
        repeat=partial(submitted, busy=True),
        rounds=3,
        columns=RATES,
    ),
    "service-polls": Workload(
        "Polls by 64 clients of 100 jobs that have ended",
        either((1280, 100), (6400, 100)),
        peers=("shoal serve", "uvicorn alone", "clients alone"),
        repeat=polled,
        rounds=5,
        columns=RATES,
    ),
    "service-polls-many": Workload(
        "Polls by 64 clients of 5,000 jobs that have ended, in turn",
        either((1280, 1280), (6400, 5000)),
        peers=("shoal serve",),
        repeat=polled,
        rounds=3,
        columns=RATES,
    ),
    "service-start": Workload(
        "One job after the other, each waited for: a program of 0.1 s, warm",
        either(5, 30),
        peers=("shoal serve", "shoal serve, plain start", "Ray Jobs"),
        repeat=one_by_one,
        rounds=3,
        quick_rounds=1,
        columns={**TIMES, "tasks": "jobs"},
        references={"Ray Jobs": "Ray's time to the first line over it"},
    ),
    "service-cold": Workload(
        "The first job of a service that was started for it",
        either(1, 1),
        peers=("shoal serve", "Ray Jobs"),
        repeat=first,
        rounds=5,
        quick_rounds=1,
        warm=False,
        columns={
            "start_seconds": "run → first line",
            "end_seconds": "last line → result here",
            "starting_seconds": "start of the service itself",
        },
        references={"Ray Jobs": "Ray's time to the first line over it"},
    ),
    "service-many": Workload(
        "200 jobs that sleep, at once",
        either(40, 200),
        peers=("shoal serve",),
        repeat=at_once,
        rounds=3,
        quick_rounds=1,
        columns={
            "running_seconds": "first submission → all run",
            "running": "running",
            "ending_seconds": "all end → all recorded",
            "rss_mb": "gateway's memory",
            "jobs_mb": "memory of a job",
        },
    ),
    "service-restart": Workload(
        "Killed with 10,000 jobs queued and 50 running, and started again",
        either(1000, 10_000),
        peers=("shoal serve",),
        repeat=restarted,
        rounds=5,
        columns={
            "restart_seconds": "exec → health and jobs answered",
            "starting_seconds": "exec → listening",
            "rss_mb": "gateway's memory",
        },
    ),
}
