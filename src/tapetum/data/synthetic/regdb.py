"""Writes walkers in the on-disk layout of RegDB (Nguyen et al., Sensors 2017).

```
ROOT/Visible/1/male_front_v_00007_1.bmp      ten pictures of each person
ROOT/Thermal/1/male_front_t_00007_1.bmp      the same moments from a step aside
ROOT/idx/train_visible_1.txt                 path and label, for each of ten trials
ROOT/idx/train_thermal_1.txt, test_visible_1.txt, test_thermal_1.txt
```

A visible and a thermal camera hang side by side. The near-infrared drawing stands in for the thermal one: it
shows reflected light, not warmth.
"""

from functools import partial

import numpy as np

from tapetum.data.synthetic._format import ONLY_TRACKLETS, PERSON_KEY, SET_KEY, Format
from tapetum.data.synthetic._writing import Job, SetPlan, as_lines
from tapetum.data.synthetic.cameras import Mount
from tapetum.data.synthetic.cast import Cast
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.takes import Take, draw_take
from tapetum.types import Modality

TRIALS = 10
PICTURES = 10

#: Two people of twenty pictures are the fewest that evaluators which read rank 20 can score.
_FEWEST_IDENTITIES = 4

_NAMES = {Modality.VISIBLE: ("visible", "v"), Modality.INFRARED: ("thermal", "t")}
_FACING = {"front": 0.0, "back": float(np.pi)}


def plan(seed: int, identities: int, test_identities: int | None, options: WalkerOptions) -> SetPlan[Take]:
    """The whole data set before it is drawn.

    Raises:
        ValueError: if the people are too few, or cannot be halved.
    """
    if identities < _FEWEST_IDENTITIES or identities % 2:
        raise ValueError(
            f"identities is {identities}; expected an even number of at least {_FEWEST_IDENTITIES} for "
            "regdb, as in each of its trials one half trains and the other is for testing"
        )
    half = identities // 2
    if test_identities not in (None, half):
        raise ValueError(f"test_identities is {test_identities}; expected {half}, a half, for regdb")
    cast = Cast(seed, {"train": identities}, options)
    people = [_plan_person(cast, index) for index in range(identities)]
    paths = {
        modality: [[frame[0] for frame in jobs[modality].paths] for jobs in people] for modality in Modality
    }
    return SetPlan(
        jobs=[jobs[modality] for jobs in people for modality in Modality],
        draw=partial(draw_take, cast),
        options=options,
        files={
            name: lines for trial in range(TRIALS) for name, lines in _index_files(cast, trial, paths).items()
        },
        card=FORMAT.card(
            cast,
            format=FORMAT.name,
            identities=identities,
            thermal="near-infrared drawings stand in for thermal ones",
        ),
        people=(half, half, 0),
    )


def _plan_person(cast: Cast, index: int) -> dict[Modality, Job[Take]]:
    """The ten moments of a person, by both cameras."""
    rng = cast.rng("train", index, PERSON_KEY)
    sex, side = rng.choice(["male", "female"]), str(rng.choice(list(_FACING)))
    moments = int(rng.integers(0, 9000)) + np.cumsum(rng.integers(1, 40, size=PICTURES))
    jobs = {}
    for modality, (tree, letter) in _NAMES.items():
        folder = f"{tree.capitalize()}/{index + 1}/{sex}_{side}_{letter}"
        mount = Mount(1, modality, place=1, yaw_rad=_FACING[side])
        jobs[modality] = Job(
            Take("train", index, mount, shots=PICTURES, partner="beside"),
            tuple((f"{folder}_{moment:05d}_{index + 1}.bmp",) for moment in moments.tolist()),
            tracklets=PICTURES,
        )
    return jobs


def _index_files(cast: Cast, trial: int, paths: dict[Modality, list[list[str]]]) -> dict[str, bytes]:
    """The four lists of a trial, each in an order of its own; `paths` per modality and person."""
    rng = cast.branch(SET_KEY, trial)
    order = rng.permutation(cast.count("train")).tolist()
    half = len(order) // 2
    files = {}
    for part, people in (("train", sorted(order[:half])), ("test", sorted(order[half:]))):
        for modality, (tree, _) in _NAMES.items():
            lines = [
                f"{path} {label}" for label, person in enumerate(people) for path in paths[modality][person]
            ]
            shuffled = [lines[place] for place in rng.permutation(len(lines)).tolist()]
            files[f"idx/{part}_{tree}_{trial + 1}.txt"] = as_lines(shuffled)
    return files


FORMAT = Format(
    "regdb",
    plan,
    refused={
        **ONLY_TRACKLETS,
        "images_per_camera": f"it holds {PICTURES} pictures of each person in each modality",
        "jpeg_quality": "its pictures are BMP files",
    },
    holds="images",
)
