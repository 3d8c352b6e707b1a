import numpy as np
import pytest
from PIL import Image

from tapetum.data.modality_detection import detect_modality, visible_probability
from tapetum.data.synthetic import Population, WalkerOptions
from tapetum.errors import DataError
from tapetum.types import Modality

GREY = np.random.default_rng(3).integers(0, 200, (64, 32, 1)).repeat(3, axis=2)
COLOURS = np.kron(np.random.default_rng(4).integers(0, 256, (8, 4, 3)), np.ones((8, 8, 1)))


def write(path, pixels, **options):
    Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8)).save(path, **options)
    return str(path)


@pytest.mark.parametrize(
    ("pixels", "seen"),
    [
        (COLOURS, Modality.VISIBLE),
        (GREY, Modality.INFRARED),
        (GREY + np.array([12, 0, 12]), Modality.INFRARED),
        (GREY * np.array([1.1, 1.0, 0.9]), Modality.INFRARED),
        (np.full((64, 32, 3), [180.0, 40, 40]), Modality.VISIBLE),  # an even colour that no night camera has
        (np.zeros((64, 32, 3)), Modality.INFRARED),
        (np.full((64, 32, 3), 255.0), Modality.INFRARED),
    ],
)
@pytest.mark.parametrize("options", [{"ending": "png"}, {"ending": "jpg", "quality": 50, "subsampling": 2}])
def test_colours_are_visible_and_tints_are_not(tmp_path, pixels, seen, options):
    given = dict(options)
    found = detect_modality([write(tmp_path / f"a.{given.pop('ending')}", pixels, **given)])
    assert found.modality is seen
    assert found.certainty > 0.9


@pytest.mark.parametrize("modality", Modality)
def test_walkers_are_told_apart_with_certainty(tmp_path, modality):
    """Medium difficulty: tinted visible cameras; stored with halved colour resolution."""
    people = Population(1, 6, WalkerOptions(frame_size=(64, 32), tracklet_length=(12, 12)))
    plans = [plan for plan in people.plan("test") if plan.modality is modality]
    for number, plan in enumerate(plans):
        frames = people.render(plan)[:3]
        paths = [
            write(tmp_path / f"{number}-{i}.jpg", frame, quality=75, subsampling=2)
            for i, frame in enumerate(frames)
        ]
        found = detect_modality(paths)
        assert found.modality is modality
        assert found.certainty > 0.9


def test_faint_colours_make_it_unsure_then_wrong(tmp_path):
    """The certainty falls to nothing at the threshold before the answer turns."""
    grey = COLOURS.mean(axis=2, keepdims=True)
    certainties = []
    for share in (1.0, 0.3, 0.05, 0.035, 0.0):
        pixels = grey + share * (COLOURS - grey)
        found = detect_modality([write(tmp_path / f"{share}.png", pixels)])
        certainties.append(found.certainty if found.modality is Modality.VISIBLE else -found.certainty)
    assert certainties == sorted(certainties, reverse=True)
    assert certainties[0] > 0.99
    assert abs(certainties[3]) < 0.5
    assert certainties[-1] == -1.0


def test_the_probability_is_that_of_a_hand_worked_frame():
    """Red minus green is 0, 2, 8, 4 over luminances 0, 1, 2, 3 but for what red adds; blue equals green.

    The least squares line through these four has slope 1.8, cut to 0.25. What is left of the centred
    differences -3.5, -1.5, 4.5, 0.5 after 0.25 times the centred luminances, -1.5 to 1.5 and a little, is
    about -3.125, -1.375, 4.375, 0.125.
    """
    base = np.array([100.0, 100, 100, 100])
    red = np.array([0.0, 2, 8, 4])
    green = base + np.arange(4) - 0.299 * red  # luminance 100, 101, 102, 103
    frame = np.stack([green + red, green, green])
    left = np.array([-3.125, -1.375, 4.375, 0.125])
    evidence = (np.sqrt((left**2).sum() / 8) / 2.5) ** 5
    found = visible_probability(frame.reshape(3, 2, 2))
    assert found == pytest.approx(evidence / (1 + evidence), rel=1e-6)


def test_two_flat_colours_are_no_tint():
    frame = np.full((3, 16, 8), 128, dtype=np.uint8)
    frame[:, 4:12, 2:6] = np.array([120, 80, 60])[:, None, None]
    assert visible_probability(frame) > 0.95


def test_frames_that_disagree_leave_little_certainty(tmp_path):
    day = write(tmp_path / "day.png", COLOURS)
    night = write(tmp_path / "night.png", GREY)
    assert detect_modality([day, night]).certainty < 0.01
    two_days = detect_modality([day, night, day])
    assert two_days.modality is Modality.VISIBLE
    assert two_days.certainty == pytest.approx(1 / 3, abs=0.01)


def test_frames_are_spread_and_unreadable_ones_are_passed_over(tmp_path):
    """Of ten frames, five at places 1, 3, 5, 7 and 9 are looked at: all others are missing."""
    paths = [str(tmp_path / f"{i}.png") for i in range(10)]
    for i in (1, 3, 5, 9):
        write(paths[i], GREY)
    assert detect_modality(paths).modality is Modality.INFRARED
    write(paths[7], COLOURS)
    assert detect_modality(paths).certainty == pytest.approx(0.6, abs=0.01)
    with pytest.raises(DataError, match=r"0\.png: cannot read a picture: no such file"):
        detect_modality(paths[:1])
    with pytest.raises(DataError, match="no frames"):
        detect_modality([])
    with pytest.raises(ValueError, match="look_at is 0"):
        detect_modality(paths, look_at=0)
