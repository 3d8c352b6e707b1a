"""What holds for walkers in every format."""

import json

import numpy as np
import pytest
from PIL import Image

from tapetum.data.checking import check_files
from tapetum.data.datasets import read_dataset
from tapetum.data.synthetic import FORMATS, Population, WalkerOptions, _writing, write_walkers
from tapetum.data.synthetic.cast import Cast
from tapetum.types import Modality

#: People and options of a small set in each format.
SMALL = {
    "hitsz-vcm": (6, {"tracklet_length": (12, 12)}),
    "bupt-campus": (6, {"tracklet_length": (12, 12)}),
    "sysu-mm01": (25, {"images_per_camera": (1, 2)}),
    "regdb": (4, {}),
    "llcm": (23, {"images_per_camera": (1, 2)}),
}


def write(root, name, workers=1, progress=None, **options):
    people, small = SMALL[name]
    chosen = WalkerOptions(frame_size=(16, 16), **{**small, **options})
    return write_walkers(
        root, name, identities=people, seed=2, options=chosen, workers=workers, progress=progress
    )


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module", params=list(SMALL))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def calls():
    return []


@pytest.fixture(scope="module")
def written(name, calls, tmp_path_factory):
    calls.clear()
    root = tmp_path_factory.mktemp("walkers") / name
    return write(root, name, progress=lambda *call: calls.append(call))


def test_every_format_is_tried():
    assert set(SMALL) == set(FORMATS)


def test_readers_find_what_was_written(name, written, caplog):
    found = read_dataset(f"{name}:{written.root}")
    assert not caplog.records
    assert found.counts == ()  # published ones do not apply
    assert not list(check_files(found))
    tracklets = [*found.train, *found.test]
    pixels = [np.asarray(Image.open(tracklet.frames[0])) for tracklet in tracklets[::7]]
    for tracklet, picture in zip(tracklets[::7], pixels, strict=True):
        grey = bool((picture == picture[..., :1]).all())
        assert grey == (tracklet.modality is Modality.INFRARED)
    train_people = written.train_identities
    assert len(found.label_ids) == len(set(found.label_ids)) == train_people
    test_people = {tracklet.person_id for tracklet in found.test}
    assert len(test_people) == written.test_identities
    assert not test_people & set(found.label_ids)
    for person in found.label_ids:
        seen = {tracklet.modality for tracklet in found.train if tracklet.person_id == person}
        assert seen == set(Modality)


def test_pictures_do_not_depend_on_the_order_of_drawing(name, written):
    people, small = SMALL[name]
    options = WalkerOptions(frame_size=(16, 16), **small)
    plan = FORMATS[name].plan(2, people, None, options)
    again = {}
    for job in plan.jobs[::-9]:
        for paths, frame in zip(job.paths, plan.draw(job.what), strict=True):
            content = _writing._encode(frame, paths[0], options.jpeg_quality)
            again |= dict.fromkeys(paths, content)
    found = contents(written.root)
    assert again == {path: found[path] for path in again}
    assert dict(plan.files) == {path: found[path] for path in plan.files}
    assert len(found) == 1 + len(plan.files) + sum(len(paths) for job in plan.jobs for paths in job.paths)


def test_progress_counts_to_the_end(written, calls):
    done = [call[0] for call in calls]
    assert done == sorted(set(done))
    assert calls[-1] == (written.tracklets, written.tracklets)
    assert {call[1] for call in calls} == {written.tracklets}


def test_the_card_names_the_options_that_act(name, written):
    card = json.loads((written.root / "walkers.json").read_text())
    assert card["seed"] == 2
    assert card.get("format", "hitsz-vcm") == name
    assert set(card["options"]) == set(WalkerOptions.__dataclass_fields__) - set(FORMATS[name].refused)


@pytest.mark.slow
def test_workers_change_nothing(tmp_path, monkeypatch):
    write(tmp_path / "one", "llcm")
    monkeypatch.setattr(_writing, "_FRAMES_PER_WORKER", 1)
    write(tmp_path / "two", "llcm", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_nothing_is_left_of_a_stopped_run(name, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set", name, progress=stop)
    assert not list(tmp_path.iterdir())


def test_the_seed_and_the_options_change_pictures(name, written, tmp_path):
    people, small = SMALL[name]
    plans = [
        FORMATS[name].plan(seed, people, None, WalkerOptions(frame_size=(16, 16), **{**small, **options}))
        for seed, options in ((2, {}), (3, {}), (2, {"difficulty": "hard"}), (2, {"cues": "shape"}))
    ]
    pictures = [plan.draw(plan.jobs[0].what)[0] for plan in plans]
    assert all(not np.array_equal(pictures[0], other) for other in pictures[1:])


def test_the_same_seed_gives_the_same_people():
    cast = Cast(7, {"train": 2, "test": 1, "auxiliary": 1}, WalkerOptions())
    population = Population(7, 12)
    people = [cast.person(split, 0) for split in ("train", "test", "validation", "auxiliary")]
    assert people[:2] == [population.person(split, 0) for split in ("train", "test")]
    assert len({repr(person) for person in people}) == 4


def test_auxiliary_people_walk_in_their_own_way():
    cast = Cast(7, {"train": 9, "test": 9, "auxiliary": 9}, WalkerOptions(cues="gait"))
    splits = ("train", "test", "auxiliary")
    rates = {cast.person(split, index).gait.rates_hz for split in splits for index in range(9)}
    assert len(rates) == 27


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sysu-mm01", {"cues": "gait"}, "cues is 'gait'; sysu-mm01 holds single pictures"),
        ("regdb", {"tracklet_length": (12, 13)}, "tracklet_length does not act on regdb"),
        ("llcm", {"tracklets_per_modality": (1, 2)}, "tracklets_per_modality does not act on llcm"),
        ("llcm", {"short_tracklet_share": 0.5}, "short_tracklet_share does not act on llcm"),
        ("hitsz-vcm", {"images_per_camera": (2, 3)}, "images_per_camera does not act on hitsz-vcm"),
        ("hitsz-vmc", {}, "unknown format 'hitsz-vmc'; did you mean 'hitsz-vcm'"),
    ],
)
def test_what_does_not_act_is_refused(tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        write_walkers(tmp_path / "set", name, identities=30, seed=0, options=WalkerOptions(**options))
    assert not list(tmp_path.iterdir())


def test_lmdb_is_for_bupt_campus(tmp_path):
    with pytest.raises(ValueError, match="lmdb does not act on regdb: only bupt-campus"):
        write_walkers(tmp_path / "set", "regdb", identities=4, seed=0, lmdb=True)


def test_images_per_camera_is_a_range():
    with pytest.raises(ValueError, match=r"images_per_camera is \(3, 2\)"):
        WalkerOptions(images_per_camera=(3, 2))


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="seed is -1"):
        write_walkers(tmp_path / "set", "regdb", identities=4, seed=-1)
