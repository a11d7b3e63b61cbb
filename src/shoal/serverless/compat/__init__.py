"""Programs written for the published packages run where those are not installed.

``path`` is put at the end of the path of every job. There, and only if nothing before it has them,
Python finds `quantum_serverless` and `qiskit_serverless`, which have the names of
`shoal.serverless.runtime`, and `shoal` itself, for Pythons in which it is not installed.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
PATH = FOLDER / "path"
START = FOLDER / "start.py"
