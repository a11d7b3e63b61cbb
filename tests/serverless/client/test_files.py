"""Files go up and come back byte for byte, and never to a place that was not meant."""

import os

import pytest

from shoal.serverless import NotFound


def test_a_file_comes_back_byte_for_byte(client, tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "data.bin").write_bytes(data)
    assert client.file_upload(tmp_path / "data.bin") == "data.bin"
    assert "data.bin" in client.files()
    target = client.file_download("data.bin", download_location=tmp_path / "there")
    assert target == tmp_path / "there" / "data.bin"
    assert target.read_bytes() == data
    assert os.listdir(tmp_path / "there") == ["data.bin"]
    client.file_delete("data.bin")
    assert "data.bin" not in client.files()


def test_a_file_is_replaced_by_one_of_its_name(client, tmp_path):
    path = tmp_path / "twice.txt"
    for text in ("first", "second"):
        path.write_text(text)
        client.file_upload(path)
    back = client.file_download("twice.txt", target_name="back.txt", download_location=tmp_path)
    assert back.read_text() == "second"
    client.file_delete("twice.txt")


def test_a_file_that_is_not_there_leaves_none_here(client, tmp_path):
    with pytest.raises(NotFound):
        client.file_download("none", download_location=tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFound):
        client.file_delete("none")
    with pytest.raises(ValueError, match="is no file"):
        client.file_upload(tmp_path / "none")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "..", ""])
def test_a_target_outside_of_the_folder_is_refused(client, tmp_path, name):
    with pytest.raises(ValueError, match="expected a name without folders"):
        client.file_download("data", target_name=name, download_location=tmp_path)
