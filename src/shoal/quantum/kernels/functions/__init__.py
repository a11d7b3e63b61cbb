"""Kernels that users wrote as functions k(x1, x2): pair by pair, or by the states in them."""
