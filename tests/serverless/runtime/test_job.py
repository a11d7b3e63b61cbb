"""A program reads its arguments and saves its result through files, or without any."""

import json
import threading

import pytest

from shoal.serverless.runtime import (
    get_arguments,
    get_compute_profile,
    get_function_size,
    is_running_in_serverless,
    is_trial,
    save_result,
)

VARIABLES = (
    "ARGUMENTS_PATH",
    "ENV_ACCESS_TRIAL",
    "ENV_JOB_ARGUMENTS",
    "ENV_JOB_COMPUTE_PROFILE",
    "ENV_JOB_FUNCTION_SIZE",
    "ENV_JOB_ID_GATEWAY",
    "RESULTS_PATH",
)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """Outside of any job."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_each_generations_arguments_are_found(monkeypatch, tmp_path):
    assert get_arguments() == {}
    monkeypatch.setenv("ENV_JOB_ARGUMENTS", '{"from": "a variable"}')
    assert get_arguments() == {"from": "a variable"}
    (tmp_path / "arguments.serverless").write_text('{"from": "the folder"}')
    assert get_arguments() == {"from": "the folder"}
    (tmp_path / "named.json").write_text('{"z": {"__type__": "complex", "__value__": [0, 1]}}')
    monkeypatch.setenv("ARGUMENTS_PATH", str(tmp_path / "named.json"))
    assert get_arguments() == {"z": 1j}


def test_arguments_that_are_named_and_not_there_are_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("ARGUMENTS_PATH", str(tmp_path / "none.json"))
    with pytest.raises(FileNotFoundError):
        get_arguments()


def test_the_last_result_counts(monkeypatch, tmp_path):
    path = tmp_path / "results" / "result.json"
    monkeypatch.setenv("RESULTS_PATH", str(path))
    assert save_result({"a": 1}) is True
    assert save_result({"z": 1j}) is True
    assert path.read_text() == '{"z": {"__type__": "complex", "__value__": [0.0, 1.0]}}'
    assert list(path.parent.iterdir()) == [path]


def test_a_result_that_cannot_be_written_leaves_the_one_before(monkeypatch, tmp_path):
    path = tmp_path / "result.json"
    monkeypatch.setenv("RESULTS_PATH", str(path))
    save_result([1])
    with pytest.raises(TypeError, match=r"value\['bad'\] cannot be written as JSON"):
        save_result({"bad": object()})
    assert path.read_text() == "[1]"


def test_a_reader_finds_a_whole_result_at_any_time(monkeypatch, tmp_path):
    path = tmp_path / "result.json"
    monkeypatch.setenv("RESULTS_PATH", str(path))
    save_result(["x"] * 1000)
    over = threading.Event()

    def save():
        for number in range(50):
            save_result(["x"] * (1000 + number))
        over.set()

    saving = threading.Thread(target=save)
    saving.start()
    while not over.is_set():
        assert len(json.loads(path.read_text())) >= 1000
    saving.join()


def test_nothing_is_an_empty_result(monkeypatch, tmp_path):
    monkeypatch.setenv("RESULTS_PATH", str(tmp_path / "r"))
    save_result(None)
    assert (tmp_path / "r").read_text() == "{}"


def test_outside_of_a_job_a_result_is_printed(capsys):
    assert save_result({"a": 1}) is True
    assert capsys.readouterr().out == 'Saved result: {"a": 1}\n'


def test_a_program_knows_whether_it_is_a_job(monkeypatch):
    assert not is_running_in_serverless()
    assert not is_trial()
    assert (get_function_size(), get_compute_profile()) == ("", "")
    monkeypatch.setenv("ENV_JOB_ID_GATEWAY", "x")
    monkeypatch.setenv("ENV_ACCESS_TRIAL", "True")
    monkeypatch.setenv("ENV_JOB_FUNCTION_SIZE", "M")
    monkeypatch.setenv("ENV_JOB_COMPUTE_PROFILE", "bx2")
    assert is_running_in_serverless()
    assert is_trial()
    assert (get_function_size(), get_compute_profile()) == ("M", "bx2")
