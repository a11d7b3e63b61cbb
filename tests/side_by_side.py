"""How processes that run the tests side by side share them: file by file, the long rooms first."""

from xdist.scheduler import LoadScopeScheduling

# Files that start the same thing, a Ray, a gateway or workers that import PennyLane, go to the same
# process, which starts it once. The first that fits counts.
TOGETHER = {
    "tests/contracts/": "clusters",
    "tests/examples/test_qiskit.py": "clusters",
    "tests/faults/test_clusters.py": "clusters",
    "tests/quantum/qiskit/test_clusters.py": "clusters",
    "tests/tasks/clusters/test_dask.py": "clusters",
    "tests/tasks/clusters/test_ray.py": "clusters",
    "tests/tasks/test_executors.py": "clusters",
    "tests/ecosystem/": "ecosystem",
    "tests/house/test_doctests.py": "pennylane",
    "tests/quantum/pennylane/": "pennylane",
    "tests/quantum/qiskit/": "qiskit",
    "tests/serverless/client/": "client",
}
# Where the long files are: those of the service, which wait, beside those that compute. What is
# short comes last, so that no process waits long for the other.
FIRST = (
    "tests/contracts/",
    "tests/serverless/",
    "tests/examples/",
    "tests/faults/",
    "tests/house/test_doctests.py",
    "tests/quantum/",
)


def turn(item):
    """The place of a test's room among all rooms."""
    rooms = [place for place, room in enumerate(FIRST) if item.nodeid.startswith(room)]
    return (*rooms, len(FIRST))[0]


def company(nodeid):
    """What a test's file belongs to: itself, or what it shares with others."""
    file = nodeid.partition("::")[0]
    return next((name for start, name in TOGETHER.items() if file.startswith(start)), file)


def is_last(item, following, name):
    """Whether a test is of that company, and the one that follows, if any, is not."""
    return company(item.nodeid) == name and (following is None or company(following.nodeid) != name)


class FileByFile(LoadScopeScheduling):
    """Gives the next file, or the next files that belong together, to the process that is free."""

    def __init__(self, config, log):
        config.option.loadscopereorder = False  # in the order of `turn`, not by the count of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid):
        return company(nodeid)
