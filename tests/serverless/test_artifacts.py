"""Archives give plain files and folders; everything that could reach outside is refused."""

import io
import tarfile

import pytest

from shoal.serverless.artifacts import MOST_MEMBERS, check, unpack
from shoal.serverless.errors import ArtifactRefused
from tests.serverless.making import archive


def packed(*entries):
    """An archive of entries given as (name, type, fields)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as target:
        for name, kind, fields in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            for field, value in fields.items():
                setattr(entry, field, value)
            target.addfile(entry, io.BytesIO(b"x" * entry.size))
    return made.getvalue()


def file(name, **fields):
    return (name, tarfile.REGTYPE, {"size": 1, **fields})


def folder(name):
    return (name, tarfile.DIRTYPE, {})


def link(name, target, kind=tarfile.SYMTYPE):
    return (name, kind, {"linkname": target})


def test_files_come_out_as_they_went_in(tmp_path):
    files = {"main.py": "print()", "data/deep/a b.txt": "é", "empty": "", ".hidden": "x"}
    unpack(io.BytesIO(archive(files)), tmp_path / "out")
    out = {
        str(path.relative_to(tmp_path / "out")): path.read_text()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert out == files


def test_folders_and_modes_are_our_own(tmp_path):
    data = packed(("./", tarfile.DIRTYPE, {"mode": 0}), folder("a"), file("a/run", mode=0o6755))
    unpack(io.BytesIO(data + packed()), tmp_path / "out")
    assert (tmp_path / "out/a").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "out/a/run").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o700


HOSTILE = {
    "leads out": packed(file("../x")),
    "leads out of a folder": packed(folder("a"), file("a/../../x")),
    "begins at the root": packed(file("/tmp/x")),
    "is a link": packed(link("a", "/etc")),
    "is a link within": packed(file("a"), link("b", "a")),
    "is a hard link": packed(link("a", "/etc/passwd", tarfile.LNKTYPE)),
    "writes through a link": packed(link("a", ".."), file("a/x")),
    "is a device": packed(("a", tarfile.CHRTYPE, {})),
    "is a FIFO": packed(("a", tarfile.FIFOTYPE, {})),
    "comes twice": packed(file("a"), file("a")),
    "comes twice but for its case": packed(file("a"), file("A")),
    "comes twice in Unicode's forms": packed(file("é"), file("e\u0301")),
    "is a file and a folder": packed(file("a"), file("a/b")),
    "is a folder and a file": packed(file("a/b"), file("a")),
    "has a control character": packed(file("a\nb")),
    "has an escape": packed(file("a\x1b[2J")),
    "has a surrogate": packed(file("a\udc80")),
    "has a long name": packed(file("a" * 256)),
    "is deep": packed(file("/".join("a" * 40))),
    "is no archive": b"PK\x03\x04" + b"x" * 2000,
    "is nothing": b"",
    "is compressed": b"\x1f\x8b" + b"x" * 600,
    "ends early": archive({"a": "x" * 5000})[:2000],
    "claims eight exbibytes": packed(file("a")).replace(b"00000000001", b"77777777777"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_odd_is_refused_and_nothing_reaches_outside(tmp_path, data):
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(ArtifactRefused):
        unpack(io.BytesIO(data), inner / "out")
    assert list(tmp_path.iterdir()) == [inner]
    assert list(inner.iterdir()) in ([], [inner / "out"])
    assert not any(path.is_symlink() for path in inner.rglob("*"))


def test_links_are_refused_with_what_to_do_instead():
    with pytest.raises(ArtifactRefused, match="pack what it points to instead"):
        check(io.BytesIO(packed(link("data", "/data"))), "main.py")


def test_too_many_files_are_refused():
    data = packed(*(file(f"f{number}", size=0) for number in range(MOST_MEMBERS + 1)))
    with pytest.raises(ArtifactRefused, match="more than 10000 files"):
        check(io.BytesIO(data), "f0")


@pytest.mark.parametrize("name", ["other.py", "a", "/main.py", "../main.py", "main.py; ls", ""])
def test_the_entrypoint_is_a_file_in_the_archive(name):
    data = packed(file("main.py"), folder("a"))
    with pytest.raises(ArtifactRefused, match="is not a file in the archive"):
        check(io.BytesIO(data), name)
    check(io.BytesIO(data), "main.py")
