"""Locks pin versions and hashes, and hold no address of any machine."""

import re
from pathlib import Path

import pytest

root = Path(__file__).parents[2]
found = [*root.glob("locks/*.txt"), *root.glob("*/requirements*.txt")]
locks = sorted(str(path.relative_to(root)) for path in found)


@pytest.mark.parametrize("name", locks)
def test_a_lock_holds_no_address(name: str) -> None:
    text = (root / name).read_text()
    assert (
        re.findall(r"\S+://\S+|^\s*-\S*.*$", text.replace("--hash=sha256:", ""), re.MULTILINE) == []
    )


@pytest.mark.parametrize("name", locks)
def test_every_requirement_is_pinned_with_a_hash(name: str) -> None:
    lines = (root / name).read_text().splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith((" ", "#")):
            assert re.match(r"[a-z0-9._-]+==[^ ]+ ", line), line
            assert "--hash=sha256:" in lines[number + 1], line
