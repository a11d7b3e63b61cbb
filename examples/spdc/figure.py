"""The figure of the example, drawn from the dataset of the sweep."""

import numpy as np
from matplotlib.figure import Figure


def draw(pairs, output):
    """Draws overlap**2 over the grid, with its maximum marked, as a PNG.

    Args:
        pairs: The dataset of the sweep of `overlap`.
        output: Path of the file; its folder is made if missing.
    """
    squares = pairs.overlap.real**2
    best = squares.isel(squares.argmax(["phi", "xi"]))
    best_mismatch, best_log = best.phi / np.pi, np.log10(best.xi)

    figure = Figure(figsize=(7.0, 5.0), dpi=150, layout="constrained")
    plot = figure.add_subplot()
    mesh = plot.pcolormesh(
        squares.phi / np.pi,
        np.log10(squares.xi),
        squares.transpose("xi", "phi"),
        shading="nearest",
        vmin=0.0,
    )
    figure.colorbar(mesh, label=r"$|\mathrm{overlap}|^2$")
    plot.annotate(
        rf"best: $\varphi = {best_mismatch:.1f}\,\pi$, $\xi = {best.xi:.2f}$",
        (best_mismatch, best_log),
        xytext=(0.97, 0.95),
        textcoords="axes fraction",
        horizontalalignment="right",
        verticalalignment="top",
        color="white",
        arrowprops={"arrowstyle": "->", "color": "white"},
    )
    plot.set_xlabel(r"phase mismatch $\varphi\,/\,\pi$")
    plot.set_ylabel(r"focus $\log_{10}\,\xi$")
    plot.set_title("Spatial mode overlap of an SPDC photon pair")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, format="png")
