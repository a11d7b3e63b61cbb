import numpy as np
import pytest
from qiskit.circuit.library import zz_feature_map

from shoal.quantum.kernels import checks
from shoal.quantum.kernels.checks import (
    check_angles,
    check_what,
    checked_count,
    checked_dtype,
    checked_rows,
)
from shoal.quantum.kernels.tracing import trace

GOOD = np.ones((3, 2))


def test_rows_are_a_copy_in_double_precision():
    for given in (GOOD, GOOD.astype("float32"), GOOD.astype(int), GOOD.tolist(), GOOD.T.copy().T):
        rows = checked_rows(given, "x")
        assert rows.dtype == np.float64
        assert rows.flags.c_contiguous
        assert rows is not given


def test_a_data_frame_is_taken():
    pandas = pytest.importorskip("pandas")
    assert checked_rows(pandas.DataFrame({"a": [1.0, 2.0], "b": [3, 4]}), "x").shape == (2, 2)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (np.ones(3), r"x of shape \(3,\): expected .*x\[None, :\]"),
        (np.ones((2, 2, 2)), r"x of shape \(2, 2, 2\)"),
        (np.ones((0, 2)), "at least one sample"),
        (np.ones((2, 0)), "at least one sample and feature"),
        ([[1.0, np.nan], [np.inf, 1]], r"x\[0, 1\] = nan, x\[1, 0\] = inf"),
        (np.full((4, 2), np.nan), "and 5 more"),
        ([[1.0], [2.0, 3.0]], "expected numbers"),
        ([["a", "b"]], None),
        (np.ones((2, 2), complex), None),
        (None, None),
    ],
)
def test_samples_that_make_no_sense_are_refused(wrong, text):
    with pytest.raises((ValueError, TypeError), match=text or "x"):
        checked_rows(wrong, "x")


def test_columns_need_as_many_features_as_rows():
    with pytest.raises(ValueError, match="y has 3 features, x has 2"):
        checked_rows(np.ones((1, 3)), "y", like=GOOD)


@pytest.mark.parametrize("wrong", ["float64", "complex256", "nonsense", 3, int])
def test_other_precisions_are_refused(wrong):
    with pytest.raises(ValueError, match="expected 'complex64' or 'complex128'"):
        checked_dtype(wrong)


def test_precisions_may_be_named_or_given():
    assert checked_dtype("complex64") == checked_dtype(np.complex64)
    assert checked_dtype(complex).name == "complex128"


def test_counts_are_checked():
    assert checked_count(np.int64(3), "shots", least=1) == 3
    assert checked_count(None, "shots", least=1, optional=True) is None
    with pytest.raises(ValueError, match="shots=0: expected at least 1"):
        checked_count(0, "shots", least=1)
    for wrong in (1.5, True, "3", None):
        with pytest.raises(TypeError, match="shots="):
            checked_count(wrong, "shots", least=1)


def test_angles_that_are_not_finite_are_refused_with_their_row_and_gate():
    table = trace(zz_feature_map(2, 1), 2)
    check_angles(table, GOOD, "x")
    with pytest.raises(ValueError, match=r"y\[1\] = .*an angle of inf, in the gate p on \[0\]"):
        check_angles(table, np.array([[0.0, 0], [1e308, 1]]), "y")


def test_angles_are_looked_at_in_blocks(monkeypatch):
    monkeypatch.setattr(checks, "ANGLES_AT_ONCE", 1)
    table = trace(zz_feature_map(2), 2)
    with pytest.raises(ValueError, match=r"x\[2\] = .*an angle of inf"):
        check_angles(table, np.array([[0.0, 0], [1, 1], [1e308, 1]]), "x")


def test_exactly_one_of_feature_map_and_kernel_is_needed():
    with pytest.raises(TypeError, match="got neither"):
        check_what(None, None, None)
    with pytest.raises(TypeError, match="got both"):
        check_what(len, len, None)
    with pytest.raises(TypeError, match="expected a function k"):
        check_what(None, 3, None)
    with pytest.raises(ValueError, match="noise="):
        check_what(None, len, 0.1)
