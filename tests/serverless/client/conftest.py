"""One gateway for all tests of the client, and programs for it."""

import pytest

from shoal.serverless import Program, ServerlessClient
from tests.serverless.serving import serving


@pytest.fixture(scope="session")
def gateway():
    with serving(max_jobs=4, job_imports="shoal.serverless.runtime") as served:
        yield served


@pytest.fixture
def client(gateway):
    made = ServerlessClient(gateway.host, gateway.token)
    yield made
    made.close()


@pytest.fixture
def upload(client, tmp_path):
    """Uploads a program of one file."""

    def upload(source, title="program", **details):
        (tmp_path / "main.py").write_text(source)
        return client.upload(Program(title, entrypoint="main.py", working_dir=tmp_path, **details))

    return upload
