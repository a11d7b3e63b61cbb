"""Tokens: made once, shown once, and kept only as a name and the hash of a secret."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_FORM = re.compile(r"shoal_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


class Minted(NamedTuple):
    """A new token.

    Attributes:
        text: What its owner gets, once.
        id: The part by which it is looked up.
        secret_sha256: What the store keeps of the rest.
    """

    text: str
    id: str
    secret_sha256: str


def mint() -> Minted:
    """A new token with 256 random bits; so many need no slow hash."""
    name, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return Minted(f"shoal_{name}_{secret}", name, digest(secret))


def digest(secret: str) -> str:
    """SHA-256 of a token's secret part, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split(text: str) -> tuple[str, str] | None:
    """The id and the secret of a token, or None for a text that is not one."""
    found = _FORM.fullmatch(text)
    return (found[1], found[2]) if found else None


def matches(secret: str, secret_sha256: str) -> bool:
    """Whether the secret is the one whose hash was kept, in a time that tells nothing."""
    return hmac.compare_digest(digest(secret), secret_sha256)
