"""An answer that is lost on the way costs nothing, and runs nothing twice."""

import io

import pytest

from shoal.serverless import GatewayUnreachable, Program, ServerlessClient
from tests.serverless.client.proxies import Proxy

ECHO = "from shoal.serverless import get_arguments, save_result\nsave_result(get_arguments())\n"
LINES = "".join(f"{number:04d} ü\n" for number in range(2000))
WRITES = "for number in range(2000):\n    print(f'{number:04d} ü')\n"


@pytest.fixture
def line(gateway):
    with Proxy(gateway.host) as proxy:
        client = ServerlessClient(proxy.host, gateway.token)
        yield proxy, client
        client.close()


@pytest.mark.parametrize("after_bytes", [0, 40])
def test_a_job_whose_answer_is_lost_runs_once(upload, line, after_bytes):
    proxy, client = line
    program = upload(ECHO, title=f"once-{after_bytes}")
    before = len(program.jobs(limit=1000))
    for _ in range(2):
        proxy.cut("POST /api/v1/programs/run/", after_bytes)
    job = client.run(program.title, {"x": 1})
    assert job.result(timeout_seconds=60) == {"x": 1}
    assert proxy.cuts == 2
    assert len(program.jobs(limit=1000)) == before + 1


def test_two_calls_are_two_jobs(upload):
    program = upload(ECHO, title="two")
    assert program.run(x=1) != program.run(x=1)


def test_everything_else_is_asked_again_too(line, tmp_path):
    proxy, client = line
    (tmp_path / "main.py").write_text(ECHO)
    proxy.cut("POST /api/v1/programs/upload/")
    program = client.upload(Program("again", entrypoint="main.py", working_dir=tmp_path))
    job = program.run(x=1)
    for request in ("GET /api/v1/jobs/", "POST /api/v1/jobs/", "GET /api/v1/programs"):
        proxy.cut(request)
    job.stop()
    job.wait(timeout_seconds=60)
    assert job in client.jobs()
    client.functions()
    assert proxy.cuts == 4


def test_a_download_that_is_cut_comes_whole(line, tmp_path):
    proxy, client = line
    data = bytes(range(256)) * 4096
    (tmp_path / "cut.bin").write_bytes(data)
    proxy.cut("POST /api/v1/files/upload/")
    client.file_upload(tmp_path / "cut.bin")
    for after_bytes in (0, 500, 300_000):
        proxy.cut("GET /api/v1/files/download/", after_bytes)
    back = client.file_download("cut.bin", download_location=tmp_path / "back")
    assert back.read_bytes() == data
    assert [path.name for path in back.parent.iterdir()] == ["cut.bin"]
    assert proxy.cuts == 4
    client.file_delete("cut.bin")


def test_a_log_that_is_cut_anywhere_comes_whole_and_once(upload, line):
    proxy, client = line
    job = upload(WRITES, title="writes").run()
    job.wait(timeout_seconds=60)
    for after_bytes in (0, 1, 200, 300, 1000, 5000):
        proxy.cut(f"GET /api/v1/jobs/{job.job_id}/stream", after_bytes)
    text = io.StringIO()
    there = client.job(job.job_id)
    assert there.follow(text, status_file=io.StringIO(), timeout_seconds=60) == "DONE"
    assert text.getvalue() == LINES
    assert proxy.cuts == 6


def test_patience_with_a_gateway_that_is_gone_ends(gateway):
    with Proxy(gateway.host) as proxy:
        client = ServerlessClient(proxy.host, gateway.token, patience_seconds=0.2)
    with pytest.raises(GatewayUnreachable, match="cannot be reached"):
        client.jobs()
    client.close()
