from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.data import DataSet, FileProblem, check_files
from tapetum.types import Modality, Tracklet, TrackletSet


@pytest.fixture
def tracklets(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 32, 3), dtype=np.uint8)
    made = []
    for row in range(2):
        paths = [str(tmp_path / f"{row}_{i}.jpg") for i in range(3)]
        for path in paths:
            Image.fromarray(noise).save(path)
        made.append(Tracklet(f"t{row}", paths, Modality.VISIBLE))
    return TrackletSet("set", tuple(made))


@pytest.mark.parametrize("decode", [True, False])
def test_a_whole_set_has_no_problems(tracklets, decode):
    seen = []
    assert check_files(tracklets, decode=decode, progress=lambda *done: seen.append(done)) == []
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("decode", [True, False])
def test_missing_files_are_listed_in_order(tracklets, decode):
    gone = [tracklets[0].frames[2], tracklets[1].frames[0]]
    for path in gone:
        Path(path).unlink()
    found = check_files(tracklets, decode=decode)
    assert [(p.tracklet_id, p.path) for p in found] == [("t0", gone[0]), ("t1", gone[1])]
    assert all("no such file" in p.reason for p in found)


def test_a_truncated_file_is_found_by_decoding_only(tracklets):
    path = Path(tracklets[1].frames[1])
    path.write_bytes(path.read_bytes()[:-40])
    (problem,) = check_files(tracklets)
    assert problem == FileProblem("t1", str(path), problem.reason)
    assert "truncated" in problem.reason
    assert str(path) not in problem.reason
    assert check_files(tracklets, decode=False) == []


def test_a_data_set_is_looked_at_as_a_whole(tracklets):
    for tracklet in tracklets:
        Path(tracklet.frames[0]).unlink()
    first, second = (TrackletSet("part", (t,)) for t in tracklets)
    whole = DataSet("made", Path(), first, TrackletSet("none", ()), second, ())
    found = check_files(whole)
    assert [p.tracklet_id for p in found] == ["t0", "t1"]
    gone = tracklets[1].frames[0]
    assert str(found[1]) == f"{gone}: cannot read a picture: no such file (a frame of t1)"


def test_an_error_of_progress_stops_the_check(tracklets):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_files(tracklets, progress=stop)
