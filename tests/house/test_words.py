"""Files are named for what they hold, say what they are for, and stay short."""

import ast
from pathlib import Path

import pytest

root = Path(__file__).parents[2]
source = root / "src"
files = sorted(str(path.relative_to(root)) for path in source.rglob("*.py"))
empty_words = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}
most_lines_of_a_file = 400
most_lines_of_a_function = 60


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    paths = (path.relative_to(source) for path in source.rglob("*"))
    assert [str(path) for path in paths if set(path.stem.strip("_").split("_")) & empty_words] == []


@pytest.mark.parametrize("file", files)
def test_line_one_of_a_file_states_its_purpose(file: str) -> None:
    first, *_ = (root / file).read_text().splitlines() or [""]
    assert first.startswith('"""')
    assert len(first.strip('"')) > len("purpose")


@pytest.mark.parametrize("file", files)
def test_a_file_is_short(file: str) -> None:
    lines = len((root / file).read_text().splitlines())
    assert lines <= most_lines_of_a_file, f"{file}: {lines} lines"


@pytest.mark.parametrize("file", files)
def test_a_function_is_short(file: str) -> None:
    functions = (
        node
        for node in ast.walk(ast.parse((root / file).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = [
        f"{function.name}: {lines} lines"
        for function in functions
        if (lines := (function.end_lineno or 0) - function.lineno + 1 - docstring_lines(function))
        > most_lines_of_a_function
    ]
    assert long == []


def docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return len((ast.get_docstring(function) or "").splitlines())
