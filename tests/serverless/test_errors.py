"""The service says what is missing, and what clients need brings no server with it."""

import subprocess
import sys

import pytest

from shoal.errors import ShoalError
from shoal.serverless import errors


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_store_without_its_extra_says_what_to_install():
    code = "import sys; sys.modules['sqlalchemy'] = None; import shoal.serverless.store"
    assert "MissingExtra: the store needs sqlalchemy, which is not installed" in python(code)


def test_models_and_settings_bring_no_server_code():
    code = "import sys, shoal.serverless.models, shoal.serverless.settings; print(*sys.modules)"
    loaded = set(python(code).split())
    assert not {"sqlalchemy", "sqlite3", "shoal.serverless.store", "numpy", "asyncio"} & loaded


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_is_documented_and_of_the_tree(name):
    error = getattr(errors, name)
    assert issubclass(error, errors.ServerlessError)
    assert issubclass(error, ShoalError)
    assert name in errors.__doc__
