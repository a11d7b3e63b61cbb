"""Texts that every database takes: not too long, without NUL, and valid Unicode."""

from __future__ import annotations

MOST_CHARACTERS = 255
MOST_MESSAGE_CHARACTERS = 4000


def checked(name: str, text: str, *, least: int = 0) -> str:
    """The text, if it can be stored as it is.

    Args:
        name: What it is, for the error.
        text: At most `MOST_CHARACTERS` long.
        least: The fewest characters, 0 or 1.

    Raises:
        ValueError: If it cannot be stored; not truncated, as others look it up by it.
    """
    if not least <= len(text) <= MOST_CHARACTERS:
        allowed = f"{least} to {MOST_CHARACTERS}"
        raise ValueError(f"{name} of {len(text)} characters: expected {allowed}")
    if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError(f"{name}={text!r}: NUL and lone surrogates cannot be stored")
    return text


def cleaned(text: str) -> str:
    """A message, shortened, and with what cannot be stored replaced."""
    plain = text[:MOST_MESSAGE_CHARACTERS].encode(errors="replace").decode()
    return plain.replace("\0", "\N{REPLACEMENT CHARACTER}")
