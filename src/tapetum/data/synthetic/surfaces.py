"""Which material shows at a point of a part: sleeves, hems, stripes, checks, prints, straps, hair line.

Points are given in the part's own coordinates: `v` along its axis in millimetres, `turn` around it in 1/1024
of a circle from the front towards the left, both integers, so that equal seeds give equal pixels everywhere.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.figure import Part
from tapetum.data.synthetic.materials import Material
from tapetum.data.synthetic.people import Pattern, Person

IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

CIRCLE = 1024
_NEVER = 1 << 20
_SINE = np.round(np.sin(np.arange(CIRCLE) * (2.0 * np.pi / CIRCLE)) * 1000).astype(np.int32)

_TRUNK_PARTS = (Part.TORSO, Part.SKIRT, Part.SEAT)


class Surface(IntEnum):
    """Row of the material table."""

    SKIN = 0
    HAIR = 1
    UPPER = 2
    UPPER_ACCENT = 3
    LOWER = 4
    LOWER_ACCENT = 5
    SHOES = 6
    BAG = 7
    HAT = 8
    ZIP = 9


def material_table(person: Person) -> list[Material]:
    """Materials in the order of `Surface`."""
    dark = Material("", (40, 40, 44), max(20, person.upper.colour.infrared // 2))
    return [
        person.skin,
        person.hair,
        person.upper.colour,
        person.upper.accent,
        person.lower.colour,
        person.lower.accent,
        person.shoes,
        person.bag.material,
        person.hat.material,
        dark,
    ]


def surface_at(person: Person, part: NDArray[np.uint8], v: IntArray, turn: IntArray) -> NDArray[np.uint8]:
    """Surface of every point.

    Args:
        person: what is worn.
        part: `[M]`, values of `Part`, none of them background or occluder.
        v: along the axis of the part, millimetres, `[M]`.
        turn: around the axis, 0..1023, `[M]`.

    Returns:
        `[M]`, values of `Surface`.
    """
    before, after, change = _part_tables(person)
    surface = np.where(v < change[part], before[part], after[part])
    _apply_pattern(surface, Surface.UPPER, person.upper.pattern, part, v, turn)
    _apply_pattern(surface, Surface.LOWER, person.lower.pattern, part, v, turn)
    _apply_torso_details(surface, person, part, v, turn)
    if person.hair_style != "bald":
        _apply_hair_line(surface, person, part, v, turn)
    return surface


def _part_tables(person: Person) -> tuple[NDArray[np.uint8], NDArray[np.uint8], IntArray]:
    """Surface before and after a change along the axis, and where (millimetres), per part."""
    size = len(Part)
    before, change = np.zeros(size, dtype=np.uint8), np.full(size, _NEVER, dtype=np.int32)
    for part in (Part.TORSO, Part.HOOD, Part.UPPER_ARM_LEFT, Part.UPPER_ARM_RIGHT):
        before[part] = Surface.UPPER
    for part in (Part.FOREARM_LEFT, Part.FOREARM_RIGHT):
        before[part] = Surface.SKIN if person.upper.kind == "shirt" else Surface.UPPER
    for part in (Part.SEAT, Part.SKIRT, Part.THIGH_LEFT, Part.THIGH_RIGHT, Part.SHANK_LEFT, Part.SHANK_RIGHT):
        before[part] = Surface.LOWER
    before[[Part.FOOT_LEFT, Part.FOOT_RIGHT]] = Surface.SHOES
    before[Part.HAIR] = Surface.HAIR
    before[[Part.BAG, Part.HANDLE]] = Surface.BAG
    before[[Part.HAT, Part.BRIM]] = Surface.HAT
    after = before.copy()
    half_leg = 500.0 * person.body.leg_ratio * person.body.height_m
    if person.upper.kind == "shirt":
        _cut(change, after, (Part.UPPER_ARM_LEFT, Part.UPPER_ARM_RIGHT), 100.0 * person.body.height_m)
    covered = 2.0 * half_leg * person.lower.length if person.lower.kind != "skirt" else 0.0
    _cut(change, after, (Part.THIGH_LEFT, Part.THIGH_RIGHT), covered)
    _cut(change, after, (Part.SHANK_LEFT, Part.SHANK_RIGHT), covered - half_leg)
    return before, after, change


def _cut(change: IntArray, after: NDArray[np.uint8], parts: tuple[Part, ...], where: float) -> None:
    for part in parts:
        change[part], after[part] = round(where), Surface.SKIN


def _apply_pattern(
    surface: NDArray[np.uint8],
    plain: Surface,
    pattern: Pattern,
    part: NDArray[np.uint8],
    v: IntArray,
    turn: IntArray,
) -> None:
    """Put the accent, the next surface, where the pattern says."""
    if pattern.kind == "plain":
        return
    if pattern.kind == "print":
        where = np.flatnonzero((part == Part.TORSO) & (surface == plain))
        covered = _print(pattern, v[where], turn[where])
    else:
        where = np.flatnonzero(surface == plain)
        covered = _weave(pattern, part[where], v[where], turn[where])
    surface[where[covered]] = plain + 1


def _weave(pattern: Pattern, part: NDArray[np.uint8], v: IntArray, turn: IntArray) -> BoolArray:
    """Where stripes or checks show; limbs carry half as many vertical stripes as the trunk."""
    period, phase, duty = (
        round(pattern.period_m * 1000),
        round(pattern.phase * 1000),
        round(pattern.duty * 1000),
    )
    rows = (v * 1000 // period + phase) % 1000 < duty
    if pattern.kind == "horizontal":
        return rows
    around = np.full(len(Part), max(2, pattern.around // 2), dtype=np.int32)
    around[list(_TRUNK_PARTS)] = pattern.around
    columns = (turn * around[part] * 1000 // CIRCLE + phase) % 1000 < duty
    return columns if pattern.kind == "vertical" else np.asarray(rows ^ columns)


def _print(pattern: Pattern, v: IntArray, turn: IntArray) -> BoolArray:
    """Where a print covers the trunk; lateral positions are thousandths of its half width."""
    lateral, front = _SINE[turn], _is_front(turn)
    side = (front & pattern.on_chest) | (~front & pattern.on_back)
    size = round(pattern.print_size_m * 1000)
    down = v - 130 - size
    # A trunk is about 170 mm wide to each side of the middle.
    across = lateral * 170 // 1000
    if pattern.print_shape == "disc":
        inside = down * down + across * across < size * size
    elif pattern.print_shape == "square":
        inside = (np.abs(down) < size) & (np.abs(across) < size)
    elif pattern.print_shape == "bar":
        inside = np.abs(down) < size // 2
    else:
        inside = (np.abs(down) < size // 3) | (np.abs(across) < size // 3)
        inside &= (np.abs(down) < size * 5 // 4) & (np.abs(across) < size * 5 // 4)
    return np.asarray(inside & side)


def _apply_torso_details(
    surface: NDArray[np.uint8], person: Person, part: NDArray[np.uint8], v: IntArray, turn: IntArray
) -> None:
    """The zip of jackets and coats, and the straps of bags."""
    where = np.flatnonzero(part == Part.TORSO)
    lateral, front = _SINE[turn[where]], _is_front(turn[where])
    if person.upper.kind in ("jacket", "coat"):
        surface[where[front & (np.abs(lateral) < 70)]] = Surface.ZIP
    if person.bag.kind == "backpack":
        strap = front & (np.abs(np.abs(lateral) - 560) < 110) & (v[where] < 330)
        surface[where[strap]] = Surface.BAG
    elif person.bag.kind == "shoulder":
        slope = np.abs(lateral - 650 + v[where] * 24 // 10) < 130
        surface[where[slope]] = Surface.BAG


def _apply_hair_line(
    surface: NDArray[np.uint8], person: Person, part: NDArray[np.uint8], v: IntArray, turn: IntArray
) -> None:
    """Hair above the forehead and, lower, on the sides and the back of the head."""
    head = np.flatnonzero(part == Part.HEAD)
    length = 125.0 * person.body.height_m * person.body.head_size
    lowest = round(length * (1.0 if person.hair_style == "long" else 0.66))
    away = np.minimum(turn[head], CIRCLE - turn[head])
    hair = (v[head] < round(0.26 * length)) | ((away > CIRCLE * 62 // 360) & (v[head] < lowest))
    surface[head[hair]] = Surface.HAIR


def _is_front(turn: IntArray) -> BoolArray:
    return np.asarray((turn < CIRCLE // 4) | (turn > CIRCLE * 3 // 4))
