"""Kernel matrices: N states and one product in place of N² circuits; the face is shoal.quantum."""
