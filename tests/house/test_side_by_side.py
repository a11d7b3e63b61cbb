"""What tells how tests are shared between processes is true of the files that are there."""

from pathlib import Path

import pytest

from tests.side_by_side import FIRST, TOGETHER, company

root = Path(__file__).parents[2]
files = sorted(str(path.relative_to(root)) for path in root.glob("tests/**/*.py"))
with_clusters = [
    name for name in files if "\nfrom tests.clusters import" in (root / name).read_text()
]


@pytest.mark.parametrize("start", [*TOGETHER, *FIRST])
def test_what_is_named_is_there(start: str) -> None:
    assert (root / start).exists()


@pytest.mark.parametrize("name", with_clusters)
def test_files_that_use_the_kept_clusters_run_in_one_process(name: str) -> None:
    assert company(name) == "clusters"
