"""A decorated function becomes a program that runs where its provider does."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from shoal.serverless import compat
from shoal.serverless.encoding import encode
from shoal.serverless.runtime import distribute_program, distribute_qiskit_function


class Here:
    """A provider that runs what it is given, at once, in this folder."""

    def __init__(self, folder):
        self.folder = folder
        self.programs = {}

    def upload(self, program):
        files = {path.name: path.read_bytes() for path in Path(program.working_dir).iterdir()}
        self.programs[program.title] = program.entrypoint, files

    def run(self, title, arguments):
        entrypoint, files = self.programs[title]
        for name, data in files.items():
            (self.folder / name).write_bytes(data)
        (self.folder / "arguments.json").write_text(encode(arguments))
        variables = {"ARGUMENTS_PATH": "arguments.json", "RESULTS_PATH": "result.json"}
        subprocess.run(
            [sys.executable, compat.START, entrypoint], cwd=self.folder, env=variables, check=True
        )
        result = self.folder / "result.json"
        return SimpleNamespace(result=result.read_text() if result.exists() else None)


@pytest.mark.parametrize("decorator", [distribute_qiskit_function, distribute_program])
def test_a_call_uploads_the_function_and_runs_it(tmp_path, decorator):
    provider, factor = Here(tmp_path), 3

    @decorator(provider=provider, dependencies=["numpy"])
    def scaled(x):
        return {"x": factor * x}

    assert scaled(x=2j).result == '{"x": {"__type__": "complex", "__value__": [0.0, 6.0]}}'
    assert list(provider.programs) == ["scaled"]


def test_a_folder_goes_along_and_is_left_as_it_was(tmp_path):
    folder, there = tmp_path / "folder", tmp_path / "there"
    folder.mkdir()
    there.mkdir()
    (folder / "data.txt").write_text("seven")

    @distribute_qiskit_function(provider=Here(there), working_dir=str(folder))
    def reads():
        return Path("data.txt").read_text()

    assert reads().result == '"seven"'
    assert [path.name for path in folder.iterdir()] == ["data.txt"]


def test_nothing_returned_is_nothing_saved(tmp_path):
    assert distribute_qiskit_function(provider=Here(tmp_path))(_nothing)().result is None


def _nothing():
    return None


def test_what_cannot_become_a_program_is_refused(tmp_path):
    with pytest.raises(TypeError, match="expected a function"):
        distribute_qiskit_function(provider=Here(tmp_path))(3)
    with pytest.raises(TypeError, match="named arguments only"):
        distribute_qiskit_function(provider=Here(tmp_path))(_nothing)(3)
