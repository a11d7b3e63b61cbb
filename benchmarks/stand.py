"""A peer's own process: starts one peer and runs repetitions of one workload when asked to.

Called with a workload, a peer and "quick" or "full". Each line read is the number of a
repetition, each line written its measurements in JSON. A peer alone in its process is not slowed
down by the others' threads, and its memory is its own.
"""

import json
import os
import sys
from importlib import import_module
from itertools import chain
from time import monotonic


def main():
    name, peer_name, size = sys.argv[1:]
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What a peer or a task prints is no measurement.
    workload = import_module("workloads." + name.partition("-")[0]).WORKLOADS[name]
    workers = len(os.sched_getaffinity(0))
    quick = size == "quick"
    from clusters import CLUSTERS
    from devices import DEVICES
    from kernels import KERNELS
    from peers import PEERS
    from services import SERVICES
    from simulators import SIMULATORS
    from sweepers import SWEEPERS

    jobs = (workload.job(quick, int(line)) for line in sys.stdin)
    first = next(jobs)
    local = PEERS | SWEEPERS | SIMULATORS | DEVICES | KERNELS
    module, start = (local | CLUSTERS | SERVICES)[peer_name]

    ready_at = monotonic()
    import_module(module)
    imported_at = monotonic()
    peer = start(workers, max(workload.chunk // 10, 1) if quick else workload.chunk)
    for job in chain([first], jobs):
        reply = attempt(workload, peer, job)
        if "finished_at" in reply:
            reply["call_seconds"] = reply["finished_at"] - imported_at
            reply["import_seconds"] = reply["finished_at"] - ready_at
        print(json.dumps(reply), file=channel, flush=True)
    peer.close()


def attempt(workload, peer, job):
    try:
        return workload.repeat(peer, *job)
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result here
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}


if __name__ == "__main__":
    main()
