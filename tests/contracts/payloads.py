"""What the contracts run: small functions that every executor, foreign ones too, finds by name."""

import os
import time
from pathlib import Path


class Odd(Exception):
    """An exception with a payload."""


def pair(*args, **kwargs):
    return args, kwargs


def square(x):
    return x * x


def add(x, y):
    return x + y


def fail_at(bad, x):
    if x == bad:
        raise Odd(f"x = {x}")
    return x


def fail_if_three(x):
    return fail_at(3, x)


def touch(path):
    Path(path).touch()
    return path


def hold(gate):
    """Runs until the file `gate` exists."""
    while not os.path.exists(gate):
        time.sleep(0.002)
    return gate


def touch_and_hold(path, gate):
    Path(path).touch()
    return hold(gate)


def hold_unless_zero(x, gate):
    if x:
        hold(gate)
    return x


def leave(status):
    raise SystemExit(status)


def noisy(x, rng):
    return x + rng.random(3)


def draw(rng, low, high):
    return rng.integers(low, high, 4).tolist()
