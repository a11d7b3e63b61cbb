"""Phases and permutations of one layer, gathered: controlled nots carry phases, and are done last.

A phase behind controlled nots is the phase of a parity of the qubits before them (a *phase
polynomial*: Amy, Maslov, Mosca and Roetteler, arXiv:1206.0758). Parities of at most two qubits are
gathered in one diagonal; the permutation that the controlled nots come to is applied behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from shoal.quantum.kernels.states.primitives import Primitive, Sum


@dataclass(slots=True)
class Diagonal:
    """A product of phases of single qubits that are 1, and of pairs that both are.

    Attributes:
        singles: By qubit.
        pairs: By two qubits, the lower one first.
    """

    singles: dict[int, Sum] = field(default_factory=dict)
    pairs: dict[tuple[int, int], Sum] = field(default_factory=dict)

    def single(self, bit: int, angle: Sum) -> None:
        """Adds a phase where a qubit is 1."""
        before = self.singles.get(bit)
        self.singles[bit] = angle if before is None else before.plus(angle)

    def pair(self, one: int, other: int, angle: Sum) -> None:
        """Adds a phase where two qubits are 1."""
        key = (min(one, other), max(one, other))
        before = self.pairs.get(key)
        self.pairs[key] = angle if before is None else before.plus(angle)

    def __bool__(self) -> bool:
        return bool(self.singles or self.pairs)


@dataclass(frozen=True, slots=True)
class Permutation:
    """Basis state z becomes `offset` xor the images of the bits that z has.

    Attributes:
        images: For each bit.
        offset: What 0 becomes.
    """

    images: tuple[int, ...]
    offset: int


Pass = Diagonal | Permutation | Primitive


class Frame:
    """What the qubits are now, each a parity of those before the permutation, perhaps negated.

    Attributes:
        masks: Which qubits are in the parity.
        flips: 1 where it is negated.
    """

    def __init__(self, n_qubits: int) -> None:
        self.masks = [1 << wire for wire in range(n_qubits)]
        self.flips = [0] * n_qubits

    def apply(self, letter: Primitive) -> None:
        """A controlled not, a not or a swap."""
        if letter.kind == "x":
            self.flips[letter.wires[0]] ^= 1
            return
        first, second = letter.wires
        if letter.kind == "cx":
            self.masks[second] ^= self.masks[first]
            self.flips[second] ^= self.flips[first]
            return
        for each in (self.masks, self.flips):
            each[first], each[second] = each[second], each[first]

    def permutation(self) -> Permutation | None:
        """What the letters come to; None if that is nothing."""
        n_qubits = len(self.masks)
        images = tuple(
            sum(1 << wire for wire, mask in enumerate(self.masks) if mask >> bit & 1)
            for bit in range(n_qubits)
        )
        offset = sum(flip << wire for wire, flip in enumerate(self.flips))
        if offset == 0 and images == tuple(1 << bit for bit in range(n_qubits)):
            return None
        return Permutation(images, offset)


def passes(letters: Sequence[Primitive], n_qubits: int) -> Iterator[Pass]:
    """Phases, controlled nots, nots and swaps, in order, as few passes over the state."""
    frame, diagonal = Frame(n_qubits), Diagonal()
    for letter in letters:
        if letter.kind in ("cx", "x", "swap"):
            frame.apply(letter)
            continue
        if _gathered(letter, frame, diagonal):
            continue
        yield from _flushed(frame, diagonal)
        frame, diagonal = Frame(n_qubits), Diagonal()
        if not _gathered(letter, frame, diagonal):
            yield letter
    yield from _flushed(frame, diagonal)


def _flushed(frame: Frame, diagonal: Diagonal) -> Iterator[Pass]:
    if diagonal:
        yield diagonal
    permutation = frame.permutation()
    if permutation is not None:
        yield permutation


def _gathered(letter: Primitive, frame: Frame, diagonal: Diagonal) -> bool:
    """Adds a phase to the diagonal; False if it concerns more than two qubits."""
    masks = [frame.masks[wire] for wire in letter.wires]
    flips = [frame.flips[wire] for wire in letter.wires]
    if letter.kind == "parity":
        return _parity(masks, sum(flips) % 2, letter.angle, diagonal)
    if len(masks) > 2 or any(mask.bit_count() > 1 for mask in masks):
        return False
    (one, other), (flip, other_flip) = (_bits(sum(masks)), flips)
    if one != _bits(masks[0])[0]:
        flip, other_flip = other_flip, flip
    sign, other_sign = 1 - 2 * flip, 1 - 2 * other_flip
    diagonal.pair(one, other, letter.angle.times(sign * other_sign))
    if other_flip:
        diagonal.single(one, letter.angle.times(sign))
    if flip:
        diagonal.single(other, letter.angle.times(other_sign))
    return True


def _parity(masks: Sequence[int], flip: int, angle: Sum, diagonal: Diagonal) -> bool:
    mask = 0
    for each in masks:
        mask ^= each
    bits = _bits(mask)
    if len(bits) > 2:
        return False
    signed = angle.times(1 - 2 * flip)
    for bit in bits:
        diagonal.single(bit, signed)
    if len(bits) == 2:
        diagonal.pair(bits[0], bits[1], signed.times(-2))
    return True


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
