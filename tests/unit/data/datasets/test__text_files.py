import re

import pytest

from tapetum.data.datasets._text_files import read_lines, read_text, refuse_missing
from tapetum.errors import DataError

EXPECTED = "expected a name on each line"


@pytest.mark.parametrize("content", [b"a b\n\nc", b"\xef\xbb\xbfa b\r\n\r\nc \r\n\r\n \t\n"])
def test_lines_without_mark_and_without_the_empty_ones_at_the_end(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    assert read_lines(path, EXPECTED) == ["a b", "", "c"]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \r\n\n"])
def test_a_file_without_lines_is_text_but_no_list(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    assert not read_text(path, EXPECTED).strip()
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: the file is empty; {EXPECTED}$"):
        read_lines(path, EXPECTED)


@pytest.mark.parametrize("read", [read_lines, read_text])
def test_what_is_no_text_is_refused_with_the_file(tmp_path, read):
    path = tmp_path / "list.txt"
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: no text \(.*0xff.*\); {EXPECTED}$"):
        read(path, EXPECTED)


@pytest.mark.parametrize("read", [read_lines, read_text, refuse_missing])
def test_no_file_and_a_folder_are_refused_with_what_was_expected(tmp_path, read):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(FileNotFoundError, match=rf"^{re.escape(str(path))}: no such file; {EXPECTED}$"):
            read(path, EXPECTED)
