"""Stands for the package qiskit-serverless, where that is not installed."""

from shoal.serverless.compat.names import stand_in

stand_in(__name__)
