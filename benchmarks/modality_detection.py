"""How well visible and infrared are told apart by pixels: the table of docs/datasets/manifest.md.

    python benchmarks/modality_detection.py

Walkers of two seeds and three difficulties, some in grey clothes, are made harder: faint colours on one side;
noise of its own in every channel, and tints, on the other. All are stored as JPEG with halved colour
resolution. Nothing is timed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tapetum.data.modality_detection import detect_modality
from tapetum.data.synthetic import Person, Population, WalkerOptions, render_tracklet
from tapetum.data.synthetic.materials import PALETTE, Material
from tapetum.types import Modality

Frames = NDArray[np.uint8]
Change = Callable[[Frames], Frames]

SURE = 0.9
PER_SETTING = 20
LUMINANCE = np.array([0.299, 0.587, 0.114])
ROWS: list[tuple[str, Modality, bool, int, Change]] = [
    ("visible", Modality.VISIBLE, False, 75, lambda f: f),
    ("visible, half the saturation", Modality.VISIBLE, False, 75, lambda f: fade(f, 0.5)),
    ("visible, a quarter of the saturation", Modality.VISIBLE, False, 75, lambda f: fade(f, 0.25)),
    ("visible, black, white and grey clothes", Modality.VISIBLE, True, 75, lambda f: f),
    ("the same at half the saturation", Modality.VISIBLE, True, 75, lambda f: fade(f, 0.5)),
    ("infrared", Modality.INFRARED, False, 75, lambda f: f),
    ("infrared, colour noise of 3 levels", Modality.INFRARED, False, 90, lambda f: add_noise(f, 3)),
    ("infrared, colour noise of 12 levels", Modality.INFRARED, False, 90, lambda f: add_noise(f, 12)),
    (
        "infrared, a cast of 12 levels",
        Modality.INFRARED,
        False,
        75,
        lambda f: tint(f, (1, 1, 1), (12, 0, 12)),
    ),
    ("infrared, gains 1.1, 1, 0.9", Modality.INFRARED, False, 75, lambda f: tint(f, (1.1, 1, 0.9))),
    ("infrared, gains 1.2, 1, 1.1", Modality.INFRARED, False, 75, lambda f: tint(f, (1.2, 1, 1.1))),
    (
        *("infrared, gains 0.9, 1.1, 0.9, noise, quality 50", Modality.INFRARED, False, 50),
        lambda f: add_noise(tint(f, (0.9, 1.1, 0.9)), 3),
    ),
]


def main() -> None:
    print(f"{'':52}{'tracklets':>10}{'right':>9}{'sure':>9}{'sure, wrong':>13}")
    drawn = {key: list(draw(*key)) for key in {(modality, grey) for _, modality, grey, _, _ in ROWS}}
    for what, modality, grey, quality, change in ROWS:
        guesses = [guess(change(frames), quality) for frames in drawn[modality, grey]]
        right = np.array([found is modality for found, _ in guesses])
        sure = np.array([certainty >= SURE for _, certainty in guesses])
        shares = (right.mean(), sure.mean(), (sure & ~right).mean())
        print(f"{what:52}{len(right):10}{shares[0]:9.1%}{shares[1]:9.1%}{shares[2]:13.1%}")


def draw(modality: Modality, grey: bool) -> Iterator[Frames]:
    for seed, level in product((0, 1), ("easy", "medium", "hard")):
        options = WalkerOptions(difficulty=level, tracklet_length=(12, 12), short_tracklet_share=0)
        people = Population(seed, 24, options)
        plans = [plan for plan in people.plan("test") if plan.modality is modality]
        for plan in plans[:PER_SETTING]:
            person = people.worn(plan)
            yield render_tracklet(undye(person) if grey else person, people.shot(plan))[[0, 3, 6, 9, 10]]


def undye(person: Person) -> Person:
    """The same person in black, white and grey, hair included."""
    black, white, middle = (Material(name, PALETTE[name], 100) for name in ("black", "white", "grey"))
    return replace(
        person,
        hair=black,
        upper=replace(person.upper, colour=middle, accent=white),
        lower=replace(person.lower, colour=black, accent=middle),
        shoes=black,
        bag=replace(person.bag, material=middle),
        hat=replace(person.hat, material=white),
    )


def fade(frames: Frames, saturation: float) -> Frames:
    grey = (frames @ LUMINANCE)[..., None]
    return as_bytes(grey + saturation * (frames - grey))


def tint(frames: Frames, gains: tuple[float, ...], offset: tuple[float, ...] = (0, 0, 0)) -> Frames:
    return as_bytes(frames * np.array(gains) + np.array(offset))


def add_noise(frames: Frames, levels: float) -> Frames:
    return as_bytes(frames + np.random.default_rng(0).normal(0, levels, frames.shape))


def as_bytes(frames: NDArray[np.float64]) -> Frames:
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)


def guess(frames: Frames, quality: int) -> tuple[Modality, float]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{number}.jpg") for number in range(len(frames))]
        for frame, path in zip(frames, paths, strict=True):
            Image.fromarray(frame).save(path, quality=quality, subsampling=2)
        found = detect_modality(paths)
    return found.modality, found.certainty


if __name__ == "__main__":
    main()
