"""The template is there when it is safe, replaced when it fails, and costs no job if it does."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from shoal.serverless.runner import forking
from shoal.serverless.runner.forking import Template
from shoal.serverless.runner.places import Place
from tests.faults.watching import alive, until
from tests.serverless.making import SAVES


def test_a_template_that_is_killed_is_replaced_and_costs_no_job(fast):
    template = fast.runner._launcher.template
    first = template._process.pid
    held = fast.run(SAVES + "import time\nprint('up')\ntime.sleep(0.2)\nsave_result('1')")
    fast.until_said(held, "up")
    os.kill(first, signal.SIGKILL)
    after = [fast.run(SAVES + "save_result('2')") for _ in range(3)]
    for job_id in (held, *after):
        job = fast.until(job_id)
        assert (job.status, job.fence) == ("SUCCEEDED", 1)
    until(lambda: template.is_ready and template._process.pid != first, what="another template")


def test_a_template_that_hangs_costs_a_moment_and_no_job(fast, monkeypatch):
    monkeypatch.setattr(forking, "REPLY_SECONDS", 0.2)
    template = fast.runner._launcher.template
    first = template._process.pid
    os.kill(first, signal.SIGSTOP)
    job_id = fast.run(SAVES + "save_result('2')")
    job = fast.until(job_id)
    assert (job.status, job.fence) == ("SUCCEEDED", 1)
    until(lambda: template._process is None or template._process.pid != first, what="its end")


def test_a_runner_that_leaves_takes_its_template_along(fast):
    template = fast.runner._launcher.template
    pid = template._process.pid
    fast.runner.drain()
    assert not alive(pid)
    assert [process for process in psutil.Process().children() if process.pid == pid] == []


def made(tmp_path, *imports, **environment):
    return Template(
        sys.executable,
        imports,
        {"PATH": os.environ["PATH"], **environment},
        tmp_path / "template",
    )


def ready(template):
    """Whether a template becomes ready; False once it was given up."""
    template.tend()
    until(lambda: template.is_ready or template._process is None, what="the template")
    return template.is_ready


def test_what_is_not_installed_is_left_out(tmp_path):
    template = made(tmp_path, "no_such_module", "colorsys")
    try:
        assert ready(template)
        assert "colorsys" in template._modules
        assert "no_such_module" not in template._modules
    finally:
        template.close()


THREADED = """
import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""


@pytest.mark.parametrize("source", [THREADED, "import os; os._exit(3)"])
def test_a_template_that_would_not_be_safe_is_none_and_says_why(tmp_path, source, caplog):
    (tmp_path / "module_of_ours.py").write_text(source)
    template = made(tmp_path, "module_of_ours", PYTHONPATH=str(tmp_path))
    try:
        assert not ready(template)
        assert "Jobs start without the template" in caplog.text
        template.tend()
        assert template._process is None, "the next one waits for its time"
    finally:
        template.close()


def test_a_template_ends_when_a_package_was_installed_meanwhile(tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    template = made(tmp_path, PYTHONPATH=str(packages))
    place = Place(tmp_path, "x", 1)
    place.program.mkdir(parents=True)
    reader, writer = os.pipe()
    try:
        assert ready(template)
        os.utime(packages, (1, 1))
        assert template.fork(place, "main.py", writer) is None
        assert ready(template), "the next one starts at once"
    finally:
        template.close()
        os.close(reader)
        os.close(writer)


def test_a_python_that_is_none_gives_no_template(tmp_path, caplog):
    template = Template("/no/such/python", (), {}, tmp_path)
    template.tend()
    assert not template.is_ready
    assert "cannot be started" in caplog.text
    template.close()


ALONE = """
import sys
from pathlib import Path
from shoal.serverless.runner.forking import Template
template = Template(sys.executable, (), {}, Path(sys.argv[1]))
template.tend()
while not template.is_ready: pass
print(template._process.pid, flush=True)
sys.stdin.read()
"""


def test_a_template_ends_with_a_gateway_that_is_killed(tmp_path):
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", ALONE, str(tmp_path)], stdin=pipe, stdout=pipe, text=True
    ) as gateway:
        pid = int(gateway.stdout.readline())
        assert alive(pid)
        gateway.kill()
    until(lambda: not alive(pid), what="its end")
