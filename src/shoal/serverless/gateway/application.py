"""From a request to its route, and from whatever happens there to an answer."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from shoal.serverless.errors import ServerlessError
from shoal.serverless.gateway.asking import Asked
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.web.bodies import Body
from shoal.serverless.gateway.web.refusals import ClientGone, Refusal, answer, answer_for
from shoal.serverless.gateway.web.routing import Needs, Route, Router
from shoal.serverless.models import Principal

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

# What users send comes back as data and nothing else, whatever a browser would make of it.
_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
_CLOSES = (b"connection", b"close")
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Application:
    """The ASGI application."""

    def __init__(self, gateway: Gateway, routes: Iterable[Route[Gateway, Asked]]) -> None:
        self._gateway = gateway
        self._router = Router(routes)
        self._hosts = _names(gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served here")
        headers = Headers(raw=scope["headers"])
        body = Body(receive, headers)
        try:
            response = await self._answer(scope, headers, body)
            closes = not await body.discard()
        except ClientGone:
            return
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += (*_ALWAYS, _CLOSES) if closes else _ALWAYS
            await send(message)

        await response(scope, receive, sending)
        self._gateway.requests[status] += 1

    async def _answer(self, scope: Scope, headers: Headers, body: Body) -> Response:
        try:
            self._check_host(headers)
            route, path = self._router.find(scope["method"], scope["raw_path"])
            asked = Asked(scope, headers, body, pattern=route.path, path=path)
            if route.needs is not Needs.NOTHING:
                asked.principal = await authenticated(self._gateway, headers)
                _check_scope(route, asked, path)
            try:
                return await route.handler(self._gateway, asked)
            finally:
                asked.close()
        except ClientGone:
            raise
        except ServerlessError as error:
            return answer_for(error)
        except Exception:  # a fault of ours; what it was stays in the log
            logger.exception("%s failed", scope["method"])
            return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed; its log says why.")

    def _check_host(self, headers: Headers) -> None:
        """Refuses a name that is not ours: a page in a user's browser may have it resolve to us."""
        if self._hosts is None:
            return
        name = _host_name(headers.get("host", ""))
        if name and name not in self._hosts and not _is_address(name):
            message = f"This gateway is not {name[:255]!r}; its operator can add it: --hosts."
            raise Refusal(HTTPStatus.BAD_REQUEST, message)


async def authenticated(gateway: Gateway, headers: Headers) -> Principal:
    """Who asks; raises Refusal 401."""
    kind, _, text = headers.get("authorization", "").partition(" ")
    principal = await gateway.principal(text.strip()) if kind.lower() == "bearer" else None
    if principal is None:
        message = "The token is not valid." if text else "A token is needed: Authorization: Bearer."
        raise Refusal(HTTPStatus.UNAUTHORIZED, message, _CHALLENGE)
    return principal


def _check_scope(route: Route[Gateway, Asked], asked: Asked, path: Mapping[str, str]) -> None:
    """A job's token reports on that job, and nothing else."""
    job_id = asked.principal.job_id
    if job_id is None:
        return
    if route.needs is not Needs.JOB:
        raise Refusal(HTTPStatus.FORBIDDEN, "The token of a job may only report on that job.")
    if path.get("job_id") != job_id:
        raise Refusal(HTTPStatus.NOT_FOUND, f"Job [{path.get('job_id')}] not found")


def _names(gateway: Gateway) -> frozenset[str] | None:
    """The host names we answer to; None is any, where the operator says nothing else."""
    settings = gateway.settings
    if not settings.hosts and not settings.is_loopback:
        return None
    return frozenset({"localhost", settings.host.lower(), *map(str.lower, settings.hosts)})


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
