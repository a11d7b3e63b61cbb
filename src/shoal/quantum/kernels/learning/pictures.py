"""A kernel matrix as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from shoal.tasks import require


def plot_kernel(matrix: Any, labels: Any = None, *, axes: Any = None) -> Any:
    """Draws a kernel matrix as a heat map; needs the extra ``plots``.

    Args:
        matrix: Of shape (n_x, n_y).
        labels: Of the samples of a square matrix. They are then sorted by class, with lines between
            the classes, so that a kernel that fits them shows bright blocks.
        axes: Axes of matplotlib's to draw into; None: those of a new figure.

    Returns:
        The axes; ``.figure.savefig("kernel.png")`` keeps the picture.

    Raises:
        ValueError: If the matrix has not two dimensions, or the labels are not as many.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2:
        raise ValueError(f"matrix of shape {matrix.shape}: expected two dimensions")
    bounds: list[int] = []
    if labels is not None:
        labels = np.asarray(labels)
        if matrix.shape != (len(labels),) * 2:
            raise ValueError(f"{len(labels)} labels for a matrix of shape {matrix.shape}")
        order = np.argsort(labels, kind="stable")
        matrix = matrix[np.ix_(order, order)]
        bounds = np.cumsum(np.unique(labels, return_counts=True)[1])[:-1].tolist()
    require("matplotlib", extra="plots", purpose="a picture of a kernel")
    if axes is None:
        from matplotlib.figure import Figure

        axes = Figure(figsize=(5, 4.2), layout="constrained").subplots()
    image = axes.imshow(matrix, vmin=min(0.0, matrix.min()), vmax=max(1.0, matrix.max()))
    for bound in bounds:
        axes.axhline(bound - 0.5, color="white", linewidth=0.8)
        axes.axvline(bound - 0.5, color="white", linewidth=0.8)
    axes.set(xlabel="sample", ylabel="sample")
    axes.figure.colorbar(image, ax=axes, label="kernel")
    return axes
