"""Public names, `__all__` and the reference pages are one list."""

import re
from importlib import import_module
from pathlib import Path

import pytest

reference = Path(__file__).parents[2] / "docs" / "reference"
faces = [
    "shoal",
    "shoal.tasks",
    "shoal.sweeps",
    "shoal.quantum",
    "shoal.serverless",
    "shoal.serverless.encoding",
    "shoal.errors",
]
directive = re.compile(r"^\.\. (auto|py:)(\w+):: ([\w.]+)", re.MULTILINE)


def documented_names() -> set[str]:
    names: set[str] = set()
    for page in reference.glob("*.md"):
        for _, kind, name in directive.findall(page.read_text()):
            if kind == "module":
                names |= {f"{name}.{public}" for public in import_module(name).__all__}
            else:
                names.add(name)
    return names


def public_names() -> list[str]:
    return [
        f"{face}.{name}"
        for face in faces
        for name in import_module(face).__all__
        if not name.startswith("__")
    ]


def find(name: str) -> object:
    face, _, last = name.rpartition(".")
    return getattr(import_module(face), last)


@pytest.mark.parametrize("name", public_names())
def test_a_public_name_exists_with_a_docstring_and_a_place_in_the_reference(name: str) -> None:
    assert (find(name).__doc__ or "").strip(), f"{name} has no docstring"
    assert name in documented_names(), f"{name} is not in docs/reference"


def test_a_documented_name_is_public() -> None:
    assert documented_names() - set(public_names()) == set()


@pytest.mark.parametrize("face", faces)
def test_all_is_sorted_and_says_nothing_twice(face: str) -> None:
    names = import_module(face).__all__
    assert list(names) == sorted(set(names))


def test_the_face_of_shoal_gives_the_objects_of_its_rooms() -> None:
    shoal, tasks = import_module("shoal"), import_module("shoal.tasks")
    for name in ("executor", "failure", "imap", "map", "register_joblib"):
        assert getattr(shoal, name) is getattr(tasks, name)
    assert shoal.sweep is import_module("shoal.sweeps").sweep
