"""Tells of its failure by an event, and fails."""

import sys

from qiskit_serverless import send_error

send_error(code="E42", message="the sky fell", exception="ValueError: sky")
sys.exit(3)
