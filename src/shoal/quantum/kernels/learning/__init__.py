"""Kernel matrices in machine learning: estimators, training, repair, pictures."""
