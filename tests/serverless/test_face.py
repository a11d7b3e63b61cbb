"""The face of the service costs little, and a client brings no server."""

import subprocess
import sys

import pytest

import shoal.serverless

HEAVY = {"httpx", "numpy", "qiskit", "shoal.tasks", "sqlalchemy", "starlette"}
SERVER = {"alembic", "argon2", "qiskit", "sqlalchemy", "starlette", "uvicorn"}


def loaded(code):
    """The modules that are loaded after some code, in a new process."""
    code = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_entering_the_room_loads_nothing_of_weight():
    assert not HEAVY & loaded("from shoal.serverless import JobFailed, ServerlessError")


def test_a_client_brings_no_server():
    assert not SERVER & loaded("from shoal.serverless import Program, ServerlessClient")


def test_a_program_needs_no_client():
    assert not (SERVER | {"httpx"}) & loaded("from shoal.serverless import get, get_arguments")


def test_without_its_extra_a_client_says_what_to_install():
    code = "import sys; sys.modules['httpx'] = None; from shoal.serverless import ServerlessClient"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtra: shoal.serverless.ServerlessClient needs httpx" in done.stderr
    assert "pip install 'shoal[client]'" in done.stderr


@pytest.mark.parametrize("name", shoal.serverless.__all__)
def test_every_name_is_there(name):
    assert getattr(shoal.serverless, name) is getattr(shoal.serverless, name)
    assert name in dir(shoal.serverless)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = shoal.serverless.nothing
