"""A job sees what the operator and its upload allow, and what every generation of clients reads."""

import json

import pytest

from shoal.serverless.runner.launching import environment, prepare
from shoal.serverless.runner.places import Place
from shoal.serverless.settings import Settings
from tests.serverless.making import claim, upload

GATEWAY = "http://127.0.0.1:8000"


@pytest.fixture
def settings(tmp_path):
    return Settings(data=tmp_path, job_variables=("LANG", "ABSENT"))


def claimed(store, user, arguments='{"a": 1}', **details):
    upload(store, user, "print()", "t", **details)
    return claim(store, user, "t", arguments=store.blobs.pack(arguments))


def prepared(store, user, settings, **options):
    taken = claimed(store, user, **options)
    place = Place(settings.data / "jobs", taken.job.id, taken.job.fence)
    prepare(taken, place, store, settings, GATEWAY)
    return place, json.loads((place.folder / "spec.json").read_text()), taken


def test_a_job_sees_only_the_variables_that_are_named(store, user, settings):
    taken = claimed(store, user, env_vars={"MINE": 1, "ENV_JOB_GATEWAY_TOKEN": "x", "PATH": "/x"})
    place = Place(settings.data, taken.job.id, 1)
    ours = {"LANG": "C", "SECRET": "s", "SHOAL_SERVE_DATA": "d"}
    found = environment(taken, place, settings, GATEWAY, ours)
    assert found["LANG"] == "C"
    assert found["MINE"] == "1"
    assert found["ENV_JOB_GATEWAY_TOKEN"] == taken.token
    assert found["PATH"].endswith("/usr/bin:/bin")
    assert not {"SECRET", "SHOAL_SERVE_DATA", "ABSENT"} & set(found)


@pytest.mark.parametrize("odd", [None, [], "x", 3])
def test_variables_that_are_no_mapping_are_none(store, user, settings, odd):
    taken = claimed(store, user, env_vars=odd)
    place = Place(settings.data, taken.job.id, 1)
    assert environment(taken, place, settings, GATEWAY, {})["ENV_JOB_ID_GATEWAY"] == taken.job.id


def test_arguments_are_where_each_generation_looks(store, user, settings):
    place, spec, _ = prepared(store, user, settings)
    variables = spec["environment"]
    assert variables["ENV_JOB_ARGUMENTS"] == '{"a": 1}'
    assert place.arguments.read_text() == '{"a": 1}'
    assert variables["ARGUMENTS_PATH"] == str(place.arguments)
    assert (place.program / "arguments.serverless").read_text() == '{"a": 1}'


def test_arguments_too_long_for_a_variable_come_by_file_only(store, user, settings):
    long = json.dumps("x" * 200_000)
    place, spec, _ = prepared(store, user, settings, arguments=long)
    assert "ENV_JOB_ARGUMENTS" not in spec["environment"]
    assert place.arguments.read_text() == long


def test_all_of_an_attempt_is_its_owners_alone(store, user, settings):
    place, _, _ = prepared(store, user, settings)
    modes = {path.stat().st_mode & 0o077 for path in [place.folder, *place.folder.rglob("*")]}
    assert modes == {0}


def test_a_ray_that_runs_on_the_machine_is_not_joined_by_chance(store, user, tmp_path):
    settings = Settings(data=tmp_path)
    place = Place(tmp_path, "x", 1)
    plain = claimed(store, user)
    assert environment(plain, place, settings, GATEWAY, {})["RAY_ADDRESS"] == "local"
    named = {"RAY_ADDRESS": "ray://here:10001", "SHOAL_EXECUTOR": "ray"}
    found = environment(plain, place, settings, GATEWAY, named)
    assert {name: found[name] for name in named} == named
    asking = claimed(store, user, env_vars={"RAY_ADDRESS": "asked"})
    assert environment(asking, place, settings, GATEWAY, named)["RAY_ADDRESS"] == "asked"
