"""What all tests rely on, wherever they are started."""

import compileall
import signal
from pathlib import Path

import hypothesis
import pytest

import shoal

for name, count in {"quick": 25, "thorough": 100}.items():  # "ci", where it is set, is the parent
    hypothesis.settings.register_profile(
        name, hypothesis.settings(), max_examples=count, deadline=None
    )


def pytest_configure(config):
    """The fast suite searches quickly; the slow one searches again, with all examples."""
    quick = config.option.markexpr == "not slow"
    hypothesis.settings.load_profile("quick" if quick else "thorough")
    if config.option.markexpr == "slow":
        config.option.markexpr = "slow or hypothesis"


@pytest.fixture(scope="session", autouse=True)
def programs_started_by_tests_hear_ctrl_c():
    """A shell may start the tests with SIGINT ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def shoal_is_compiled_once():
    """Hundreds of interpreters import it; where bytecode is not written, each would compile it."""
    compileall.compile_dir(Path(shoal.__file__).parent, quiet=2)
