"""The command line: `shoal checkpoint show FILE`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from shoal import __version__
from shoal.errors import ShoalError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: What follows the program's name; None takes them from the command line.

    Returns:
        The exit status: 0, or 1 with one line on the standard error stream.
    """
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        text = chosen.command(chosen) if "command" in chosen else chosen.parser.format_help()
        _print(text)
    except ShoalError as error:
        sys.stderr.write(f"shoal: {_encodable(str(error), sys.stderr.encoding)}\n")
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shoal", description="Look at what shoal keeps on disk.")
    parser.add_argument("--version", action="version", version=f"shoal {__version__}")
    parser.set_defaults(parser=parser)
    rooms = parser.add_subparsers(title="commands", metavar="COMMAND")
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
