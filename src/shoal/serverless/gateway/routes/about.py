"""About the gateway itself: whether it works, what it counts, and what can be asked of it."""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.responses import Response

from shoal import __version__
from shoal.serverless.gateway.asking import Asked
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.web.json_text import dumped
from shoal.serverless.gateway.web.refusals import Refusal
from shoal.serverless.store import jobs

_LIST = (
    "import json, importlib.metadata as m; "
    "print(json.dumps(sorted({f\"{d.metadata['Name']}=={d.version}\" for d in m.distributions()})))"
)
_LIST_SECONDS = 60.0


async def health(gateway: Gateway, asked: Asked) -> Response:
    """Whether the gateway answers and its store can be read."""
    del asked
    await gateway.read(jobs.counts)
    return Response(dumped({"status": "ok"}), media_type="application/json")


async def version(gateway: Gateway, asked: Asked) -> Response:
    """Which version of shoal this is."""
    del gateway, asked
    return Response(dumped({"version": __version__}), media_type="application/json")


async def metrics(gateway: Gateway, asked: Asked) -> Response:
    """Counts of jobs and requests, in the text format of Prometheus."""
    del asked
    counts = await gateway.read(jobs.counts)
    lines = ["# TYPE shoal_jobs gauge"]
    lines += [f'shoal_jobs{{status="{name}"}} {count}' for name, count in counts.items()]
    lines += ["# TYPE shoal_requests counter"]
    lines += [
        f'shoal_requests_total{{status="{status}"}} {count}'
        for status, count in sorted(gateway.requests.items())
    ]
    return Response("\n".join([*lines, ""]), media_type="text/plain; version=0.0.4")


async def dependencies_versions(gateway: Gateway, asked: Asked) -> Response:
    """What is installed where jobs run, as ``name==version``."""
    del asked
    command = (gateway.settings.job_python, "-I", "-c", _LIST)
    said = await gateway.output_of(command, seconds=_LIST_SECONDS)
    if said is None:
        message = "The interpreter that runs jobs does not say what it has."
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, message)
    return Response(dumped(json.loads(said)), media_type="application/json")
