"""One request as its handler sees it: in whose name, what it names, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from shoal.serverless.gateway.web.bodies import Body, Fields, read_fields
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.models import Principal

if TYPE_CHECKING:
    from starlette.datastructures import Headers

T = TypeVar("T")

_MOST_QUERY_FIELDS = 32
MOST_NAME_CHARACTERS = 255


class Asked:
    """A request.

    Attributes:
        pattern: The path of the route.
        path: What the path names.
        headers: Of the request.
        body: Of the request, to be read once.
        client: The address it came from.
        raw_path: The path as it came.
    """

    def __init__(
        self,
        scope: Mapping[str, Any],
        headers: Headers,
        body: Body,
        *,
        pattern: str,
        path: Mapping[str, str],
    ) -> None:
        self.pattern = pattern
        self.path = path
        self.headers = headers
        self.body = body
        self.client: str = (scope.get("client") or ("?", 0))[0]
        self.raw_path: bytes = scope["raw_path"]
        self._query: bytes = scope["query_string"]
        self._principal: Principal | None = None
        self._fields: Fields | None = None

    @property
    def principal(self) -> Principal:
        """In whose name it is; only where the route needs a token."""
        if self._principal is None:
            raise LookupError("this route asks for no token")
        return self._principal

    @principal.setter
    def principal(self, principal: Principal) -> None:
        self._principal = principal

    @cached_property
    def query(self) -> dict[str, str]:
        """What the query says by name; raises Refusal 400 if it cannot be read."""
        if not self._query:
            return {}
        try:
            pairs = parse_qsl(
                self._query.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MOST_QUERY_FIELDS,
            )
        except ValueError as error:
            raise bad(f"The query cannot be read: {error}.") from error
        return {name: plain(name, value) for name, value in pairs}

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 0 to `most` in the query."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) > most:
            raise bad(f"{name}={text[:50]!r}: expected a whole number from 0 to {most}.")
        return int(text)

    def flag(self, name: str, default: bool) -> bool:
        """A true or false in the query."""
        words = {"true": True, "1": True, "false": False, "0": False, "": default}
        return self._chosen(name, words, "true or false")

    def is_provided(self) -> bool | None:
        """Whether ``filter`` in the query asks for programs of providers; None asks for all."""
        words = {"catalog": True, "serverless": False, "": None}
        return self._chosen("filter", words, "serverless or catalog")

    def _chosen(self, name: str, words: Mapping[str, T], expected: str) -> T:
        text = self.query.get(name, "").lower()
        if text not in words:
            raise bad(f"{name}={text[:50]!r}: expected {expected}.")
        return words[text]

    async def fields(self, *, most_bytes: int, most_text: int | None = None) -> Fields:
        """What a JSON object or a form in the body says by name; files are there until `close`."""
        self._fields = await read_fields(
            self.body, self.headers, most_bytes=most_bytes, most_text=most_text or most_bytes
        )
        return self._fields

    def close(self) -> None:
        """Removes what was uploaded; whoever wanted it has copied it."""
        if self._fields is not None:
            self._fields.close()


def bad(message: str) -> Refusal:
    """A refusal of what makes no sense."""
    return Refusal(HTTPStatus.BAD_REQUEST, message)


def plain(name: str, text: str) -> str:
    """A text without NUL and lone surrogates, which nothing here could keep."""
    if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise bad(f"{name}: NUL and lone surrogates are no characters of a text.")
    return text


def text_of(values: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text among the fields.

    Args:
        values: The fields.
        name: Which.
        default: What null and nothing stand for; None if it must be there.
    """
    value = values.get(name)
    if value is None:
        if default is None:
            raise bad(f"{name} is missing.")
        return default
    if not isinstance(value, str):
        raise bad(f"{name} is no text.")
    return plain(name, value)


def name_of(values: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A short text among the fields, in one line."""
    text = text_of(values, name, default)
    if len(text) > MOST_NAME_CHARACTERS:
        characters = f"{len(text)} characters: at most {MOST_NAME_CHARACTERS} are accepted"
        raise bad(f"{name} has {characters}.")
    if any(ord(each) < 32 or ord(each) == 127 for each in text):
        raise bad(f"{name} holds control characters.")
    return text
