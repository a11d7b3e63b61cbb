"""Settings come from flags, environment, file and defaults, and say what is wrong with them."""

import dataclasses
from pathlib import Path

import pytest

from shoal.serverless.settings import Settings, load


def test_flags_win_over_environment_over_file_over_defaults(tmp_path):
    (tmp_path / "shoal.toml").write_text("port = 1\nmax_jobs = 1\nlog_bytes = 5000\n")
    environment = {"SHOAL_SERVE_PORT": "2", "SHOAL_SERVE_MAX_JOBS": "2", "OTHER": "x"}
    loaded = load({"data": str(tmp_path), "port": 3, "host": None}, environment)
    assert (loaded.port, loaded.max_jobs, loaded.log_bytes) == (3, 2, 5000)
    assert loaded.host == "127.0.0.1"
    assert loaded.data == tmp_path


def test_the_environment_may_name_the_data_directory(tmp_path):
    assert load({}, {"SHOAL_SERVE_DATA": str(tmp_path)}).data == tmp_path
    assert load({}, {}).data == Path("shoal-data").absolute()


def test_every_setting_can_be_given_as_text(tmp_path):
    words = {
        "int": "5000",
        "float": "3.5",
        "bool": "yes",
        "str": "/usr/bin/python3",
        "tuple[str, ...]": "A, B",
        "Path": str(tmp_path),
    }
    environment = {
        f"SHOAL_SERVE_{each.name.upper()}": words[str(each.type)]
        for each in dataclasses.fields(Settings)
    }
    loaded = load({}, environment)
    assert loaded.job_variables == ("A", "B")
    assert loaded.insecure is True
    assert loaded.claim_seconds == 3.5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"port": 70000}, r"port=70000: expected 0 to 65535"),
        ({"port": "http"}, r"port='http' from the command line"),
        ({"port": True}, r"port=True from the command line: expected a whole number"),
        ({"max_jobs": 0}, r"max_jobs=0: expected 1 to"),
        ({"wall_seconds": -1}, r"wall_seconds=-1.0: expected 0 to"),
        ({"wall_seconds": "nan"}, r"wall_seconds=nan: expected"),
        ({"demo_user": "maybe"}, r"demo_user='maybe' from the command line: expected true or"),
        ({"job_python": "python"}, r"job_python='python': expected an absolute path"),
        ({"host": ""}, r"host='': expected an address"),
        ({"prot": 1}, r"prot from the command line: there is no such setting; there are active"),
    ],
)
def test_a_bad_value_names_itself_where_it_came_from_and_what_is_allowed(tmp_path, flags, message):
    with pytest.raises(ValueError, match=message):
        load({"data": str(tmp_path), **flags}, {})


def test_a_bad_file_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("port = ")
    with pytest.raises(ValueError, match=r"mine\.toml: cannot be read"):
        load({}, {}, path)
    with pytest.raises(ValueError, match="cannot be read"):
        load({}, {}, tmp_path / "none.toml")


def test_zero_is_no_limit(tmp_path):
    quotas = Settings(data=tmp_path, active_jobs_per_account=0, queued_jobs=0).quotas
    assert (quotas.active_jobs, quotas.queued_jobs, quotas.running_jobs) == (None, None, None)


def test_settings_do_not_change(tmp_path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings(data=tmp_path).port = 1
