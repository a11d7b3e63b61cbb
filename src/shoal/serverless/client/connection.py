"""Requests to one gateway: one way to ask, what is asked again, and when that is given up."""

from __future__ import annotations

import ipaddress
import math
import ssl
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import httpx

from shoal import __version__
from shoal.serverless.client.answers import error_of, object_of
from shoal.serverless.errors import (
    GatewayFailed,
    GatewayRefused,
    GatewayUnreachable,
    NotAuthenticated,
    ServerlessError,
)

CONNECT_SECONDS = 5.0
TRY_AGAIN = frozenset({502, 503, 504})
_LONGEST_PAUSE = 2.0
_FIRST_PATIENCE_SECONDS = 1.0  # with a gateway that was never there, as the address may be wrong
# A proxy is for what lies outside of this machine.
_NO_PROXY = dict.fromkeys(("all://", "http://", "https://"))
T = TypeVar("T")
Files = Mapping[str, tuple[str, IO[bytes]]]


class Connection:
    """A gateway's address, who we are there, and how long we wait for it.

    Every request may be repeated: those that would do something twice carry a key by which the
    gateway knows them again. So a broken connection, or an answer that says "not now", is
    followed by the same request until `patience_seconds` are over.

    Attributes:
        host: The gateway's address, without a slash at its end.
        timeout_seconds: How long it may be silent within one answer.
        patience_seconds: How long a request is repeated.
    """

    def __init__(
        self,
        host: str,
        token: str | None,
        *,
        headers: Mapping[str, str],
        timeout_seconds: float,
        patience_seconds: float,
    ) -> None:
        self.host = check_host(host)
        self.timeout_seconds = check_seconds("timeout_seconds", timeout_seconds, least=0.001)
        self.patience_seconds = check_seconds("patience_seconds", patience_seconds)
        self._http = httpx.Client(
            headers={"User-Agent": f"shoal/{__version__}", **headers},
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            mounts=_NO_PROXY if _is_loopback(self.host) else None,
        )
        weakref.finalize(self, self._http.close)
        if token is not None:
            self.use_token(token)

    def use_token(self, token: str) -> None:
        """Makes all further requests in the name of whoever has this token."""
        self._http.headers["Authorization"] = f"Bearer {check_token(token)}"

    def log_in(self, username: str, password: str) -> None:
        """Exchanges a username and its password for a token, and uses that.

        Raises:
            NotAuthenticated: If the gateway does not know the two.
        """
        form = {"username": username, "password": password}
        try:
            answer = self.request("POST", "/dj-rest-auth/keycloak/login/", data=form, patience=0.0)
        except GatewayRefused as error:
            if error.status_code not in (400, 401, 403):
                raise
            raise _not_known(f"{self.host} refuses username {username!r}", error) from error
        token = object_of(answer).get("access")
        if not isinstance(token, str):
            raise GatewayUnreachable(f"{self.host} answered a login without a token")
        self.use_token(token)

    def verify(self) -> None:
        """Makes sure that there is a gateway that knows us.

        Raises:
            GatewayUnreachable: If nobody answers, or no gateway does.
            NotAuthenticated: If it does not know the token.
        """
        try:
            patience = min(_FIRST_PATIENCE_SECONDS, self.patience_seconds)
            answer = self.api("GET", "/programs/", params={"limit": "1"}, patience=patience)
            answer.json()
        except NotAuthenticated as error:
            raise _not_known(f"{self.host} does not accept the token", error) from error
        except (ServerlessError, ValueError) as error:
            if isinstance(error, GatewayUnreachable) or _is_answer(error):
                raise
            raise GatewayUnreachable(
                f"what answers at {self.host} is no gateway: {error}"
            ) from error

    def api(self, method: str, path: str, **content: Any) -> httpx.Response:
        """As `request`, for a path below ``/api/v1``."""
        return self.request(method, f"/api/v1{path}", **content)

    def request(
        self,
        method: str,
        path: str,
        *,
        patience: float | None = None,
        files: Files | None = None,
        **content: Any,
    ) -> httpx.Response:
        """The gateway's answer, if it is a success, with its body.

        Args:
            method: As HTTP calls it.
            path: Below the host.
            patience: In seconds, if it is other than the connection's.
            files: Name and contents of the parts of a form; read from their beginning each time.
            content: What httpx takes: ``json``, ``data``, ``params``, ``headers``, ``timeout``.

        Raises:
            GatewayUnreachable: If there was no answer until the patience was over.
            ServerlessError: For an answer that is no success; which one says why.
        """

        def ask() -> httpx.Response:
            for _, contents in (files or {}).values():
                contents.seek(0)
            try:
                answer = self._http.request(method, self.host + path, files=files, **content)
            except httpx.TransportError as error:
                raise self.unreachable(error) from error
            if not answer.is_success:
                raise error_of(answer)
            return answer

        return self.patiently(ask, patience)

    def patiently(self, attempt: Callable[[], T], patience: float | None = None) -> T:
        """What an attempt returns, made again while there is no gateway or it says "not now"."""
        end = time.monotonic() + (self.patience_seconds if patience is None else patience)
        tries = pauses()
        while True:
            pause = next(tries)
            try:
                return attempt()
            except (GatewayUnreachable, GatewayFailed) as error:
                if isinstance(error, GatewayFailed):
                    is_final = error.status_code not in TRY_AGAIN
                    pause = max(pause, error.retry_after_seconds)
                else:
                    is_final = _is_final(error.__cause__)
                if is_final or time.monotonic() + pause > end:
                    raise
            time.sleep(pause)

    @contextmanager
    def stream(self, path: str, *, read_seconds: float, **content: Any) -> Iterator[httpx.Response]:
        """An answer whose body is read as it comes; asked for once.

        Raises:
            GatewayUnreachable: If there is no answer, or it breaks off.
            ServerlessError: For an answer that is no success.
        """
        timeout = httpx.Timeout(self.timeout_seconds, connect=CONNECT_SECONDS, read=read_seconds)
        address = f"{self.host}/api/v1{path}"
        try:
            with self._http.stream("GET", address, timeout=timeout, **content) as answer:
                if not answer.is_success:
                    answer.read()
                    raise error_of(answer)
                yield answer
        except httpx.TransportError as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: httpx.TransportError) -> GatewayUnreachable:
        """The error for a gateway that was not reached."""
        why = str(error) or type(error).__name__
        return GatewayUnreachable(f"the gateway at {self.host} cannot be reached: {why}")

    def close(self) -> None:
        """Closes what is open; nothing can be asked after that."""
        self._http.close()


def check_host(host: str) -> str:
    """The address of a gateway, without slash; raises ValueError if it can be none."""
    expected = "expected an address such as http://127.0.0.1:8000"
    if not isinstance(host, str):
        raise TypeError(f"host={host!r}: {expected}")
    try:
        parts = urlsplit(host.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError(f"host={host!r}: {expected} ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"host={host!r}: {expected}")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"host={host!r}: {expected}, without user, query and fragment")
    return host.strip().rstrip("/")


def check_token(token: str) -> str:
    """A token that can go into a header; raises ValueError, which does not show it."""
    if not isinstance(token, str):
        raise TypeError(f"token: expected a text, not {type(token).__name__}")
    token = token.strip()
    if not token or not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("token: expected letters, digits and signs without spaces")
    return token


def pauses() -> Iterator[float]:
    """Seconds between tries, without end: none after the first, then longer and longer."""
    # A connection that was kept open and closed by the other side meanwhile needs no pause.
    yield 0.0
    pause = 0.05
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def check_seconds(name: str, value: float, *, least: float = 0.0) -> float:
    """A number of seconds; raises TypeError or ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r}: expected a number of seconds")
    if not least <= value < math.inf:
        raise ValueError(f"{name}={value!r}: expected {least} seconds or more")
    return float(value)


def _is_loopback(host: str) -> bool:
    name = urlsplit(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _is_final(error: BaseException | None) -> bool:
    """Whether asking again can change nothing: the other side has no valid certificate."""
    cause = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError)


def _is_answer(error: Exception) -> bool:
    """Whether it is what a gateway would say, though it is no success."""
    return getattr(error, "status_code", 0) >= 500


def _not_known(what: str, error: GatewayRefused) -> NotAuthenticated:
    refused = NotAuthenticated(f"{what}: {error}")
    refused.status_code = error.status_code
    return refused
