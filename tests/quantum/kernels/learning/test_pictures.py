import numpy as np
import pytest

from shoal.quantum.kernels.learning.pictures import plot_kernel

labels = [1, 0, 1, 0]
matrix = np.arange(16.0).reshape(4, 4) / 15


def test_samples_are_sorted_by_class_with_lines_between(tmp_path):
    axes = plot_kernel(matrix, labels)
    order = [1, 3, 0, 2]
    assert np.array_equal(axes.images[0].get_array(), matrix[np.ix_(order, order)])
    assert [line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1] == [1.5]
    axes.figure.savefig(tmp_path / "kernel.png")
    assert (tmp_path / "kernel.png").stat().st_size > 1000


def test_a_block_is_drawn_as_it_is_into_axes_that_are_given():
    from matplotlib.figure import Figure

    own = Figure().subplots()
    assert plot_kernel(matrix[:2], axes=own) is own
    assert np.array_equal(own.images[0].get_array(), matrix[:2])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="two dimensions"):
        plot_kernel(np.ones(3))
    with pytest.raises(ValueError, match=r"2 labels for a matrix of shape \(4, 4\)"):
        plot_kernel(matrix, [0, 1])
