"""The examples with quantum kernels run, and print what they claim."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pennylane")
pytest.importorskip("qiskit")

EXAMPLES = Path(__file__).parents[2] / "examples"
# Of PennyLane's tutorial "Training and evaluating quantum kernels", after every 50 steps.
PUBLISHED = [0.098, 0.121, 0.141, 0.173, 0.196, 0.224, 0.245, 0.261, 0.276, 0.289]


def example(name):
    return runpy.run_path(str(EXAMPLES / name))


def printed(capsys, name, *words):
    example(name)["main"](words)
    return capsys.readouterr().out


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def test_the_kernel_of_the_forum_is_computed_from_its_states(capsys, tmp_path):
    picture = tmp_path / "kernel.png"
    words = ["--samples", "60", "--qubits", "4", "--picture", str(picture)]
    lines = printed(capsys, "forum_qsvm.py", *words)
    assert "it is the inversion test" in lines
    assert "for 1770 pairs" in lines
    assert float(re.findall(r"accuracy ([\d.]+)", lines)[0]) > 0.8
    assert is_png(picture)


def test_the_data_sets_are_classified_about_as_well_as_by_a_gaussian_kernel(capsys):
    lines = printed(capsys, "kernel_datasets.py", "--datasets", "wine", "--samples", "90")
    found = re.findall(
        r"(fidelity|projected|Gaussian) +[\d.]+ +([\d.]+) +[\d.]+$", lines, re.MULTILINE
    )
    accuracies = {kernel: float(accuracy) for kernel, accuracy in found}
    assert set(accuracies) == {"fidelity", "projected", "Gaussian"}
    assert min(accuracies.values()) > 0.85


@pytest.mark.slow
def test_all_data_sets_are_classified_well(capsys):
    lines = printed(capsys, "kernel_datasets.py")
    accuracies = [
        float(each) for each in re.findall(r"([01]\.\d{3}) +[\d.]+$", lines, re.MULTILINE)
    ]
    assert len(accuracies) == 9
    assert min(accuracies) > 0.9


def test_the_ad_hoc_data_are_classified_without_an_error(capsys, tmp_path):
    picture = tmp_path / "kernel.png"
    lines = printed(capsys, "ad_hoc_data.py", "--picture", str(picture))
    quantum, gaussian = map(float, re.findall(r"samples ([\d.]+)", lines))
    assert quantum == 1.0
    assert gaussian < 0.9
    assert is_png(picture)


def test_the_ad_hoc_data_are_those_of_the_paper():
    from qiskit.circuit.library import zz_feature_map
    from qiskit_machine_learning.datasets import ad_hoc_data
    from qiskit_machine_learning.utils import algorithm_globals
    from sklearn.svm import SVC

    from shoal.quantum import FidelityKernel

    names = example("ad_hoc_data.py")
    kernel = FidelityKernel(zz_feature_map(2, reps=2))
    x, labels = names["ad_hoc_data"](20, 0.3, np.random.default_rng(0))
    overlaps = names["states"](x).conj() @ names["states"](x).T
    assert np.abs(np.abs(overlaps) ** 2 - kernel(x)).max() < 1e-12
    assert labels.tolist() == [1, -1] * 20
    algorithm_globals.random_seed = 12345
    theirs = ad_hoc_data(training_size=20, test_size=5, n=2, gap=0.3, one_hot=False)
    fitted = SVC(kernel=kernel).fit(*theirs[:2])
    assert fitted.score(*theirs[2:]) == 1.0


def test_training_starts_and_goes_as_the_tutorial_says(capsys):
    lines = printed(capsys, "kernel_training.py", "--steps", "50")
    alignments = [float(each) for each in re.findall(r"alignment ([\d.]+)", lines)]
    accuracies = [float(each) for each in re.findall(r"accuracy ([\d.]+)", lines)]
    assert alignments == [0.081, 0.098, 0.098]
    assert accuracies[0] == 0.833


@pytest.mark.slow
def test_training_gives_the_numbers_of_the_tutorial(capsys):
    lines = printed(capsys, "kernel_training.py")
    alignments = [float(each) for each in re.findall(r"step .*alignment ([\d.]+)", lines)]
    assert alignments == PUBLISHED
    assert float(re.findall(r"accuracy ([\d.]+)", lines)[-1]) == 1.0
