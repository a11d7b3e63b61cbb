"""PennyLane's own tests of devices: passed as by the base device, with all circuits in workers."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pennylane.devices.tests as suite
import pytest

from shoal.quantum.pennylane.batch import Batch
from tests.quantum.everything_in_workers import run_in_workers

for _plugin in ("pytest_mock", "flaky"):
    pytest.importorskip(_plugin)

ROOT = Path(__file__).parents[3]
FOLDER = Path(suite.__file__).parent
WORDS = ["-q", "--tb=short", "--no-flaky-report", "-c", str(FOLDER / "pytest.ini")]
UNWANTED = [f"-pno:{plugin}" for plugin in ("cacheprovider", "faulthandler", "timeout", "zarr")]
SOME = ("test_tracker.py", "test_wires.py", "test_return_system.py")


class Counting:
    """Counts how tests ended, and keeps what they said who failed."""

    def __init__(self):
        self.ended = Counter()
        self.said = []

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or not report.passed:
            self.ended[report.outcome] += 1
        if report.failed:
            self.said.append(f"{report.nodeid}\n{report.longreprtext}")


@pytest.mark.parametrize("run", [run_in_workers, Batch.run])
def test_a_part_of_the_suite_passes_in_workers_and_here(run, monkeypatch):
    monkeypatch.setattr(Batch, "run", run)
    counting = Counting()
    files = [str(FOLDER / name) for name in SOME]
    pytest.main([*files, *WORDS, *UNWANTED, "--device=shoal.parallel"], [counting])
    assert not counting.said, "\n".join(counting.said)
    assert counting.ended["passed"] > 10


def outcome(device, shots, plugins=()):
    """How many tests passed and were skipped, and the end of what was printed."""
    command = [sys.executable, "-m", "pytest", FOLDER, *WORDS, *UNWANTED, *plugins]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, f"--device={device}", f"--shots={shots}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    printed = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    last = (done.stdout.strip() or printed).splitlines()[-1]
    counts = re.findall(r"(\d+) (passed|failed|skipped|xfailed|error)", last)
    return {kind: int(count) for count, kind in counts}, printed


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("shots", ["None", "20000"])
def test_the_whole_suite_passes_as_with_the_base_device(shots):
    expected, _ = outcome("lightning.qubit", shots)
    for plugins in (("-p", "tests.quantum.everything_in_workers"), ()):
        counts, printed = outcome("shoal.parallel", shots, plugins)
        assert counts == expected, printed
