"""What all tests rely on, wherever they are started."""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def programs_started_by_tests_hear_ctrl_c():
    """A shell may start the tests with SIGINT ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
