"""Protocols from beginning to end against plain loops: who is in which list, who is left out, what comes out.

Nothing here uses the package's own parts but the call under test: galleries are drawn from the words of
numpy's Mersenne Twister, lists are walked item by item.
"""

from itertools import product

import numpy as np
import pytest
from scipy.io import savemat

from tapetum.evaluation import evaluate
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

VIS, IR = Modality.VISIBLE, Modality.INFRARED


class Draw:
    """Python's `choice` and `sample`, from 32-bit words."""

    def __init__(self, seed):
        self.words = np.random.RandomState()
        self.words.seed([seed])

    def below(self, n):
        bits = n.bit_length()
        while True:
            word = int(self.words.randint(0, 2**32, dtype=np.uint64)) >> (32 - bits)
            if word < n:
                return word

    def sample(self, items, count):
        """`count` of at most 21 items: the drawn one's place is taken by the last that is left."""
        pool, found = list(items), []
        assert count == 1 or len(pool) <= 21
        for left in range(len(pool), len(pool) - count, -1):
            place = self.below(left)
            found.append(pool[place])
            pool[place] = pool[left - 1]
        return found


def test_the_words_are_those_of_the_published_table():
    assert int(Draw(0).words.randint(0, 2**32, dtype=np.uint64)) == 3626764237
    words = Draw(9).words
    assert [int(words.randint(0, 2**32, dtype=np.uint64)) for _ in range(3)] == [
        1988601454,
        2633739374,
        1603362544,
    ]


def walk(query, gallery, near, is_left_out, by_person):
    """(first rank, AP, INP) of one query, or None; `near(q, g)` is larger for nearer items."""
    order = sorted(range(len(gallery)), key=lambda i: -near(query, gallery[i]))  # stable
    kept = [gallery[i] for i in order if not is_left_out(query, gallery[i])]
    me = query.person_id
    places = [k for k, g in enumerate(kept, start=1) if me is not None and g.person_id == me]
    if not places:
        return None
    before = [g.person_id for g in kept[: places[0] - 1]]
    unknown = sum(p is None for p in before)
    people = len({p for p in before if p is not None}) + unknown
    precision = sum(j / p for j, p in enumerate(places, start=1)) / len(places)
    return 1 + (people if by_person else len(before)), precision, len(places) / places[-1]


def check(result, found, max_rank=20):
    """A trial's scores against what walking its lists gave."""
    valid = [one for one in found if one is not None]
    scores = result.scores
    assert (scores.queries, scores.skipped) == (len(valid), len(found) - len(valid))
    assert scores.first_rank.tolist() == [0 if one is None else one[0] for one in found]
    expected = [[np.nan] * 2 if one is None else one[1:] for one in found]
    np.testing.assert_allclose(
        np.stack([scores.average_precision, scores.inp], axis=1), expected, rtol=0, atol=1e-13
    )
    assert scores.mean_ap == pytest.approx(sum(one[1] for one in valid) / len(valid), abs=1e-12)
    assert scores.mean_inp == pytest.approx(sum(one[2] for one in valid) / len(valid), abs=1e-12)
    hits = [sum(one[0] <= rank for one in valid) / len(valid) for rank in range(1, max_rank + 1)]
    assert scores.cmc.tolist() == hits


class Case:
    """Test images in mixed order with vectors whose products are whole numbers: ties are exact."""

    def __init__(self, name, images, seed, levels):
        rng = np.random.default_rng(seed)
        images = [images[int(i)] for i in rng.permutation(len(images))]
        self.tracklets = TrackletSet(name, tuple(images))
        vectors = rng.integers(-levels, levels + 1, (len(images), 4)).astype(np.float32)
        vectors[~vectors.any(axis=1)] = 1  # an embedding of zeros is refused
        self.embeddings = Embeddings(vectors, self.tracklets)
        self.vector = {t.tracklet_id: v.astype(int).tolist() for t, v in zip(images, vectors, strict=True)}

    def near(self, one, other):
        pairs = zip(self.vector[one.tracklet_id], self.vector[other.tracklet_id], strict=True)
        return sum(a * b for a, b in pairs)

    def run(self, query, gallery, is_left_out, by_person):
        return [walk(q, gallery, self.near, is_left_out, by_person) for q in query]

    def of(self, modality, *parts):
        return [
            t for t in self.tracklets if t.modality is modality and t.part in (parts or ("query", "gallery"))
        ]

    def check(self, protocol, trials, **options):
        """`trials`: (name, query, gallery, what is left out, whether people count) of each."""
        results = evaluate(self.embeddings, protocol, **options).results
        assert [r.name for r in results] == [name for name, *_ in trials]
        for result, (_, query, gallery, *rules) in zip(results, trials, strict=True):
            for rows, wanted in ((result.trial.query, query), (result.trial.gallery, gallery)):
                shown = [self.tracklets[int(row)].tracklet_id for row in rows]
                assert shown == [t.tracklet_id for t in wanted]
            check(result, self.run(query, gallery, *rules))


def image(person, camera, number, modality, part, name="cam{camera}/{person:04d}/{number:04d}.jpg"):
    path = name.format(camera=camera, person=person, number=number)
    return Tracklet(path, (), modality, person, camera, part=part)


def nothing(query, gallery):
    return False


def own_camera(query, gallery):
    return query.person_id == gallery.person_id and query.camera_id == gallery.camera_id


def camera_two_from_camera_three(query, gallery):
    return query.camera_id == 3 and gallery.camera_id == 2


SYSU = {1: VIS, 2: VIS, 3: IR, 4: VIS, 5: VIS, 6: IR}


def sysu(seed, levels, fewest=1):
    """Eight people, some absent from cameras, one from both indoor ones; folders of 1, 2^k - 1 and 2^k."""
    rng = np.random.default_rng(seed)
    images = []
    for person, camera in product((6, 10, 17, 101, 24, 333, 7, 40), SYSU):
        if (person == 10 and camera in (1, 2)) or (camera != 1 and rng.random() < 0.2):
            continue
        count = max(fewest, int(rng.choice([1, 2, 3, 4, 7, 8, 13])))
        part = "query" if SYSU[camera] is IR else "gallery"
        images += [image(person, camera, n, SYSU[camera], part) for n in range(1, count + 1)]
    return Case("sysu-mm01/test", images, seed, levels)


def folder(case, person, camera):
    found = [t for t in case.tracklets if (t.person_id, t.camera_id) == (person, camera)]
    return sorted(found, key=lambda t: t.tracklet_id)


def people(case):
    return sorted({t.person_id for t in case.tracklets})


def everything(case, cameras):
    return [t for p in people(case) for c in cameras for t in folder(case, p, c)]


def drawn(case, cameras, seed, shots=1):
    draw, gallery = Draw(seed), []
    for person, camera in product(people(case), cameras):
        if there := folder(case, person, camera):
            gallery += draw.sample(there, shots)
    return gallery


@pytest.mark.parametrize(("seed", "levels"), [(0, 1), (1, 2000)])
@pytest.mark.parametrize(("search", "cameras"), [("all", (1, 2, 4, 5)), ("indoor", (1, 2))])
@pytest.mark.parametrize(("shot", "shots"), [("single", 1), ("multi", 10)])
def test_sysu_drawn(search, cameras, shot, shots, seed, levels):
    case = sysu(seed, levels, fewest=shots)
    query = everything(case, (3, 6))
    rules = (camera_two_from_camera_three, True)
    first = 3 * seed
    trials = [(f"I2V {t + 1}", query, drawn(case, cameras, 10 * first + t, shots), *rules) for t in range(10)]
    case.check(f"sysu-mm01/{search}-{shot}-drawn", trials, seed=first)
    if (search, shot) == ("all", "single"):
        case.check("sysu-mm01", trials, seed=first)


@pytest.mark.parametrize("levels", [1, 2000])
@pytest.mark.parametrize(("search", "cameras"), [("all", (1, 2, 4, 5)), ("indoor", (1, 2))])
@pytest.mark.parametrize(("shot", "shots"), [("single", 1), ("multi", 10)])
def test_sysu_official(search, cameras, shot, shots, levels, tmp_path):
    case = sysu(5, levels, fewest=shots)
    rng = np.random.default_rng(5)
    listed = {}
    cells = np.empty((6, 1), dtype=object)
    for camera in SYSU:
        cells[camera - 1, 0] = np.empty((333, 1), dtype=object)
        for person in range(1, 334):
            count = len(folder(case, person, camera))
            rows = [rng.permutation(count) + 1 for _ in range(10)]
            listed[person, camera] = rows
            cells[camera - 1, 0][person - 1, 0] = np.array(rows, dtype=np.uint8).reshape(10, count)
    (tmp_path / "exp").mkdir()
    savemat(tmp_path / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": cells})
    trials = []
    for t in range(10):
        gallery = []
        for camera, person in product(cameras, people(case)):
            there = {int(g.tracklet_id[-8:-4]): g for g in folder(case, person, camera)}
            gallery += [there[n] for n in listed[person, camera][t][:shots].tolist()]
        trials.append((f"I2V {t + 1}", everything(case, (3, 6)), gallery, camera_two_from_camera_three, True))
    case.check(f"sysu-mm01/{search}-{shot}-official", trials, root=tmp_path)


LLCM = "test_{kind}/cam{camera}/{person:04d}/{person:04d}_c{camera:02d}_s{number:06d}_f{number}_{kind}.jpg"
LLCM_CAMERAS = {VIS: range(1, 10), IR: (1, 2, 4, 5, 6, 7, 8, 9)}


def llcm(seed, levels):
    """Six people; person 3 is in one camera alone, so that all of its pairs are left out."""
    rng = np.random.default_rng(seed)
    images = []
    for kind, modality in (("vis", VIS), ("nir", IR)):
        name = LLCM.replace("{kind}", kind)
        for person, camera in product((3, 12, 100, 8, 1064, 77), LLCM_CAMERAS[modality]):
            if (rng.random() < 0.4 and person != 3) or (person == 3 and camera != 2):
                continue
            images += [
                image(person, camera, n, modality, "query" if modality is IR else "gallery", name)
                for n in range(int(rng.integers(1, 6)))
            ]
    return Case("llcm/test", images, seed, levels)


def by_folder(case, modality):
    """Images of one modality: by person, camera and name."""
    found = [t for t in case.tracklets if t.modality is modality]
    return sorted(found, key=lambda t: (t.person_id, t.camera_id, t.tracklet_id))


def drawn_of(case, modality, seed):
    draw, gallery = Draw(seed), []
    for person, camera in product(people(case), range(1, 10)):
        there = [t for t in by_folder(case, modality) if (t.person_id, t.camera_id) == (person, camera)]
        gallery += draw.sample(there, 1) if there else []
    return gallery


@pytest.mark.parametrize(("seed", "levels"), [(0, 1), (1, 2000), (2, 2)])
def test_llcm(seed, levels):
    case = llcm(seed, levels)
    draws = {m: [drawn_of(case, m, t) for t in range(10)] for m in Modality}
    rules = (own_camera, True)
    plain = [(f"I2V {t + 1}", by_folder(case, IR), draws[VIS][t], *rules) for t in range(10)]
    plain += [(f"V2I {t + 1}", by_folder(case, VIS), draws[IR][t], *rules) for t in range(10)]
    case.check("llcm", plain)
    swapped = [(f"V2I swapped {t + 1}", draws[IR][t], by_folder(case, VIS), *rules) for t in range(10)]
    case.check("llcm/swapped", swapped)
    found = evaluate(case.embeddings, "llcm").scores, evaluate(case.embeddings, "llcm/swapped").scores
    assert found[0]["V2I 1"].mean_ap != found[1]["V2I swapped 1"].mean_ap
    assert found[0]["I2V 1"].skipped > 0  # person 3


@pytest.mark.parametrize(("seed", "levels"), [(0, 1), (1, 2000), (2, 2)])
def test_regdb(seed, levels):
    rng = np.random.default_rng(seed)
    images = []
    for person, (modality, camera) in product((1, 285, 31, 44), ((VIS, 1), (IR, 2))):
        part = "query" if modality is VIS else "gallery"
        name = modality.value + "/{person}/{number}.bmp"
        images += [image(person, camera, n, modality, part, name) for n in range(int(rng.integers(2, 11)))]
    case = Case("regdb?trial=7/test", images, seed, levels)
    for protocol, by_person in (("regdb", False), ("regdb/by-person", True)):
        pairs = ("V2I 7", VIS, IR), ("I2V 7", IR, VIS)
        case.check(protocol, [(name, case.of(q), case.of(g), nothing, by_person) for name, q, g in pairs])


def campus(seed, levels, people=70):
    """A query tracklet of each person, two or three of either modality in the gallery; shared cameras."""
    rng = np.random.default_rng(seed)
    images = []
    for person in range(people):
        name = "{person}/{camera}/{number}"
        images.append(image(person, "CQ1", 0, VIS if person % 10 else IR, "query", name))
        for number, camera in enumerate(rng.permutation(["CQ1", "W4", "LS3"])[: int(rng.integers(2, 4))]):
            for modality in Modality:
                place = f"{modality.value}/{name}"
                images.append(image(person, str(camera), number, modality, "gallery", place))
    return Case("bupt-campus/test", images, seed, levels)


@pytest.mark.parametrize(("seed", "levels"), [(0, 1), (1, 2000)])
def test_bupt_campus(seed, levels):
    case = campus(seed, levels)
    q = {m: case.of(m, "query") for m in Modality}
    g = {m: case.of(m, "gallery") for m in Modality}
    assert len(q[VIS]) == 63
    case.check(
        "bupt-campus", [("V2I", q[VIS], g[IR], nothing, False), ("I2V", q[IR], g[VIS], nothing, False)]
    )
    case.check(
        "bupt-campus/camera-rule",
        [("V2I", q[VIS], g[IR], own_camera, False), ("I2V", q[IR], g[VIS], own_camera, False)],
    )
    case.check(
        "bupt-campus/same-modality",
        [("V2V", q[VIS], g[VIS], nothing, False), ("I2I", q[IR], g[IR], nothing, False)],
    )
    parts = [[t for t in case.tracklets if t.part == part] for part in ("query", "gallery")]
    case.check("bupt-campus/all-modalities", [("all", *parts, nothing, False)])


def test_bupt_campus_truncated():
    case = campus(3, 5, people=75)
    q = {m: case.of(m, "query") for m in Modality}
    g = {m: case.of(m, "gallery") for m in Modality}
    assert len(q[VIS]) == 67
    kept = len(g[VIS]) - len(g[VIS]) % 64
    assert 0 < kept < len(g[VIS])
    case.check(
        "bupt-campus/truncated",
        [("V2I", q[VIS][:64], g[IR], nothing, False), ("I2V", q[IR], g[VIS][:kept], nothing, False)],
    )


def mixed(seed, levels, unknown):
    """People in both modalities, cameras shared by them, and strangers."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(90):
        person = None if number % 9 == 0 and unknown else int(rng.integers(-1, 12))
        modality = list(Modality)[int(rng.integers(2))]
        part = ("query", "gallery", "gallery", "train")[int(rng.integers(4))]
        images.append(Tracklet(str(number), (), modality, person, int(rng.integers(3)), part=part))
    return Case("manifest/test", images, seed, levels)


@pytest.mark.parametrize("levels", [1, 2000])
@pytest.mark.parametrize("seed", range(3))
def test_manifest_and_market1501(seed, levels):
    case = mixed(seed, levels, unknown=True)
    known = {m: [t for t in case.of(m) if t.person_id is not None] for m in Modality}
    rules = (own_camera, False)
    case.check(
        "manifest", [("I2V", known[IR], case.of(VIS), *rules), ("V2I", known[VIS], case.of(IR), *rules)]
    )
    parts = [[t for t in case.tracklets if t.part == part] for part in ("query", "gallery")]
    case.check("market1501", [("query to gallery", *parts, *rules)])


@pytest.mark.parametrize("levels", [1, 2000])
def test_hitsz_vcm(levels):
    case = mixed(4, levels, unknown=False)
    rows = [t for t in case.tracklets if (t.modality is IR) == (t.part == "query")]
    case = Case("hitsz-vcm/test", rows, 4, levels)
    q, g = case.of(IR, "query"), case.of(VIS, "gallery")
    rules = (own_camera, False)
    case.check("hitsz-vcm", [("I2V", q, g, *rules), ("V2I", g, q, *rules)])
