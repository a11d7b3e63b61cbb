"""Makes Sphinx inventories from the text files beside it, so that the docs build offline.

`python.txt` says where Python's documentation is and which of its names our pages refer to; the
other files do the same for other projects. A name that a page needs and no file has fails the
build ("reference target not found"): add a line here.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path


def inventories(target: Path) -> Iterator[tuple[str, str, Path]]:
    """Writes one inventory per text file below `target`; yields (project, its site, the file).

    A text file's first line is the site. Every other line is a role, a name, and the page the
    name is on; `$` in the page stands for the name.
    """
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(Path(__file__).parent.glob("*.txt")):
        lines = [line.strip() for line in source.read_text().splitlines()]
        site, *entries = [line for line in lines if line]
        body = "".join(
            f"{name} {role} 1 {page} -\n" for role, name, page in (e.split() for e in entries)
        )
        head = f"# Sphinx inventory version 2\n# Project: {source.stem}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        inventory = target / f"{source.stem}.inv"
        inventory.write_bytes(head.encode() + zlib.compress(body.encode()))
        yield source.stem, site, inventory
