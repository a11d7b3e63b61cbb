"""KernelReport: how a kernel matrix was computed, and how exact it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class KernelReport:
    """How a kernel matrix was computed; ``print(report)`` shows all of it.

    Attributes:
        method: What computed it: the name of a method, or ``"pairs"`` for a function k(x1, x2).
        why: Why this one.
        feature_map: What the circuit is, or what prepares its states, in words.
        n_qubits: Qubits; 0 for a function whose circuit is not known.
        shape: Of the matrix.
        dtype: Of the states.
        states: Rows that were encoded, each counted as often as it was.
        tiles: Tiles that were computed.
        pairs: Calls of a function k(x1, x2).
        from_checkpoint: Tiles, or pairs, that were there already.
        tile_edge: Rows and columns of a whole tile.
        flops: Floating-point operations of the products, about.
        seconds: By stage. ``"trace"``, ``"plan"`` and ``"total"`` are times of this call;
            ``"encode"`` and ``"multiply"`` add up over the workers.
        executor: Where the tiles ran.
        workers: How many at once.
        shots: For each entry; None for exact values.
        precision_error: The largest difference of a diagonal entry from 1, before shots; None where
            the diagonal is not known to be 1, or was not computed.
        lost_weight: The largest weight of a state that was left out, from 0.
        verification: What was compared with what, in words.
    """

    method: str
    why: str
    feature_map: str
    n_qubits: int = 0
    shape: tuple[int, int] = (0, 0)
    dtype: str = "float64"
    states: int = 0
    tiles: int = 0
    pairs: int = 0
    from_checkpoint: int = 0
    tile_edge: int = 0
    flops: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    executor: str = ""
    workers: int = 1
    shots: int | None = None
    precision_error: float | None = None
    lost_weight: float = 0.0
    verification: str = ""

    def __str__(self) -> str:
        return "\n".join(f"{name:<18}{value}" for name, value in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "kernel matrix", f"{self.shape[0]} by {self.shape[1]}, {self.dtype}"
        yield "feature map", self.feature_map
        yield "method", f"{self.method}: {self.why}"
        kept = f", {self.from_checkpoint} more from the checkpoint" if self.from_checkpoint else ""
        if self.method == "pairs":
            yield "pairs", f"{self.pairs}{kept}"
        else:
            yield "states", f"{self.states} of {self.n_qubits} qubits"
            yield "tiles", f"{self.tiles} of up to {self.tile_edge} rows and columns{kept}"
            yield "operations", f"{self.flops:.3g}"
        times = ", ".join(f"{name} {value:.3g}" for name, value in self.seconds.items())
        yield "seconds", times
        yield "workers", f"{self.workers} ({self.executor})"
        if self.shots is not None:
            yield "shots", f"{self.shots} for each entry"
        if self.precision_error is not None:
            yield "precision", f"the diagonal is 1 to {self.precision_error:.1e}"
        if self.lost_weight:
            yield "lost weight", f"{self.lost_weight:.1e} of a state, at most"
        if self.verification:
            yield "verified", self.verification
