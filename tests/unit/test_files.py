import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tapetum.files import replace_file, replace_tensors, replace_text


def test_replaces_the_content_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    assert replace_text(path, "nëw") == path
    assert path.read_text(encoding="utf-8") == "nëw"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_failing_writer_leaves_the_former_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(place: Path) -> None:
        place.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        replace_file(path, write)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_another_error_passes_through_and_cleans_up(tmp_path):
    def write(place: Path) -> None:
        place.write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        replace_file(tmp_path / "a.txt", write)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match="cannot write") as caught:
        replace_text(tmp_path / "none" / "a.txt", "x")
    assert caught.value.filename == str(tmp_path / "none" / "a.txt")


REFUSED = """
import resource, sys, torch
from pathlib import Path
from tapetum.files import replace_tensors, replace_text
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    {call}
except OSError as error:
    sys.exit(f"{{error.errno}}: {{error}}")
"""


@pytest.mark.parametrize(
    "call",
    [
        "replace_text(Path(sys.argv[1]), 'x' * 100_000)",
        "replace_tensors(Path(sys.argv[1]), {'a': torch.zeros(10_000)}, {})",
    ],
)
def test_a_real_limit_of_the_file_system(tmp_path, call):
    """The kernel refuses the write, as it does on a full disk."""
    path = tmp_path / "a.bin"
    path.write_text("old")
    program = [sys.executable, "-c", REFUSED.format(call=call), str(path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{errno.EFBIG}: ")
    assert "cannot write" in done.stderr
    assert str(path) in done.stderr
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_tensors_and_their_header_come_back(tmp_path):
    table = torch.arange(12.0).view(3, 4).t()
    path = replace_tensors(tmp_path / "t.safetensors", {"table": table}, {"note": "ä"})
    with safe_open(path, "pt") as file:
        assert torch.equal(file.get_tensor("table"), table)
        assert file.metadata() == {"note": "ä"}
