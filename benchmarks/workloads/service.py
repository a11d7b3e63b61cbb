"""The service: submissions, polls, starts and ends of jobs, many at once, and a restart.

Times that two processes tell of are of the clock of the machine since its start, which is the same
for all of them.
"""

import json
import time
from itertools import count, cycle, islice
from statistics import median
from uuid import uuid4

from clients import CLIENTS, ask
from services import TIMED_SECONDS, Disk, Gateway

from workloads import Workload

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
API = "/api/v1"
RUN = f"{API}/programs/run/"
LATENCIES = {"median_seconds": "median", "p99_seconds": "99th percentile"}
RSS = {"rss_mb": "gateway's memory"}
RAY_JOBS = 5  # Of several seconds each.


def submission(gateway, title, arguments=None):
    """Return the request that our client sends to run a program."""
    body = {
        "title": title,
        "provider": None,
        "arguments": json.dumps(arguments or {}),
        "config": {},
        "max_attempts": 1,
    }
    return gateway.request("POST", RUN, body, {"Idempotency-Key": uuid4().hex})


def submit(gateway, jobs, title, arguments=None):
    """Submit so many jobs; return what came of it, and their ids."""
    load = ask(gateway.port, (submission(gateway, title, arguments) for _ in range(jobs)))
    if load.refused:
        raise RuntimeError(f"{load.refused} of {jobs} refused, such as {load.bodies[-1][:200]}")
    return load, [json.loads(body)["id"] for body in load.bodies]


def occupy(gateway):
    """Have the only job that may run wait, so that all others stay queued."""
    submit(gateway, 1, "waits", gateway.open_pipe())
    gateway.until(lambda counts: counts.get("RUNNING") == 1)


def stop_all(gateway, jobs):
    ask(gateway.port, (gateway.request("POST", f"{API}/jobs/{job}/stop/", {}) for job in jobs))
    gateway.until(lambda counts: not any(counts.get(each) for each in ("PENDING", "RUNNING")))


def submitted(peer, jobs):
    """Submit jobs of a program that does nothing, by all clients at once."""
    if isinstance(peer, Disk):
        seconds = peer.write(jobs)
        return {"tasks_per_second": jobs / sum(seconds), "median_seconds": median(seconds)}
    if not isinstance(peer, Gateway):
        return said_the_same(peer, b'{"title": "ends", "arguments": "{}", "config": {}}', jobs)
    if peer.ready(max_jobs=1) and not peer.runs_jobs:
        occupy(peer)
    before = sum(peer.counts().values())
    load, ids = submit(peer, jobs, "ends")
    rss_mb = peer.rss_mb
    kept = sum(peer.counts().values()) - before
    if peer.runs_jobs:
        stop_all(peer, ids)
    return {
        **load.measurements(),
        "rss_mb": rss_mb,
        "same": kept == jobs == len(set(ids)),
    }


def polled(peer, size):
    """Ask for the states of jobs that have ended, by all clients at once."""
    polls, jobs_in_turn = size
    if not isinstance(peer, Gateway):
        return said_the_same(peer, b"", polls)
    if peer.ready(max_jobs=1):
        occupy(peer)
        _, peer.ids = submit(peer, jobs_in_turn if peer.has_many else CLIENTS, "ends")
        requests = (gone(peer, job) for job in peer.ids)
        ask(peer.port, requests)
        peer.turn = cycle(peer.ids)
    paths = (f"{API}/jobs/{job}/" for job in islice(peer.turn, polls))
    load = ask(peer.port, (peer.request("GET", path) for path in paths))
    ended = all(json.loads(body)["status"] in ENDED for body in load.bodies)
    same = ended and not load.refused
    return {**load.measurements(), "rss_mb": peer.rss_mb, "same": same}


def gone(gateway, job):
    """Return the request that ends a job which is queued."""
    return gateway.request("POST", f"{API}/jobs/{job}/stop/", {})


def said_the_same(peer, body, requests):
    """Measure the clients themselves, at a server that has nothing to do."""
    text = (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    return ask(peer.port, (text for _ in range(requests))).measurements()
