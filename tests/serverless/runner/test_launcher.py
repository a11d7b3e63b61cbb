"""An attempt starts from the template where that is right, and leaves nothing open."""

import os

import psutil
import pytest

from shoal.serverless.runner import forking
from shoal.serverless.runner.launcher import Launcher
from shoal.serverless.runner.places import Place
from shoal.serverless.settings import Settings
from tests.faults.watching import until
from tests.serverless.making import claim, upload

GATEWAY = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("options", "shim", "there"),
    [
        ({}, None, forking.is_possible()),
        ({"fast_start": False}, None, False),
        ({}, ("/bin/true",), False),
    ],
)
def test_there_is_a_template_only_for_jobs_that_start_as_usual(
    store, tmp_path, options, shim, there
):
    settings = Settings(data=tmp_path, **options)
    launcher = Launcher(store, settings, GATEWAY, *([shim] if shim else []))
    assert (launcher.template is not None) == there
    launcher.close()


@pytest.mark.parametrize("fast_start", [False, True])
def test_starting_leaves_no_descriptor(store, user, tmp_path, fast_start):
    settings = Settings(data=tmp_path, fast_start=fast_start, job_imports=())
    launcher = Launcher(store, settings, GATEWAY)
    upload(store, user, "pass")
    try:
        launcher.tend()
        until(lambda: not fast_start or launcher.template.is_ready, what="the template")
        before = psutil.Process().num_fds()
        taken = claim(store, user)
        place = Place(settings.data / "jobs", taken.job.id, 1)
        launcher.prepare(taken, place)
        started = launcher.start(taken, place)
        assert (started.handle is not None) == fast_start
        assert (started.shim is not None) != fast_start
        until((place.folder / "exit.json").exists, what="its end")
        assert os.read(started.begun, 2) == b"1"
        for descriptor in (started.begun, started.handle):
            if descriptor is not None:
                os.close(descriptor)
        if started.shim is not None:
            os.waitpid(started.shim, 0)
        assert psutil.Process().num_fds() == before
    finally:
        launcher.close()


def test_arguments_are_where_older_clients_look_until_the_job_has_ended(store, user, tmp_path):
    settings = Settings(data=tmp_path, fast_start=False)
    launcher = Launcher(store, settings, GATEWAY)
    upload(store, user, "pass")
    taken = claim(store, user, arguments=store.blobs.pack('{"a": 1}'))
    shared = tmp_path / "accounts" / user.account_id / "data" / "arguments"
    for fence in (1, 2):  # an attempt that never started is followed by another
        place = Place(settings.data / "jobs", taken.job.id, fence)
        launcher.prepare(taken, place)
        assert (shared / f"{taken.job.id}.json").read_text() == '{"a": 1}'
    (place.folder / "spec.json").write_text('{"environment": {"DATA_PATH": "/nowhere"}}')
    launcher.clear(taken.job, place)
    assert list(shared.iterdir()) == []
    launcher.clear(taken.job, place)


def test_a_link_that_a_job_left_is_not_followed(store, user, tmp_path):
    settings = Settings(data=tmp_path, fast_start=False)
    upload(store, user, "pass")
    taken = claim(store, user)
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "accounts" / user.account_id / "data"
    elsewhere.mkdir()
    data.mkdir(parents=True)
    (data / "arguments").symlink_to(elsewhere)
    (elsewhere / f"{taken.job.id}.json").write_text("precious")
    place = Place(settings.data / "jobs", taken.job.id, 1)
    launcher = Launcher(store, settings, GATEWAY)
    launcher.prepare(taken, place)
    launcher.clear(taken.job, place)
    assert (elsewhere / f"{taken.job.id}.json").read_text() == "precious"
