"""What a running job tells the gateway: what it is doing, and what went wrong."""

from __future__ import annotations

import importlib
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urllib.request import Request

SUB_STATUSES = (
    "MAPPING",
    "OPTIMIZING_HARDWARE",
    "WAITING_QPU",
    "EXECUTING_QPU",
    "POST_PROCESSING",
)
SECONDS = 30.0
PATIENCE_SECONDS = 20.0  # for a gateway that is being restarted

logger = logging.getLogger("shoal.serverless")


class ReportedError(Exception):
    """An error that a program raises on purpose, with a code for whoever runs it.

    The published packages call it `ServerlessError`.
    """

    def __init__(self, code: str | int, message: str, details: Any = None) -> None:
        super().__init__(code, message, details)
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        more = f"\n{self.details}" if self.details else ""
        return f"[{self.code}] {self.message}{more}"


def update_status(status: str) -> bool:
    """Tells what the job is doing; clients show it beside ``RUNNING``.

    Args:
        status: One of ``"MAPPING"``, ``"OPTIMIZING_HARDWARE"``, ``"WAITING_QPU"``,
            ``"EXECUTING_QPU"``, ``"POST_PROCESSING"``.

    Returns:
        Whether the gateway took it. If not, a line in the log says why, and the job goes on.
    """
    if status not in SUB_STATUSES:
        logger.warning("status=%r: expected one of %s", status, ", ".join(SUB_STATUSES))
        return False
    form = f"sub_status={status}".encode()
    return _told("PATCH", "sub_status", form, "application/x-www-form-urlencoded")


def send_error(
    code: str | int,
    message: str,
    exception: str = "",
    args: Any = None,
) -> bool:
    """Records an error with the job; clients find it among the job's events. The job goes on.

    Args:
        code: The program's own name for what happened.
        message: A sentence for people.
        exception: The exception as text.
        args: Whatever else helps, of JSON's types.

    Returns:
        Whether the gateway took it. If not, the error is written to the log.
    """
    content = {"type": "ERROR", "code": code, "message": message, "exception": str(exception)}
    if args:
        content["args"] = args
    data = json.dumps(content).encode()
    if _told("POST", "event", data, "application/json"):
        return True
    logger.error("Error %s: %s\n%s", code, message, args)
    return False


def get_runtime_service(
    channel: str | None = None,
    token: str | None = None,
    instance: str | None = None,
    url: str | None = None,
) -> Any:
    """IBM's service, in such a way that its jobs are recorded with this one.

    Args:
        channel: By default the variable `QISKIT_IBM_CHANNEL`, and so on for the others.

    Returns:
        A `qiskit_ibm_runtime.QiskitRuntimeService`.

    Raises:
        ImportError: If qiskit-ibm-runtime is not installed.
        KeyError: If neither an argument nor its variable is given.
    """
    ibm: Any = importlib.import_module("qiskit_ibm_runtime")

    class Service(ibm.QiskitRuntimeService):  # type: ignore[misc]
        """Records each job it runs with the gateway."""

        def _run(self, *args: Any, **options: Any) -> Any:
            job = super()._run(*args, **options)
            found = {"runtime_job": job.job_id(), "runtime_session": job.session_id}
            _told("POST", "runtime_jobs", json.dumps(found).encode(), "application/json")
            return job

    private = os.environ.get("QISKIT_IBM_PRIVATE_ENDPOINT", "false").lower() == "true"
    return Service(
        channel=channel or os.environ["QISKIT_IBM_CHANNEL"],
        instance=instance or os.environ["QISKIT_IBM_INSTANCE"],
        token=token or os.environ["QISKIT_IBM_TOKEN"],
        url=url or os.environ.get("QISKIT_IBM_URL"),
        private_endpoint=private,
    )


def _told(method: str, what: str, data: bytes, kind: str) -> bool:
    """Whether the gateway took a report; tells the log if not. Never raises for its sake."""
    from urllib.request import Request  # here, as it takes long to import and few need it

    variables = os.environ
    token = variables.get("ENV_JOB_GATEWAY_TOKEN")
    if not token:
        logger.warning("No gateway is told of %s: this is not a job of one", what)
        return False
    host = variables.get("ENV_JOB_GATEWAY_HOST", "").rstrip("/")
    version = variables.get("ENV_GATEWAY_PROVIDER_VERSION", "v1")
    address = f"{host}/api/{version}/jobs/{variables.get('ENV_JOB_ID_GATEWAY')}/{what}/"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    request = Request(address, data, headers, method=method)  # noqa: S310 - the runner's word
    end, pause = time.monotonic() + PATIENCE_SECONDS, 0.05
    while True:
        problem, again = _sent(request)
        if problem is None:
            return True
        if not again or time.monotonic() + pause > end:
            logger.warning("The gateway was not told of %s: %s", what, problem)
            return False
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def _sent(request: Request) -> tuple[str | None, bool]:
    """What prevented a request, if anything did, and whether to try again.

    It is tried again only if it did not arrive, so that nothing is recorded twice.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, build_opener

    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS):
            return None, False
    except HTTPError as error:
        with error:
            return f"{error.code} {error.read(1000).decode(errors='replace')}", error.code == 503
    except URLError as error:
        return str(error.reason), isinstance(error.reason, ConnectionRefusedError)
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}", False
