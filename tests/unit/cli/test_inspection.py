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


def test_doctor_finds_a_training_picture_in_the_test_part(ask, broken):
    data = read_dataset(f"hitsz-vcm:{broken}")
    source, place = data.train[0].frames[0], data.test[0].frames[0]
    (broken / place).write_bytes((broken / source).read_bytes())
    looked = ask("doctor", f"hitsz-vcm:{broken}")
    assert looked.code == 0  # nothing is missing
    assert "- warning: 1 pictures are in both training and test" in looked.out
    assert f"{source} (train, {data.train[0].tracklet_id}) = {place} (test, " in looked.out
    assert ask("doctor", f"hitsz-vcm:{broken}", "--strict", "--no-decode").code == 1
    report = ask("doctor", f"hitsz-vcm:{broken}", "--strict", "--json")
    assert (report.code, report.json["ok"]) == (1, False)
    (leak,) = (finding for finding in report.json["findings"] if finding["kind"] == "leak")
    assert leak["severity"] == "warning"


def test_doctor_shows_cameras_and_people_without_a_partner(ask, broken):
    rows = (broken / "info" / "track_test_info.txt").read_text().splitlines()
    person = rows[-1].split()[3]

    def rename(line):
        fields = line.split()
        return " ".join([*fields[:3], "99", fields[4]]) if fields[0] == "2" and fields[3] == person else line

    spoil(broken, "track_test_info.txt", lambda lines: [rename(line) for line in lines])
    looked = ask("doctor", f"hitsz-vcm:{broken}", "--no-decode")
    assert looked.code == 0
    assert f"- warning: test: 1 people are seen in infrared only\n    {person}\n" in looked.out
    assert "- warning: test: 1 people are seen in visible only\n    99\n" in looked.out
    assert "- warning: test: 24 frames in 2 tracklets are of another identity" in looked.out
    assert "all frames are there; they were not decoded" in looked.out
    assert ask("doctor", f"hitsz-vcm:{broken}", "--strict").code == 1
    cameras = ask("doctor", f"hitsz-vcm:{broken}", "--json").json["cameras"]
    assert {row["modality"] for row in cameras if row["camera"] % 2} == {"visible"}


def test_doctor_shortens_long_lists(ask, broken):
    for tracklet in read_dataset(f"hitsz-vcm:{broken}").train:
        first, second = tracklet.frames[:2]
        (broken / second).write_bytes((broken / first).read_bytes())
    looked = ask("doctor", f"hitsz-vcm:{broken}", "--strict")
    assert looked.code == 0  # remarks alone
    assert "- 16 pictures occur again in their own tracklet" in looked.out
    assert "    and 6 more (--json lists all)" in looked.out
