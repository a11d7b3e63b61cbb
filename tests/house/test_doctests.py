"""Every example in docstrings and on the pages runs and shows what is printed there."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

root = Path(__file__).parents[2]
fence = re.compile(r"^```(?:pycon|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules() -> list[str]:
    source = root / "src"
    paths = (path.relative_to(source).with_suffix("") for path in source.rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def pages() -> list[str]:
    found = [root / "README.md", *(root / "docs").rglob("*.md")]
    return sorted(str(page.relative_to(root)) for page in found if ">>>" in page.read_text())


def run(test: doctest.DocTest) -> None:
    report: list[str] = []
    doctest.DocTestRunner(optionflags=options).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name: str) -> None:
    if name.endswith("__main__"):
        pytest.skip("importing it runs it")
    for test in doctest.DocTestFinder(exclude_empty=True).find(import_module(name), name):
        run(test)


@pytest.mark.parametrize("page", pages())
def test_examples_on_pages_run(page: str) -> None:
    # Line for line as on the page, with what is not an example left blank, so that a failure
    # names its line.
    text = (root / page).read_text()
    kept = "".join(
        part if index % 2 else "\n" * part.count("\n")
        for index, part in enumerate(split_at_examples(text))
    )
    parser = doctest.DocTestParser()
    run(parser.get_doctest(kept, {"__name__": "__main__"}, page, page, 0))


def split_at_examples(text: str) -> list[str]:
    """Cuts text into what surrounds examples (even places) and examples (odd places)."""
    parts, end = [], 0
    for block in fence.finditer(text):
        parts += [
            text[end : block.start(1)],
            block[1] if ">>>" in block[1] else "\n" * block[1].count("\n"),
        ]
        end = block.end(1)
    return [*parts, text[end:]]
