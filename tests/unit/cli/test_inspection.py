import pytest

from tapetum.data.datasets import read_dataset


def test_doctor_names_every_frame_that_cannot_be_used(ask, broken):
    tracklets = read_dataset(f"hitsz-vcm:{broken}").test
    cut, gone = broken / tracklets[0].frames[3], broken / tracklets[-1].frames[0]
    cut.write_bytes(cut.read_bytes()[:-60])
    gone.unlink()
    looked = ask("doctor", f"hitsz-vcm:{broken}")
    assert looked.code == 1
    assert "2 problem(s)" in looked.out
    lines = looked.err.splitlines()
    assert any(line.startswith(f"{cut}: cannot read a picture: OSError: image file is") for line in lines)
    assert f"{gone}: cannot read a picture: no such file (a frame of {tracklets[-1].tracklet_id})" in lines
    report = ask("doctor", f"hitsz-vcm:{broken}", "--json")
    assert (report.code, len(report.json["problems"])) == (1, 2)


def spoil(root, name, change):
    path = root / "info" / name
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in change(lines)))
    return path


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "track_train_info.txt",
            lambda rows: ["1 5 4 1 2", *rows[1:]],
            ":1: frames 5 to 4; expected a range",
        ),
        ("track_test_info.txt", lambda rows: [*rows[:-1], "2 1 99999 5 1"], "frames 1 to 99999"),
        (
            "track_train_info.txt",
            lambda rows: ["1 1 12 1 13", *rows[1:]],
            ":1: unknown camera 13; expected 1..12",
        ),
        ("train_name.txt", lambda rows: ["0001M3D1T1F1.jpg", *rows[1:]], ":1: unknown modality 3"),
        (
            "train_name.txt",
            lambda rows: [rows[0], "notes", *rows[2:]],
            ":2: 'notes'; expected a name such as",
        ),
        ("query_IDX.txt", lambda rows: ["1 4711"], "4711"),
    ],
)
def test_info_files_are_refused_with_file_line_and_value(ask, broken, file, change, message):
    path = spoil(broken, file, change)
    for command in (
        ["doctor", f"hitsz-vcm:{broken}"],
        ["train", "small-cnn", "--data", f"hitsz-vcm:{broken}", "--out", broken / "run"],
    ):
        refused = ask(*command)
        assert refused.code == 1
        assert f"{path}" in refused.err
        assert message in refused.err
    assert not (broken / "run").exists()


def test_doctor_tells_of_frames_that_belong_to_another_row(ask, broken):
    """One frame of an infrared tracklet is coded as visible."""
    tracks = (broken / "info" / "track_test_info.txt").read_text().splitlines()
    row = next(i for i, line in enumerate(tracks) if line.startswith("1 "))
    line = int(tracks[row].split()[1]) - 1
    spoil(
        broken,
        "test_name.txt",
        lambda names: [*names[:line], names[line].replace("M1", "M2"), *names[line + 1 :]],
    )
    looked = ask("doctor", f"hitsz-vcm:{broken}")
    assert "test: 1 frames in 1 tracklets are of another identity, modality or camera" in looked.out
    assert f"(first in row {row + 1})" in looked.out
    assert (looked.code, "1 problem(s)" in looked.out) == (1, True)  # no such file under its coded name


def test_missing_places_are_named(ask, tmp_path, broken):
    refused = ask("doctor", f"hitsz-vcm:{tmp_path / 'none'}")
    assert (refused.code, f"{tmp_path / 'none'}: no such folder" in refused.err) == (1, True)
    (broken / "info" / "query_IDX.txt").unlink()
    refused = ask("doctor", f"hitsz-vcm:{broken}")
    assert (refused.code, str(broken / "info" / "query_IDX.txt") in refused.err) == (1, True)
    refused = ask("doctor", str(broken))
    assert (refused.code, "not of the form FORMAT:ROOT; formats: " in refused.err) == (1, True)
    assert "hitsz-vcm, " in refused.err
    refused = ask("doctor", f"hitsz-vmc:{broken}")
    assert (refused.code, "did you mean 'hitsz-vcm'?" in refused.err) == (1, True)
