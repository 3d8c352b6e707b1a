"""What can be chosen about the walkers: how hard, how many frames, and which cues tell people apart."""

from dataclasses import dataclass
from typing import Literal, get_args

Cues = Literal["appearance", "shape", "gait"]

DIFFICULTY_LEVELS: dict[str, float] = {"easy": 0.2, "medium": 0.5, "hard": 0.8}

#: HITSZ-VCM drops shorter tracklets everywhere, so the regular ones are at least this long.
MIN_KEPT_FRAMES = 12

#: Seconds between two listed frames: every fifth frame at 25 frames per second.
FRAME_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class WalkerOptions:
    """How the walkers are drawn.

    Args:
        difficulty: 0 (clean) to 1 (very noisy), or a key of `DIFFICULTY_LEVELS`. Scales viewpoint spread,
            clutter, occlusion, crop jitter, exposure, blur and noise.
        cues: what differs between people. "appearance": everything. "shape": body, outline, accessories and
            gait; colours and reflectances are redrawn per tracklet. "gait": only rates of motion; poses,
            looks and amplitudes are those of the group.
        frame_size: height and width of a frame, pixels.
        tracklet_length: shortest and longest regular tracklet, frames, at least 12.
        tracklets_per_modality: fewest and most regular tracklets per identity and modality.
        short_tracklet_share: probability that an identity has one more, shorter tracklet in a modality.
        group_size: with cues "gait", how many consecutive people look alike; None means all of them.
        jpeg_quality: 1 to 95.
        images_per_camera: fewest and most pictures of an identity by a camera in one modality, in formats of
            single pictures; None means the format's own numbers.

    Raises:
        ValueError: if a value is out of its range.
    """

    difficulty: float | str = "medium"
    cues: Cues = "appearance"
    frame_size: tuple[int, int] = (96, 48)
    tracklet_length: tuple[int, int] = (12, 24)
    tracklets_per_modality: tuple[int, int] = (2, 3)
    short_tracklet_share: float = 0.15
    group_size: int | None = None
    jpeg_quality: int = 95
    images_per_camera: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        _check_difficulty(self.difficulty)
        if self.cues not in get_args(Cues):
            raise ValueError(f"cues is {self.cues!r}; expected one of {', '.join(get_args(Cues))}")
        _check_range("frame_size", min(self.frame_size), 16, max(self.frame_size), 1024)
        _check_range(
            "tracklet_length", self.tracklet_length[0], MIN_KEPT_FRAMES, self.tracklet_length[1], 1000
        )
        _check_range("tracklets_per_modality", *_bounds(self.tracklets_per_modality, 1, 8))
        if not 0.0 <= self.short_tracklet_share <= 1.0:
            raise ValueError(f"short_tracklet_share is {self.short_tracklet_share}; expected 0 to 1")
        if self.group_size is not None and self.group_size < 2:
            raise ValueError(f"group_size is {self.group_size}; expected at least 2, or None for one group")
        if self.images_per_camera is not None:
            _check_range("images_per_camera", *_bounds(self.images_per_camera, 1, 1000))
        if not 1 <= self.jpeg_quality <= 95:
            raise ValueError(f"jpeg_quality is {self.jpeg_quality}; expected 1 to 95")

    @property
    def level(self) -> float:
        """The difficulty as a number from 0 to 1."""
        return (
            DIFFICULTY_LEVELS[self.difficulty] if isinstance(self.difficulty, str) else float(self.difficulty)
        )

    @property
    def nuisance(self) -> float:
        """The level for whatever hides the person; halved where motion is the only cue."""
        return self.level * (0.5 if self.cues == "gait" else 1.0)


def _check_difficulty(difficulty: float | str) -> None:
    if isinstance(difficulty, str):
        if difficulty not in DIFFICULTY_LEVELS:
            raise ValueError(
                f"difficulty is {difficulty!r}; expected 0 to 1 or one of {', '.join(DIFFICULTY_LEVELS)}"
            )
    elif not 0.0 <= difficulty <= 1.0:
        raise ValueError(f"difficulty is {difficulty}; expected 0 to 1")


def _bounds(pair: tuple[int, int], lowest: int, highest: int) -> tuple[int, int, int, int]:
    return pair[0], lowest, pair[1], highest


def _check_range(name: str, smaller: int, lowest: int, larger: int, highest: int) -> None:
    if not lowest <= smaller <= larger <= highest:
        raise ValueError(
            f"{name} is ({smaller}, {larger}); expected {lowest} <= first <= second <= {highest}"
        )
