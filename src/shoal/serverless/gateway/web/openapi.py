"""A table of routes in the form of OpenAPI 3.1, made from what the table and its functions say."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from shoal import __version__
from shoal.serverless.gateway.web.routing import Needs, Route, Takes

_ANSWERS = {
    "400": "What was sent makes no sense.",
    "401": "The token is missing, or not valid.",
    "403": "The token, or the job's state, does not allow it.",
    "404": "There is no such thing, or it is somebody else's.",
    "408": "The body did not come in time.",
    "409": "It contradicts what is there.",
    "413": "It is too large.",
    "415": "The body is of no kind that is read here.",
    "429": "There are as many as allowed.",
    "500": "The gateway failed.",
    "503": "The store cannot be used now; try again.",
    "507": "The disk is full.",
}


def described(table: Iterable[Route[Any, Any]]) -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(f"{route.path}/", {})[route.method.lower()] = _operation(route)
    message = {"type": "object", "required": ["message"]}
    message["properties"] = {"message": {"type": "string"}}  # type: ignore[assignment]
    return {
        "openapi": "3.1.0",
        "info": {"title": "shoal", "version": __version__},
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": message},
        },
    }


def summary(route: Route[Any, Any]) -> str:
    """What a route does, in the first line of its function's docstring."""
    return (inspect.getdoc(route.handler) or "").partition("\n")[0]


def _operation(route: Route[Any, Any]) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    places = [{"name": name, "in": "path", "required": True, **text} for name in route.names]
    places += [{"name": name, "in": "query", **text} for name in route.query]
    error = {"schema": {"$ref": "#/components/schemas/Error"}}
    operation: dict[str, Any] = {
        "summary": summary(route),
        "parameters": places,
        "responses": {
            "200": {"description": "Done.", "content": _content(route)},
            **{
                status: {"description": meaning, "content": {"application/json": error}}
                for status, meaning in _ANSWERS.items()
            },
        },
    }
    if route.needs is not Needs.NOTHING:
        operation["security"] = [{"token": []}]
    if route.takes is not Takes.NOTHING:
        content = {kind: {"schema": {"type": "object"}} for kind in route.takes.value}
        operation["requestBody"] = {"content": content}
    return operation


def _content(route: Route[Any, Any]) -> dict[str, Any]:
    return {"*/*": {}} if route.is_page else {"application/json": {}}
