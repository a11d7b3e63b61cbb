"""Fails in a function of its own."""


def divide(number):
    """Fails for 0."""
    return 1 / number


print("about to fail", flush=True)
divide(0)
