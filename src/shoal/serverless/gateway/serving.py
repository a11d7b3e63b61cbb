"""The service in one process: from its first start to SIGTERM, which jobs outlive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn

from shoal.serverless.errors import ServerlessError
from shoal.serverless.gateway import admission
from shoal.serverless.gateway.admission import CannotServe
from shoal.serverless.gateway.application import Application
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.routes import TABLE
from shoal.serverless.gateway.web.protocol import Protocol
from shoal.serverless.runner import Runner
from shoal.serverless.settings import Settings
from shoal.serverless.store import Store, accounts

logger = logging.getLogger(__name__)

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75  # longer than clients keep a connection, so that it is they who close it
LEAVE_SECONDS = 3
TIDY_SECONDS = 3600.0
DESCRIPTORS = 8192
_JOBS_HOST = "127.0.0.1"


def serve(
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda text: None,  # noqa: ARG005
    stopping: threading.Event | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; jobs run on, and the next gateway adopts them.

    Args:
        settings: What the operator decided.
        say: Told what the operator has to know, line by line: the token of the first start, and,
            once requests are answered, where.
        stopping: Ends it too, where signals cannot be heard: outside the main thread.

    Raises:
        CannotServe: If the address is taken, or would not be safe.
        StoreError: If the data directory cannot be used.
    """
    _allow_descriptors()
    admission.check_job_python(settings)
    with contextlib.ExitStack() as ending:
        store = ending.enter_context(Store(settings.data))
        admission.check_address(settings, store)
        is_tls = _check_tls(settings)
        listener = ending.enter_context(contextlib.closing(listen(settings.host, settings.port)))
        token = admission.first_token(store, settings.data)
        if token is not None:
            where = settings.data / admission.TOKEN_FILE
            say(f"The administrator's token, also in {where}:\n{token}")
            say(f"Make users with: shoal user add NAME --data {settings.data}")
        if settings.demo_user:
            admission.demo_user(store)
            say(f"The demo user is {admission.DEMO_NAME}, with {admission.DEMO_PASSWORD}")
        else:
            admission.forget_demo_user(store)
        for_jobs = None
        if is_tls:  # jobs on this machine need no encryption, and may not trust our name
            for_jobs = ending.enter_context(contextlib.closing(_listen_for_jobs(settings.data)))
        runner = Runner(store, settings, gateway=_address(for_jobs or listener, "http"))
        runner.start()
        ending.callback(runner.drain)

        def ready() -> None:
            say(f"shoal serve: listening on {_address(listener, 'https' if is_tls else 'http')}")

        asyncio.run(
            _serve(store, settings, [(listener, is_tls), (for_jobs, False)], ready, stopping)
        )
        logger.info("Leaving; jobs run on")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; raises CannotServe if it cannot."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        # The protocol is named, as asyncio switches Nagle's algorithm off only where it is: answers
        # would wait 40 ms for the acknowledgement of their first part.
        listener = socket.socket(family, kind, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        raise CannotServe(f"cannot listen on {host}, port {port}: {error}") from error
    return listener


def _listen_for_jobs(data: Path) -> socket.socket:
    """A socket for jobs alone, where it was before if that is free: running jobs know that one."""
    remembered = data / "jobs-port"
    with contextlib.suppress(OSError, ValueError, CannotServe):
        return listen(_JOBS_HOST, int(remembered.read_text()))
    made = listen(_JOBS_HOST, 0)
    remembered.write_text(f"{made.getsockname()[1]}\n")
    return made


class _Server(uvicorn.Server):
    """uvicorn, leaving when we say so; it would end the process by the signal it got."""

    def __init__(self, config: uvicorn.Config, leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._leave = leave

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to us."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers those who wait, and ends."""
        self._leave()
        await super().shutdown(sockets)


async def _serve(
    store: Store,
    settings: Settings,
    listeners: Sequence[tuple[socket.socket | None, bool]],
    ready: Callable[[], None],
    stopping: threading.Event | None,
) -> None:
    gateway = Gateway(store, settings)
    application = Application(gateway, TABLE)
    servers = {
        listener: _Server(_config(application, settings, is_tls), gateway.leave)
        for listener, is_tls in listeners
        if listener is not None
    }
    beside = [
        asyncio.create_task(_watch(tuple(servers.values()), ready, stopping)),
        asyncio.create_task(_tidy(gateway)),
    ]
    try:
        async with asyncio.TaskGroup() as group:
            for listener, server in servers.items():
                group.create_task(server.serve(sockets=[listener]))
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        gateway.close()


async def _tidy(gateway: Gateway) -> None:
    """Every hour, removes what nobody can reach any more."""
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        try:
            await gateway.write(accounts.drop_expired)
            await gateway.apart(gateway.store.sweep_blobs)
        except (ServerlessError, OSError):
            logger.exception("Tidying failed; it is tried again in %s s", TIDY_SECONDS)


async def _watch(
    servers: Sequence[_Server], ready: Callable[[], None], stopping: threading.Event | None
) -> None:
    """Says when all serve, and ends all at a signal; a second one does not wait for answers."""

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
    while not all(server.started for server in servers):
        await asyncio.sleep(0.001)
    ready()
    while stopping is not None and not stopping.is_set():
        await asyncio.sleep(0.05)
    if stopping is not None:
        stop()
    await asyncio.Event().wait()


def _config(application: Application, settings: Settings, is_tls: bool) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="asyncio",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=LEAVE_SECONDS,
        ssl_certfile=settings.tls_certificate if is_tls else None,
        ssl_keyfile=settings.tls_key if is_tls else None,
    )


def _check_tls(settings: Settings) -> bool:
    """Whether to encrypt; raises CannotServe if that is not possible."""
    if not settings.tls_certificate:
        return False
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:
        names = f"{settings.tls_certificate} and {settings.tls_key}"
        raise CannotServe(f"the certificate and key in {names} cannot be used: {error}") from error
    return True


def _allow_descriptors() -> None:
    """Lets this process have a descriptor for each of many connections, where the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _address(listener: socket.socket, scheme: str) -> str:
    """Where somebody on this machine finds what listens here."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - never bound here
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
