"""What all tests rely on, wherever they are started."""

import compileall
import gc
import signal
from pathlib import Path

import hypothesis
import pytest

import shoal
from tests import clusters, side_by_side

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Files stay whole, whatever ``--dist`` says: modules share what is dear to start."""
    return side_by_side.FileByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Side by side, the long rooms come first."""
    if hasattr(config, "workerinput"):
        items.sort(key=side_by_side.turn)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    """What the tests imported stays for good: a search for garbage need not go through it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """Side by side, what shares the clusters is done together, and they end with it."""
    result = yield
    if hasattr(item.config, "workerinput") and side_by_side.is_last(item, nextitem, "clusters"):
        clusters.end()
    return result


@pytest.fixture(scope="session", autouse=True)
def programs_started_by_tests_hear_ctrl_c():
    """A shell may start the tests with SIGINT ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def shoal_is_compiled_once():
    """Hundreds of interpreters import it; where bytecode is not written, each would compile it."""
    compileall.compile_dir(Path(shoal.__file__).parent, quiet=2)
