"""Stands for the package quantum-serverless, where that is not installed."""

from shoal.serverless.compat.names import stand_in

stand_in(__name__)
