"""Makes text of others harmless for terminals: what would steer one is shown instead."""

from __future__ import annotations

import unicodedata

# Line feeds and tabs are layout, and a carriage return only draws a progress bar anew.
_LAYOUT = frozenset("\n\t\r")


def inert(text: str, *, layout: bool = False) -> str:
    r"""`text` with control characters, and what turns the direction of writing, as escapes.

    Args:
        text: Anything, such as a title or a log.
        layout: Whether line feeds, tabs and carriage returns stay as they are.

    >>> inert("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    >>> inert("a\tb\n", layout=True)
    'a\tb\n'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each if _is_harmless(each) or (layout and each in _LAYOUT) else _escape(each)
        for each in text
    )


def _is_harmless(character: str) -> bool:
    # Cc controls, Cf format (bidirectional marks, zero width), Cs halves of pairs, Zl and Zp lines.
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
