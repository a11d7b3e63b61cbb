"""shoal as the service has it, for programs in whose Python it is not installed."""

from pathlib import Path

_ROOM = Path(__file__).resolve().parents[4]
__path__ = [str(_ROOM)]
exec(compile((_ROOM / "__init__.py").read_bytes(), str(_ROOM / "__init__.py"), "exec"))  # noqa: S102
