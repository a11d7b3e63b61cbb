"""Waiting, for the scripts beside it, which run in environments where nothing of ours is."""

import time


def until(condition, what):
    """Waits for what the gateway is to say, and returns it."""
    for _ in range(600):
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"{what}: not in time")
