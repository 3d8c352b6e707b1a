import re

import pytest

from tapetum.errors import DataError
from tapetum.json_files import read_json_of


def test_an_object_of_the_format_reads_back(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"format": "toy", "name": "é"}', encoding="utf-8")
    assert read_json_of(path, "toy", "a toy") == {"format": "toy", "name": "é"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"not JSON: Expecting value"),
        (b'{"format": "toy"', r"not JSON: "),
        (b"\xff", r"not JSON: .*0xff"),
        (b"[1]", r"not a toy \(expected format 'toy'\)$"),
        (b"{}", r"not a toy \(expected format 'toy'\)$"),
        (b'{"format": "other"}', r"not a toy \(expected format 'toy'\)$"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {message}"):
        read_json_of(path, "toy", "a toy")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        read_json_of(tmp_path / "none.json", "toy", "a toy")
