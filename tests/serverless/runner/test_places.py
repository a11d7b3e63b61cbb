"""An attempt's folder says where the attempt is, and who may still start it."""

import fcntl
import json
import os
import subprocess
import sys

import pytest

from shoal.serverless.identifiers import new_id
from shoal.serverless.runner.places import Place, Stage

REPORT = {"exit_code": 3, "signal": None, "stopped": False, "timed_out": False, "problem": None}


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path, new_id(), 1)
    made.make()
    return made


@pytest.fixture
def held(place):
    """The attempt's lock, held by us as a shim would."""
    descriptor = os.open(place.folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, b"%d\n" % os.getpid())
    yield descriptor
    os.close(descriptor)


def stage(place):
    return place.stage()[0]


def test_an_attempt_that_nobody_began_is_not_started(tmp_path, place):
    assert stage(place) is Stage.NOT_STARTED
    assert stage(Place(tmp_path, new_id(), 1)) is Stage.NOT_STARTED


def test_an_attempt_whose_lock_is_held_is_alive(place, held):
    assert stage(place) is Stage.ALIVE
    (place.folder / "started").touch()
    assert stage(place) is Stage.ALIVE


def test_an_attempt_that_started_and_has_no_shim_is_lost(place):
    (place.folder / "started").touch()
    assert stage(place) is Stage.LOST


def test_what_the_shim_told_counts_once_it_is_gone(place, held):
    (place.folder / "exit.json").write_text(json.dumps({**REPORT, "unknown": 1}))
    assert stage(place) is Stage.ALIVE
    fcntl.flock(held, fcntl.LOCK_UN)
    found, ended = place.stage()
    assert (found, ended.exit_code) == (Stage.ENDED, 3)


@pytest.mark.parametrize("report", ["", "{", "[]", "{}", "7", '"x"'])
def test_a_damaged_report_is_a_problem_and_no_success(place, report):
    (place.folder / "exit.json").write_text(report)
    found, ended = place.stage()
    assert found is Stage.ENDED
    assert "damaged" in ended.problem


def test_an_attempt_that_starts_while_it_is_looked_at_is_not_lost(place, monkeypatch):
    lives, locks = place.shim_lives, []

    def starts_after_the_look():
        answer = lives()
        if not locks:
            locks.append(os.open(place.folder / "lock", os.O_RDWR | os.O_CREAT))
            fcntl.flock(locks[0], fcntl.LOCK_EX)
            (place.folder / "started").touch()
        return answer

    monkeypatch.setattr(place, "shim_lives", starts_after_the_look)
    assert stage(place) is Stage.NOT_STARTED
    assert stage(place) is Stage.ALIVE
    os.close(locks[0])


def test_a_fence_is_decided_once(place):
    assert place.fence()
    assert place.fence()
    assert stage(place) is Stage.FENCED
    assert sorted(path.name for path in place.folder.iterdir()) == ["started"]


def test_a_fence_makes_the_folder_it_needs(tmp_path):
    place = Place(tmp_path, new_id(), 1)
    assert place.fence()
    assert stage(place) is Stage.FENCED


def test_a_started_attempt_cannot_be_fenced(place):
    (place.folder / "started").touch()
    assert not place.fence()
    assert stage(place) is Stage.LOST


def test_the_shims_handle_is_of_who_holds_the_lock(place, held):
    handle = place.open_shim()
    assert handle is not None
    os.close(handle)


def test_the_process_that_has_a_dead_shims_id_now_gets_no_handle(place):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        (place.folder / "lock").write_text(f"{innocent.pid}\n")
        assert place.open_shim() is None
        innocent.communicate(b"\n")


@pytest.mark.parametrize("said", ["", "x", "0\n", "-1\n", "99999999\n"])
def test_a_lock_without_a_process_gives_no_handle(place, held, said):
    (place.folder / "lock").write_text(said)
    assert place.open_shim() is None


def test_a_result_is_read_only_from_a_regular_file(place):
    place.results.parent.mkdir()
    assert place.read_result(10) is None
    place.results.write_bytes(b"12345")
    assert place.read_result(5) == b"12345"
    with pytest.raises(ValueError, match="has 5 bytes, allowed are 4"):
        place.read_result(4)
    place.results.unlink()
    os.mkfifo(place.results)
    with pytest.raises(ValueError, match="no regular file"):
        place.read_result(10)
    place.results.unlink()
    place.results.symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="no regular file"):
        place.read_result(10**6)
    place.results.unlink()
    elsewhere = place.folder / "elsewhere"
    place.results.parent.rename(elsewhere)
    (elsewhere / "result.json").write_text("1")
    place.results.parent.symlink_to(elsewhere)
    with pytest.raises(ValueError, match="no regular file"):
        place.read_result(10)
    place.results.parent.unlink()
    place.results.mkdir(parents=True)
    with pytest.raises(ValueError, match="no regular file"):
        place.read_result(10)


def test_a_result_that_is_reported_follows_no_link(place):
    with pytest.raises(FileNotFoundError):
        place.save_result("1")
    place.results.parent.mkdir()
    place.save_result("1")
    place.save_result("2")
    assert place.read_result(10) == b"2"
    assert [path.name for path in place.results.parent.iterdir()] == ["result.json"]
    elsewhere = place.folder / "elsewhere"
    place.results.parent.rename(elsewhere)
    place.results.parent.symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links|Not a directory"):
        place.save_result("3")
    assert (elsewhere / "result.json").read_text() == "2"


def test_clearing_leaves_the_log_and_the_report(place):
    for name in ("program", "results", "log"):
        (place.folder / name).mkdir()
    for name in ("arguments.json", "spec.json", "exit.json", "started", "program/x"):
        (place.folder / name).touch()
    place.clear()
    place.clear()
    left = sorted(path.name for path in place.folder.iterdir())
    assert left == ["exit.json", "log", "started"]
