"""Loggers whose lines say for whom they are: the user, or only the provider of the program."""

from __future__ import annotations

import logging


class _Prefixed(logging.Formatter):
    """Writes a prefix before every line."""

    def __init__(self, prefix: str) -> None:
        super().__init__("%(message)s")
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines() or [""]
        return "\n".join(f"{self._prefix} {record.levelname}: {line}" for line in lines)


def get_logger() -> logging.Logger:
    """A logger for whoever runs the program; its lines begin with ``[PUBLIC]``.

    Of a program that belongs to a provider, the user sees only these lines; of one's own programs,
    all lines.
    """
    return _logger("user", "[PUBLIC]")


def get_provider_logger() -> logging.Logger:
    """A logger for the provider of the program alone; its lines begin with ``[PRIVATE]``."""
    return _logger("provider", "[PRIVATE]")


def _logger(name: str, prefix: str) -> logging.Logger:
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_Prefixed(prefix))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger
