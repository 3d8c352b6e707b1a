from itertools import product

import numpy as np
import pytest
from scipy.io import savemat

from tapetum.errors import DataError
from tapetum.evaluation import create_protocol, evaluate, protocol_names
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

VIS, IR = Modality.VISIBLE, Modality.INFRARED
CAMERAS = {1: VIS, 2: VIS, 3: IR, 4: VIS, 5: VIS, 6: IR}


def images(counts) -> TrackletSet:
    """`counts`: (person, camera) -> number of images."""
    return TrackletSet(
        "sysu-mm01/test",
        tuple(
            Tracklet(
                f"cam{c}/{p:04d}/{n:04d}.jpg",
                (),
                CAMERAS[c],
                p,
                c,
                part="query" if CAMERAS[c] is IR else "gallery",
            )
            for (p, c), count in counts.items()
            for n in range(1, count + 1)
        ),
    )


def true_sizes() -> TrackletSet:
    """As many people in each combination of cameras as the true test set has; few images of each."""
    seen = [(53, "123456"), (37, "3456"), (2, "12456"), (1, "456"), (1, "346"), (1, "12356"), (1, "356")]
    cameras = [combination for people, combination in seen for _ in range(people)]
    return images({(6 + p, int(c)): 10 for p, combination in enumerate(cameras) for c in combination})


@pytest.mark.parametrize(("search", "single", "multi"), [("all", 301, 3010), ("indoor", 112, 1120)])
def test_galleries_have_the_published_sizes(search, single, multi):
    tracklets = true_sizes()
    for shot, size in (("single", single), ("multi", multi)):
        trials = create_protocol(f"sysu-mm01/{search}-{shot}-drawn").trials(tracklets)
        assert [len(t.gallery) for t in trials] == [size] * 10
        assert {len(t.query) for t in trials} == {sum(t.modality is IR for t in tracklets)}
        assert all(len(set(t.gallery.tolist())) == size for t in trials)
        assert len({tuple(t.gallery.tolist()) for t in trials}) == 10
    people = {tracklets[int(row)].person_id for row in trials[0].gallery}
    assert len(people) == {"all": 96, "indoor": 56}[search]


def test_rules_and_names():
    trials = create_protocol("sysu-mm01").trials(images({(6, c): 2 for c in CAMERAS}))
    assert [t.name for t in trials] == [f"I2V {n}" for n in range(1, 11)]
    assert {(t.direction, t.count, t.same_camera, t.hidden_cameras) for t in trials} == {
        ("I2V", "identities", True, ((3, 2),))
    }
    eight = {
        f"sysu-mm01/{a}-{b}-{c}"
        for a, b, c in product(("all", "indoor"), ("single", "multi"), ("drawn", "official"))
    }
    assert {n for n in protocol_names() if n.startswith("sysu-mm01/")} == eight


def test_a_listing_in_another_order_gives_the_same_galleries():
    tracklets = images({(p, c): 5 for p in (6, 9, 10, 333) for c in CAMERAS})
    order = np.random.default_rng(0).permutation(len(tracklets))
    shuffled = TrackletSet("other order", tuple(tracklets[int(i)] for i in order))
    for name in ("sysu-mm01", "sysu-mm01/indoor-single-drawn"):
        found = [
            [[s[int(row)].tracklet_id for row in t.gallery] for t in create_protocol(name).trials(s)]
            for s in (tracklets, shuffled)
        ]
        assert found[0] == found[1]


def test_training_tracklets_take_no_part():
    tracklets = images({(p, c): 3 for p in (6, 9) for c in CAMERAS})
    train = tuple(Tracklet(f"cam1/0001/{n}.jpg", (), VIS, 1, 1, part="train") for n in range(3))
    more = TrackletSet("more", (*train, *tracklets))
    galleries = [create_protocol("sysu-mm01").trials(s)[4].gallery for s in (tracklets, more)]
    assert (galleries[0] + 3).tolist() == galleries[1].tolist()


def embed(tracklets, seed=0) -> Embeddings:
    vectors = np.random.default_rng(seed).standard_normal((len(tracklets), 8)).astype(np.float32)
    return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), tracklets)


def test_images_of_camera_two_do_not_touch_queries_of_camera_three():
    """Other people's images in the place of camera 3 count for queries of camera 6 alone."""
    few = images({(p, c): 2 for p in (1, 2, 3) for c in CAMERAS})
    more = TrackletSet("more", (*few, *images({(p, 2): 1 for p in range(50, 80)})))
    vectors = embed(more).vectors
    found = [
        evaluate(Embeddings(vectors[: len(s)], s), "sysu-mm01/indoor-single-drawn").results[0]
        for s in (few, more)
    ]
    seen_by = np.array([few[int(row)].camera_id for row in found[0].trial.query])
    values = [r.scores.average_precision for r in found]
    assert values[0][seen_by == 3].tolist() == values[1][seen_by == 3].tolist()
    assert (values[1][seen_by == 6] < values[0][seen_by == 6]).any()


@pytest.fixture
def permutations(tmp_path):
    """Write `exp/rand_perm_cam.mat` from (person, camera) -> 10 rows, changed by `spoil`; gives the root."""

    def write(counts, spoil=None, people=12):
        cells = np.empty((6, 1), dtype=object)
        for c in CAMERAS:
            cells[c - 1, 0] = np.empty((people, 1), dtype=object)
            for p in range(1, people + 1):
                rows = [np.roll(np.arange(1, counts.get((p, c), 0) + 1), t) for t in range(10)]
                cells[c - 1, 0][p - 1, 0] = np.array(rows, dtype=np.uint8).reshape(10, -1)
        if spoil is not None:
            spoil(cells)
        (tmp_path / "exp").mkdir(exist_ok=True)
        savemat(tmp_path / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": cells})
        return tmp_path

    return write


COUNTS = {(p, c): 10 + p for p in (6, 9) for c in CAMERAS}


def test_official_galleries_go_by_camera_then_person(permutations):
    tracklets = images(COUNTS)
    trials = create_protocol("sysu-mm01/indoor-multi-official").trials(tracklets, root=permutations(COUNTS))
    names = [tracklets[int(row)].tracklet_id for row in trials[2].gallery]
    turned = [[(n - 2) % (10 + p) + 1 for n in range(10)] for p in (6, 9)]
    assert names == [
        f"cam{c}/{p:04d}/{n:04d}.jpg"
        for c in (1, 2)
        for p, order in zip((6, 9), turned, strict=True)
        for n in order
    ]


def test_official_variants_need_the_folder_and_no_seed(permutations, tmp_path):
    protocol = create_protocol("sysu-mm01/all-single-official")
    with pytest.raises(
        ValueError, match=r"all-single-official needs the data set's folder \(root=, --root\)"
    ):
        protocol.trials(images(COUNTS))
    with pytest.raises(
        FileNotFoundError, match=r"rand_perm_cam\.mat: no such file; the official permutations"
    ):
        protocol.trials(images(COUNTS), root=tmp_path)
    with pytest.raises(ValueError, match="draws nothing; seed is 3"):
        protocol.trials(images(COUNTS), seed=3, root=permutations(COUNTS))


def replaced(camera, person, matrix):
    def spoil(cells):
        cells[camera - 1, 0][person - 1, 0] = np.array(matrix, dtype=np.uint8)

    return spoil


@pytest.mark.parametrize(
    ("changes", "spoil", "message"),
    [
        (
            {},
            replaced(4, 9, [[1, 2]] * 10),
            "camera 4, person 9, trial 1: lists 2 images; expected at least 10",
        ),
        ({}, replaced(4, 9, np.zeros((10, 0))), "camera 4, person 9, trial 1: lists 0 images"),
        (
            {},
            replaced(5, 6, [[1, 2, 3, 3]] * 10),
            r"camera 5, person 6, trial 1: \[1, 2, 3, 3\] is no permutation",
        ),
        (
            {},
            replaced(1, 6, [list(range(1, 17))] * 4),
            "camera 1, person 6, trial 5: a uint8 .4, 16.; expected",
        ),
        ({(13, 1): 20}, None, "camera 1, person 13, trial 1: not in the file"),
        (
            {(9, 2): 3},
            None,
            r"trial 1 asks for image 4 of person 0009 in camera 2; sysu-mm01/test has 3 others",
        ),
    ],
)
def test_permutations_that_do_not_fit_are_named(permutations, changes, spoil, message):
    root = permutations(COUNTS, spoil)
    with pytest.raises(DataError, match=message) as caught:
        create_protocol("sysu-mm01/all-multi-official").trials(images({**COUNTS, **changes}), root=root)
    assert str(root / "exp" / "rand_perm_cam.mat") in str(caught.value)


def test_files_that_are_no_permutations(tmp_path):
    (tmp_path / "exp").mkdir()
    file = tmp_path / "exp" / "rand_perm_cam.mat"
    protocol = create_protocol("sysu-mm01/all-single-official")
    for content in (b"", b"no MATLAB file", bytes(range(256)) * 8):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"rand_perm_cam\.mat: not a MATLAB file"):
            protocol.trials(images(COUNTS), root=tmp_path)
    for content in ({"id": np.arange(3)}, {"rand_perm_cam": np.arange(6)}):
        savemat(file, content)
        with pytest.raises(DataError, match=r"rand_perm_cam\.mat: holds no cell array rand_perm_cam"):
            protocol.trials(images(COUNTS), root=tmp_path)


def test_a_camera_without_cells_and_numbers_that_do_not_count(permutations):
    def flat(cells):
        cells[2, 0] = np.ones((10, 3))

    def odd(cells):
        cells[3, 0][8, 0] = np.array([[1, 2, np.nan]] * 10)

    for spoil, message in (
        (flat, r"camera 3: a float64 \(10, 3\); expected a cell array of one matrix per person"),
        (odd, r"camera 4, person 9, trial 1: \[1\.0, 2\.0, nan\] is no permutation of 1 to 3"),
    ):
        root = permutations(COUNTS, spoil)
        with pytest.raises(DataError, match=rf"rand_perm_cam\.mat: {message}"):
            create_protocol("sysu-mm01/all-single-official").trials(images(COUNTS), root=root)


def test_a_truncated_file_is_refused(permutations):
    root = permutations(COUNTS)
    file = root / "exp" / "rand_perm_cam.mat"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"rand_perm_cam\.mat"):
        create_protocol("sysu-mm01/all-single-official").trials(images(COUNTS), root=root)


def test_images_that_are_not_named_by_a_number(permutations):
    odd = Tracklet("cam1/0006/front.jpg", (), VIS, 6, 1)
    with pytest.raises(ValueError, match=r"cam1/0006/front\.jpg is not named by a number"):
        create_protocol("sysu-mm01/all-single-official").trials(
            TrackletSet("odd", (*images(COUNTS), odd)), root=permutations(COUNTS)
        )
