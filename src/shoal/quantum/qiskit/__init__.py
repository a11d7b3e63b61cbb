"""Qiskit: backends, jobs and primitives that run lists of circuits in parallel.

No name is re-exported here: `shoal.quantum` is the face, and imports Qiskit only when asked.
"""
