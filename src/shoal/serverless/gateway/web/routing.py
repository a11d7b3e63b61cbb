"""One table of routes: what is asked for, who may ask, and which function answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Generic, TypeVar
from urllib.parse import unquote

from starlette.responses import Response

from shoal.serverless.gateway.web.refusals import Refusal

G = TypeVar("G")
A = TypeVar("A")
Handler = Callable[[G, A], Awaitable[Response]]


class Needs(Enum):
    """Who may ask."""

    NOTHING = "nothing"
    ACCOUNT = "a token of an account"
    JOB = "a token of the job, or of its account"


class Takes(Enum):
    """What the body may be."""

    NOTHING = ()
    FIELDS = ("application/json", "application/x-www-form-urlencoded")
    UPLOAD = ("multipart/form-data",)
    ANY = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True)
class Route(Generic[G, A]):
    """One line of the table.

    Attributes:
        path: Without a slash at its end; ``{name}`` stands for one part. With the slash it is
            the same route.
        query: The names that the query may give.
        is_page: Whether it answers something else than JSON.
    """

    method: str
    path: str
    handler: Handler[G, A]
    needs: Needs = Needs.ACCOUNT
    takes: Takes = Takes.NOTHING
    query: tuple[str, ...] = ()
    is_page: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the path, in order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


@dataclass(slots=True)
class _Node(Generic[G, A]):
    parts: dict[str, _Node[G, A]] = field(default_factory=dict)
    any: _Node[G, A] | None = None
    methods: dict[str, Route[G, A]] = field(default_factory=dict)


class Router(Generic[G, A]):
    """Finds the route of a request, by its path's parts."""

    def __init__(self, routes: Iterable[Route[G, A]]) -> None:
        """Raises ValueError if two routes are the same."""
        self._root: _Node[G, A] = _Node()
        for route in routes:
            node = self._root
            for part in filter(None, route.path.split("/")):
                if part.startswith("{"):
                    node.any = node.any or _Node()
                    node = node.any
                else:
                    node = node.parts.setdefault(part, _Node())
            if route.method in node.methods:
                raise ValueError(f"{route.method} {route.path} is there twice")
            node.methods[route.method] = route

    def find(self, method: str, raw_path: bytes) -> tuple[Route[G, A], Mapping[str, str]]:
        """The route of a request, and what its path names.

        Args:
            method: In capitals.
            raw_path: As it came, still encoded, so that %2F in a name is no slash. Empty parts do
                not count: some clients begin with two slashes, and some end with one.

        Raises:
            Refusal: 404 if there is no such path, 405 if it takes other methods.
        """
        node, values = self._root, []
        for part in _parts(raw_path):
            following = node.parts.get(part)
            if following is None and node.any is not None:
                following = node.any
                values.append(part)
            if following is None:
                raise Refusal(HTTPStatus.NOT_FOUND, "There is no such page.")
            node = following
        if method not in node.methods:
            if not node.methods:
                raise Refusal(HTTPStatus.NOT_FOUND, "There is no such page.")
            allowed = ", ".join(sorted(node.methods))
            message = f"{method[:20]} is not allowed here: {allowed} is."
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, message, {"Allow": allowed})
        route = node.methods[method]
        return route, dict(zip(route.names, values, strict=True))


def _parts(raw_path: bytes) -> list[str]:
    try:
        path = raw_path.decode("ascii")
        parts = [part for part in path.split("/") if part]
        return [unquote(part, errors="strict") for part in parts] if "%" in path else parts
    except UnicodeDecodeError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "The address is not UTF-8.") from error
