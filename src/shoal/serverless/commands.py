"""The users' commands: upload a program, run it, look at its jobs, fetch results and files."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.serverless.errors import JobFailed, JobStopped, ResultNotReady, ServerlessError

if TYPE_CHECKING:
    from shoal.serverless.client import Job, ServerlessClient

JOB_FAILED, JOB_STOPPED, NOT_READY = 3, 4, 5
EXIT_STATUSES = (
    "Exit status: 0 all is well, 1 it could not be done, 2 wrong usage, 3 the job failed, "
    "4 the job was stopped, 5 it has not ended in the time given, 130 interrupted."
)
Command = Callable[[argparse.Namespace], "str | int"]


def add_arguments(subparsers: Any) -> None:
    """Adds the commands to the ``shoal`` program."""
    _add_programs(subparsers)
    _add_jobs(subparsers)
    _add_files(subparsers)


def _add_programs(subparsers: Any) -> None:
    upload = _command(subparsers, "upload", _upload, "upload a program")
    upload.add_argument("entrypoint", help="the file to run, relative to the folder")
    upload.add_argument("--title", help="the program's name; by default the file's, without .py")
    upload.add_argument(
        "--working-dir",
        metavar="FOLDER",
        help="upload this folder with all that is in it; by default the file goes alone",
    )
    upload.add_argument("--provider", help="whom the program belongs to, if it is for others")
    upload.add_argument("--description", help="a few words for people")

    run = _command(subparsers, "run", _run, "run an uploaded program; prints the job's id")
    run.add_argument("title", help="the program's title, or PROVIDER/TITLE")
    run.add_argument(
        "--arguments", metavar="FILE", help="a file with a JSON object; - is the standard input"
    )
    run.add_argument("--key", help="a name for this request: under one name there is one job")
    run.add_argument("-f", "--follow", action="store_true", help="print its logs until it ends")


def _add_jobs(subparsers: Any) -> None:
    jobs = _command(subparsers, "jobs", _jobs, "list jobs, the newest first")
    jobs.add_argument("--limit", type=int, default=20, help="how many at most (%(default)s)")
    jobs.add_argument("--offset", type=int, default=0, help="how many to pass over")
    jobs.add_argument("--status", help="only those with this status, such as DONE")
    jobs.add_argument("--title", help="only those of this program")

    _job_command(subparsers, "status", _status, "print where a job is")
    logs = _job_command(subparsers, "logs", _logs, "print what a job has written")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    result = _job_command(subparsers, "result", _result, "wait for a job; print its result, JSON")
    result.add_argument("--timeout", type=float, metavar="SECONDS", help="how long to wait")
    _job_command(subparsers, "stop", _stop, "stop a job, with all its processes")


def _add_files(subparsers: Any) -> None:
    files = subparsers.add_parser("files", help="the files you keep at the gateway")
    files.set_defaults(parser=files)
    verbs = files.add_subparsers(title="commands", metavar="COMMAND")
    _command(verbs, "list", _files_list, "list them")
    upload = _command(verbs, "upload", _files_upload, "upload files, under their own names")
    upload.add_argument("files", nargs="+", metavar="FILE")
    download = _command(verbs, "download", _files_download, "download a file")
    download.add_argument("name")
    download.add_argument("--to", metavar="FOLDER", default=".", help="where to (%(default)s)")
    delete = _command(verbs, "delete", _files_delete, "delete files")
    delete.add_argument("names", nargs="+", metavar="NAME")


def _command(subparsers: Any, name: str, command: Command, what: str) -> argparse.ArgumentParser:
    """A command's parser, with what all of them take."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=EXIT_STATUSES
    )
    parser.add_argument("--json", action="store_true", help="for programs: JSON, as it is")
    parser.add_argument("--host", help="the gateway (SHOAL_GATEWAY_HOST, or this machine)")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="holds your token; by default it is taken from SHOAL_GATEWAY_TOKEN",
    )
    parser.set_defaults(command=_guarded(command))
    return parser


def _job_command(
    subparsers: Any, name: str, command: Command, what: str
) -> argparse.ArgumentParser:
    parser = _command(subparsers, name, command, what)
    parser.add_argument("job", help="the job's id")
    return parser


def _guarded(command: Command) -> Command:
    """A command whose errors are one text on the standard error stream, and a status."""

    def run(chosen: argparse.Namespace) -> str | int:
        try:
            return command(chosen)
        except JobFailed as error:
            _complain(str(error))
            return JOB_STOPPED if isinstance(error, JobStopped) else JOB_FAILED
        except ResultNotReady as error:
            _complain(str(error))
            return NOT_READY
        except (ServerlessError, ValueError) as error:
            _complain(str(error))
            return 1
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            _complain(str(error))
            return 1

    return run


def _complain(text: str) -> None:
    shown = _inert(text, layout=True)
    sys.stderr.write(f"shoal: {shown}\n")


def _client(chosen: argparse.Namespace) -> ServerlessClient:
    from shoal.serverless import ServerlessClient

    token = None
    if chosen.token_file is not None:
        token = Path(chosen.token_file).read_text().strip()
    return ServerlessClient(chosen.host, token)


def _job(chosen: argparse.Namespace) -> Job:
    return _client(chosen).job(chosen.job)


def _upload(chosen: argparse.Namespace) -> str:
    import tempfile

    from shoal.serverless import Program

    path = Path(chosen.entrypoint)
    details = {"provider": chosen.provider, "description": chosen.description}
    title = chosen.title or path.stem
    client = _client(chosen)
    if chosen.working_dir is not None:
        folder, entrypoint = chosen.working_dir, chosen.entrypoint
        made = client.upload(Program(title, entrypoint=entrypoint, working_dir=folder, **details))
    else:
        if not path.is_file():
            raise ValueError(f"{chosen.entrypoint}: no such file")
        with tempfile.TemporaryDirectory() as alone:
            (Path(alone) / path.name).symlink_to(path.absolute())
            made = client.upload(Program(title, entrypoint=path.name, working_dir=alone, **details))
    full = f"{made.provider}/{made.title}" if made.provider else made.title
    return _shown(chosen, {"title": made.title, "provider": made.provider}, full)


def _run(chosen: argparse.Namespace) -> str | int:
    text = _arguments(chosen.arguments)
    job = _client(chosen).run_text(chosen.title, text, idempotency_key=chosen.key)
    told = _shown(chosen, {"id": job.job_id}, job.job_id)
    if not chosen.follow:
        return told
    sys.stdout.write(told)
    sys.stdout.flush()
    return _follow(job)


def _arguments(name: str | None) -> str:
    """The text of a file, which has to be a JSON object; it goes to the program as it is."""
    if name is None:
        return "{}"
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"arguments from {name}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f'arguments from {name}: expected a JSON object, such as {{"x": 1}}')
    return text


def _jobs(chosen: argparse.Namespace) -> str:
    rows = _client(chosen).job_rows(
        limit=chosen.limit, offset=chosen.offset, status=chosen.status, function=chosen.title
    )
    for row in rows:
        row["status"] = _status_of(row)
        row.pop("result", None)
    if chosen.json:
        return _json(rows)
    table = [
        (row.get("id"), row["status"], _title_of(row), str(row.get("created") or "")[:19])
        for row in rows
    ]
    return _table(("ID", "STATUS", "PROGRAM", "CREATED"), table)


def _status(chosen: argparse.Namespace) -> str:
    row = _job(chosen).details()
    row["status"] = _status_of(row)
    return _shown(chosen, row, row["status"])


def _logs(chosen: argparse.Namespace) -> str | int:
    job = _job(chosen)
    if chosen.follow:
        return _follow(job)
    text = job.logs()
    return _shown(chosen, {"logs": text}, text, layout=True)


def _follow(job: Job) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):  # what the terminal cannot show is no error
        sys.stdout.reconfigure(errors="backslashreplace")
    status = job.follow()
    return {"DONE": 0, "CANCELED": JOB_STOPPED}.get(status, JOB_FAILED)


def _result(chosen: argparse.Namespace) -> str:
    text = _job(chosen).result_text(timeout_seconds=chosen.timeout)
    if chosen.json:
        return f"{'null' if text is None else text}\n"
    if text is None:
        sys.stderr.write("shoal: the job saved no result\n")
        return ""
    return json.dumps(json.loads(text), indent=2) + "\n"


def _stop(chosen: argparse.Namespace) -> str:
    message = _job(chosen).stop()
    return _shown(chosen, {"message": message}, message)


def _files_list(chosen: argparse.Namespace) -> str:
    names = _client(chosen).files()
    return _json(names) if chosen.json else _lines(names)


def _files_upload(chosen: argparse.Namespace) -> str:
    client = _client(chosen)
    names = [client.file_upload(name) for name in chosen.files]
    return _json(names) if chosen.json else _lines(names)


def _files_download(chosen: argparse.Namespace) -> str:
    path = _client(chosen).file_download(chosen.name, download_location=chosen.to)
    return _shown(chosen, {"path": os.fspath(path)}, os.fspath(path))


def _files_delete(chosen: argparse.Namespace) -> str:
    client = _client(chosen)
    for name in chosen.names:
        client.file_delete(name)
    return _json(chosen.names) if chosen.json else _lines(chosen.names)


def _status_of(row: dict[str, Any]) -> str:
    from shoal.serverless.client import State

    return State.of(row).shown


def _title_of(row: dict[str, Any]) -> str:
    provider, title = row.get("provider"), row.get("title") or ""
    return f"{provider}/{title}" if provider else str(title)


def _shown(
    chosen: argparse.Namespace, value: dict[str, Any], text: str, *, layout: bool = False
) -> str:
    """What a command prints: a value for programs, or a text for people."""
    if chosen.json:
        return _json(value)
    shown = _inert(text, layout=layout)
    return shown if not shown or shown.endswith("\n") else f"{shown}\n"


def _json(value: Any) -> str:
    return f"{json.dumps(value)}\n"


def _lines(names: Iterable[str]) -> str:
    return "".join(f"{_inert(name)}\n" for name in names)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [list(head), *([_inert(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _inert(text: str, *, layout: bool = False) -> str:
    from shoal.serverless.client import inert

    return inert(text, layout=layout)
