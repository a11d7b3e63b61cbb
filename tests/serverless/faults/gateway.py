"""A gateway without HTTP, in a process of its own: a store and a runner, until its input ends.

``gateway.py DATA [--die-at STEP] [--ignore-children] [--max-jobs N] [--fast-start]``; it says "up"
when it works.
"""

import argparse
import os
import signal
import sys
from pathlib import Path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--die-at")
    parser.add_argument("--ignore-children", action="store_true")
    parser.add_argument("--max-jobs", type=int, default=8)
    parser.add_argument("--fast-start", action="store_true")
    chosen = parser.parse_args()
    if chosen.ignore_children:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    from shoal.serverless.runner import Runner
    from shoal.serverless.settings import Settings
    from shoal.serverless.store import Store

    def step(name):
        if name == chosen.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(
        data=chosen.data,
        max_jobs=chosen.max_jobs,
        grace_seconds=0.5,
        claim_seconds=2,
        fast_start=chosen.fast_start,
        job_imports=("tarfile",),
    )
    with Store(chosen.data) as store:
        runner = Runner(store, settings, step=step)
        runner.start()
        print("up", flush=True)
        sys.stdin.read()
        runner.drain()


main()
