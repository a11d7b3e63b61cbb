"""PennyLane's own tests of devices: passed as by the base device, with all circuits in workers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pennylane.devices.tests as suite
import pytest

for _plugin in ("pytest_mock", "flaky"):
    pytest.importorskip(_plugin)

ROOT = Path(__file__).parents[2]
FOLDER = Path(suite.__file__).parent
IN_WORKERS = ("-p", "tests.quantum.everything_in_workers")


def outcome(device, chosen, plugins=(), shots="None"):
    """How many tests passed and were skipped, and the end of what was printed."""
    words = ["-q", "--tb=short", "--no-flaky-report", "-p", "no:cacheprovider", "-p", "no:zarr"]
    command = [sys.executable, "-m", "pytest", FOLDER, "-c", FOLDER / "pytest.ini", *words]
    command += [f"--device={device}", f"--shots={shots}", *plugins, *chosen]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    last = done.stdout.splitlines()[-1]
    counts = re.findall(r"(\d+) (passed|failed|skipped|xfailed|error)", last)
    return {kind: int(count) for count, kind in counts}, done.stdout[-3000:]


def test_a_part_of_the_suite_passes():
    counts, text = outcome(
        "shoal.parallel",
        ("-k", "tracker or wires or gradients_autograd or return_system"),
        IN_WORKERS,
    )
    assert "failed" not in counts, text
    assert counts["passed"] > 40


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("shots", ["None", "20000"])
def test_the_whole_suite_passes_as_with_the_base_device(shots):
    expected, _ = outcome("lightning.qubit", (), shots=shots)
    counts, text = outcome("shoal.parallel", (), IN_WORKERS, shots=shots)
    assert counts == expected, text
