"""Counts the shared memory that this process holds open."""

import os


def open_regions(name="0"):
    """How many regions of this name are open: the number of an array in its call, or "out"."""
    links = []
    for each in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{each}"))
        except OSError:
            continue
    return sum(link.startswith(f"/memfd:shoal-{name}") for link in links)
