"""The command line: programs as a service, and what shoal keeps on disk."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from shoal import __version__
from shoal.errors import ShoalError
from shoal.serverless import commands, executing, operating


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: What follows the program's name; None takes them from the command line.

    Returns:
        The exit status: what the command says, 0 if it says nothing, 1 with one line on the
        standard error stream if it could not be done, 130 if it was interrupted.
    """
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        told = chosen.command(chosen) if "command" in chosen else chosen.parser.format_help()
        if isinstance(told, int):
            return told
        _print(told)
    except (ShoalError, ValueError) as error:
        sys.stderr.write(f"shoal: {_encodable(str(error), sys.stderr.encoding)}\n")
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    description = "Run programs as a service, and look at what shoal keeps on disk."
    parser = argparse.ArgumentParser(prog="shoal", description=description)
    parser.add_argument("--version", action="version", version=f"shoal {__version__}")
    parser.set_defaults(parser=parser)
    rooms = parser.add_subparsers(title="commands", metavar="COMMAND")
    for part in (operating, commands, executing):
        part.add_arguments(rooms)
    checkpoint = rooms.add_parser("checkpoint", help="finished points on disk")
    checkpoint.set_defaults(parser=checkpoint)
    verbs = checkpoint.add_subparsers(title="commands", metavar="COMMAND")
    show = verbs.add_parser(
        "show",
        help="print what is in a checkpoint",
        description="Print what is in a checkpoint. It is neither changed nor unpickled, and may "
        "be in use.",
    )
    show.add_argument("file", metavar="FILE", help="the checkpoint")
    show.set_defaults(command=_show)
    return parser


def _show(chosen: argparse.Namespace) -> str:
    from shoal.tasks import summary

    return f"{summary(chosen.file)}\n"


def _print(text: str) -> None:
    sys.stdout.write(_encodable(text, sys.stdout.encoding))
    sys.stdout.flush()


def _encodable(text: str, encoding: str | None) -> str:
    """`text` with what the terminal cannot show written as escapes."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
