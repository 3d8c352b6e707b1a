"""A crowd with captions: what the stand-in for CLIP's weights is pretrained on."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.cameras import CAMERA_IDS, camera_modality, create_camera, sample_shot
from tapetum.data.synthetic.captions import caption
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.people import Person, sample_person
from tapetum.data.synthetic.render import render_tracklet
from tapetum.types import Modality

_ROOT = 0x7A9E_7C4D_51A1_D0F3_90C2_11E8
"""Root of the seeds of all people in crowds. Data sets take their people from the small seeds that users
give, so nobody in a data set is ever seen in a crowd."""
_TRAIN_KEY, _UNSEEN_KEY = 1, 2


@dataclass(frozen=True, slots=True)
class CrowdOptions:
    """Who is drawn, and how.

    Attributes:
        people: How many.
        views: Frames of each in a modality, from different cameras.
        captions: Sentences about each; the first is the full one.
        frame_size: Height and width in pixels.
        seed: Of everyone.
        unseen: People that no pretraining meets, in infrared too.
    """

    people: int
    views: int
    captions: int
    frame_size: tuple[int, int]
    seed: int
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class Crowd:
    """People, pictures and sentences.

    Attributes:
        visible: uint8 `[I, V, 3, H, W]`.
        infrared: uint8 `[I, V, 3, H, W]`; V is 0 unless the crowd is an unseen one.
        captions: I lists of sentences.
    """

    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]
    captions: list[list[str]]


def draw_crowd(
    options: CrowdOptions, *, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> Crowd:
    """Draw a crowd in `workers` processes; `progress` is called with people done and people in all."""
    visible, infrared, captions = [], [], []
    with ProcessPoolExecutor(workers) as pool:
        drawn = pool.map(partial(_draw_person, options), range(options.people), chunksize=64)
        for done, (by_day, by_night, sentences) in enumerate(drawn, start=1):
            visible.append(by_day)
            infrared.append(by_night)
            captions.append(sentences)
            if progress is not None and (done % 64 == 0 or done == options.people):
                progress(done, options.people)
    return Crowd(np.stack(visible), np.stack(infrared), captions)


def _draw_person(options: CrowdOptions, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[str]]:
    key = (options.seed, _UNSEEN_KEY if options.unseen else _TRAIN_KEY, index)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(_ROOT, spawn_key=key)))
    person = sample_person(rng)
    sentences = [caption(person), *(caption(person, rng) for _ in range(options.captions - 1))]
    visible = _draw_views(options, person, rng, Modality.VISIBLE, options.views)
    infrared = _draw_views(options, person, rng, Modality.INFRARED, options.views if options.unseen else 0)
    return visible, infrared, sentences


def _draw_views(
    options: CrowdOptions, person: Person, rng: np.random.Generator, modality: Modality, count: int
) -> NDArray[np.uint8]:
    """Frames `[count, 3, H, W]`, each from a camera of its own."""
    walkers = WalkerOptions(frame_size=options.frame_size)
    cameras = [camera for camera in CAMERA_IDS if camera_modality(camera) is modality]
    frames = np.empty((count, 3, *options.frame_size), dtype=np.uint8)
    for view in range(count):
        camera = create_camera(int(rng.choice(cameras)), int(rng.integers(1 << 31)), walkers)
        shot = sample_shot(rng, camera, 1, walkers)
        frames[view] = render_tracklet(person, shot, options.frame_size)[0].transpose(2, 0, 1)
    return frames
