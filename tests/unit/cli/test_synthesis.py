import pytest

from tapetum.data.datasets import read_dataset

TINY = ["--frame-size", "32x16", "--tracklet-length", "12-12", "--tracklets", "1-1", "--workers", "1"]


def test_synth_writes_what_was_asked_for_and_doctor_is_content(ask, tmp_path):
    root = tmp_path / "[set]"
    written = ask("synth", root, "--identities", 6, "--test-identities", 2, "--seed", 3, *TINY)
    assert (written.code, written.err.strip()) == (0, "")
    assert written.out.startswith(f"hitsz-vcm:{root}: 4 training and 2 test people, ")
    found = read_dataset(f"hitsz-vcm:{root}")
    assert (len(found.label_ids), len(set(found.test.person_ids))) == (4, 2)
    looked = ask("doctor", f"hitsz-vcm:{root}")
    assert (looked.code, "all frames can be read" in looked.out) == (0, True)
    report = ask("doctor", f"hitsz-vcm:{root}", "--json").json
    assert report["problems"] == []
    assert report["tracklets"]["train"] == len(found.train) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--difficulty", "harsh"), "difficulty is 'harsh'; expected 0 to 1 or one of easy, medium, hard"),
        (("--difficulty", "1.5"), "difficulty is 1.5"),
        (("--frame-size", "32"), "--frame-size is '32'; expected two whole numbers as in 12x24"),
        (("--tracklet-length", "12-x"), "--tracklet-length is '12-x'"),
        (("--tracklet-length", "3-12"), "tracklet_length is (3, 12)"),
        (("--identities", "3"), "3"),
        (("--workers", "-1"), "workers is -1"),
    ],
)
def test_synth_refuses_by_name_and_leaves_nothing(ask, tmp_path, options, message):
    refused = ask("synth", tmp_path / "out", *options)
    assert refused.code == 1
    assert message in refused.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("bupt-campus", "--identities", 5, "--tracklet-length", "12-12", "--tracklets", "2-2", "--lmdb"),
            "2 training and 2 test people, 1 auxiliary, ",
        ),
        (("sysu-mm01", "--identities", 25, "--images", "1-1"), "4 training and 21 test people, "),
        (("regdb", "--identities", 4), "2 training and 2 test people, 80 images"),
        (("llcm", "--identities", 23, "--images", "1-1"), "2 training and 21 test people, "),
    ],
)
def test_synth_writes_in_every_format(ask, tmp_path, options, said):
    name, *chosen = options
    root = tmp_path / "set"
    written = ask("synth", root, "--format", name, "--frame-size", "16x16", "--workers", "1", *chosen)
    assert (written.code, written.err.strip()) == (0, "")
    assert written.out.startswith(f"{name}:{root}: {said}")
    assert written.out.rstrip().endswith("frames" if name == "bupt-campus" else "images")
    data = f"{name}:{root / 'lmdb'}?lmdb=true" if "--lmdb" in chosen else f"{name}:{root}"
    assert len(read_dataset(data).label_ids) == int(said.split()[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("regdb", "--tracklet-length", "12-24"), "tracklet_length does not act on regdb"),
        (("sysu-mm01", "--tracklets", "2-3"), "tracklets_per_modality does not act on sysu-mm01"),
        (("llcm", "--group-size", "2"), "group_size does not act on llcm"),
        (("llcm", "--cues", "gait"), "llcm holds single pictures, which show no motion"),
        (("regdb", "--images", "3-4"), "images_per_camera does not act on regdb"),
        (("sysu-mm01", "--images", "4"), "--images is '4'; expected two whole numbers as in 12-24"),
        (("hitsz-vcm", "--images", "1-2"), "images_per_camera does not act on hitsz-vcm"),
        (("hitsz-vcm", "--lmdb"), "lmdb does not act on hitsz-vcm"),
        (("sysu-mm01", "--identities", "24"), "identities is 24; expected at least 25 for sysu-mm01"),
    ],
)
def test_synth_refuses_what_does_not_act_on_a_format(ask, tmp_path, options, message):
    refused = ask("synth", tmp_path / "out", "--format", *options)
    assert (refused.code, message in refused.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_synth_refuses_a_folder_with_something_in_it(ask, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    refused = ask("synth", tmp_path, *TINY)
    assert (refused.code, str(tmp_path) in refused.err) == (1, True)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert ask("synth", tmp_path / "x", "--format", "market").code == 2
    assert ask("synth", tmp_path / "x", "--cues", "smell").code == 2
