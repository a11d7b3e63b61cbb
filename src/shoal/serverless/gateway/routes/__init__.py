"""The table of routes: everything that can be asked, in one place.

The pages of the API, its machine-readable description, and the test that no account sees anything
of another are made from this table.
"""

from __future__ import annotations

from starlette.responses import Response

from shoal.serverless.gateway.asking import Asked
from shoal.serverless.gateway.gateway import Gateway
from shoal.serverless.gateway.routes import (
    about,
    files,
    jobs,
    logins,
    logs,
    programs,
    reports,
    streams,
    submissions,
)
from shoal.serverless.gateway.web.json_text import dumped
from shoal.serverless.gateway.web.openapi import described
from shoal.serverless.gateway.web.routing import Needs, Route, Takes

_API = "/api/v1"
_PAGE = ("limit", "offset")
_JOBS = (*_PAGE, "status", "created_after", "function", "provider", "filter")
_FUNCTION = ("function", "provider")
_STREAM = ("logs", "offset", "attempt")


async def openapi(gateway: Gateway, asked: Asked) -> Response:
    """This table, in the form of OpenAPI."""
    del gateway, asked
    return Response(dumped(described(TABLE)), media_type="application/json")


_ABOUT = (
    Route("GET", "/health", about.health, Needs.NOTHING),
    Route("GET", "/liveness", about.version, Needs.NOTHING),
    Route("GET", "/readiness", about.health, Needs.NOTHING),
    Route("GET", "/version", about.version, Needs.NOTHING),
    Route("GET", "/metrics", about.metrics, Needs.NOTHING, is_page=True),
    Route("GET", "/openapi.json", openapi, Needs.NOTHING),
    Route("GET", f"{_API}/dependencies-versions", about.dependencies_versions),
    Route("POST", "/dj-rest-auth/keycloak/login", logins.login, Needs.NOTHING, Takes.FIELDS),
)
_PROGRAMS = (
    Route("GET", f"{_API}/programs", programs.index, query=(*_PAGE, "provider", "filter")),
    Route("GET", f"{_API}/programs/get_by_title/{{title}}", programs.by_title, query=("provider",)),
    Route("POST", f"{_API}/programs/upload", programs.upload, takes=Takes.UPLOAD),
    Route("POST", f"{_API}/programs/run", submissions.run, takes=Takes.ANY),
    Route("POST", f"{_API}/programs/run_existing", submissions.run, takes=Takes.ANY),
    Route(
        "POST",
        f"{_API}/programs/validate_arguments",
        programs.validate_arguments,
        takes=Takes.FIELDS,
    ),
)
_ONE = f"{_API}/jobs/{{job_id}}"
_JOB = (
    Route("GET", f"{_API}/jobs", jobs.index, query=_JOBS),
    Route("GET", f"{_API}/jobs/provider", jobs.of_provider, query=_JOBS),
    Route("GET", _ONE, jobs.one, Needs.JOB, query=("with_result",)),
    Route("GET", f"{_ONE}/arguments", jobs.arguments, Needs.JOB),
    Route("GET", f"{_ONE}/result", jobs.result, Needs.JOB),
    Route("GET", f"{_ONE}/logs", logs.of_user, Needs.JOB),
    Route("GET", f"{_ONE}/provider-logs", logs.of_provider),
    Route("GET", f"{_ONE}/stream", streams.follow, Needs.JOB, query=_STREAM, is_page=True),
    Route("GET", f"{_ONE}/events", reports.events, Needs.JOB, query=("type",)),
    Route("GET", f"{_ONE}/runtime_jobs", reports.runtime_jobs, Needs.JOB),
    Route("POST", f"{_ONE}/stop", jobs.stop, takes=Takes.FIELDS),
    Route("POST", f"{_ONE}/result", reports.save_result, Needs.JOB, Takes.FIELDS),
    Route("POST", f"{_ONE}/event", reports.send_error, Needs.JOB, Takes.FIELDS),
    Route("POST", f"{_ONE}/runtime_jobs", reports.add_runtime_job, Needs.JOB, Takes.FIELDS),
    Route("PATCH", f"{_ONE}/sub_status", reports.set_sub_status, Needs.JOB, Takes.FIELDS),
)
_FILES = tuple(
    route
    for folder in (f"{_API}/files", f"{_API}/files/provider")
    for route in (
        Route("GET", folder, files.index, query=_FUNCTION),
        Route("POST", f"{folder}/upload", files.upload, takes=Takes.UPLOAD, query=_FUNCTION),
        Route(
            "GET", f"{folder}/download", files.download, query=("file", *_FUNCTION), is_page=True
        ),
        Route(
            "DELETE",
            f"{folder}/delete",
            files.delete,
            takes=Takes.FIELDS,
            query=("file", *_FUNCTION),
        ),
    )
)

TABLE: tuple[Route[Gateway, Asked], ...] = (*_ABOUT, *_PROGRAMS, *_JOB, *_FILES)
