"""A plan that is easy to follow: the kernel is a product of features, and encoding is counted."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Products:
    """k(x, y) = x·y, or x·2y where the plan is not symmetric."""

    symmetric: bool = True
    unit_diagonal: bool = False
    fails_at: float | None = None
    row_bytes: int = 100
    encoded: list = field(default_factory=list)

    def encode(self, rows, side):
        self.encoded.append((side, len(rows)))
        if self.fails_at is not None and (rows == self.fails_at).any():
            raise ArithmeticError("cannot encode this")
        return rows * (2 if side == "y" and not self.symmetric else 1)

    def multiply(self, left, right):
        return left @ right.T

    def lost_weight(self, encoded):
        return float(encoded.max()) / 1000

    def encoded_bytes(self, n_rows):
        return self.row_bytes * n_rows

    def working_bytes(self, n_rows, n_columns):
        return 8 * n_rows * n_columns

    def flops(self, n_rows, n_columns):
        return 1e5 * n_rows * n_columns


def rows(count, features=2, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (count, features))
