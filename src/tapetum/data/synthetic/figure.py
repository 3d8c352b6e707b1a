"""The figure of a person: which shapes a body, its clothes and its accessories are drawn with."""

from dataclasses import replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.gait import Skeleton
from tapetum.data.synthetic.people import Body, Person
from tapetum.data.synthetic.shapes import Projection, Shape, box, capsule, ellipse, tube

FloatArray = NDArray[np.float64]


class Part(IntEnum):
    """What a pixel of the drawing belongs to."""

    BACKGROUND = 0
    THIGH_LEFT = 1
    THIGH_RIGHT = 2
    SHANK_LEFT = 3
    SHANK_RIGHT = 4
    FOOT_LEFT = 5
    FOOT_RIGHT = 6
    SEAT = 7
    SKIRT = 8
    TORSO = 9
    UPPER_ARM_LEFT = 10
    UPPER_ARM_RIGHT = 11
    FOREARM_LEFT = 12
    FOREARM_RIGHT = 13
    HAND_LEFT = 14
    HAND_RIGHT = 15
    NECK = 16
    HEAD = 17
    HAIR = 18
    HOOD = 19
    BAG = 20
    HANDLE = 21
    HAT = 22
    BRIM = 23
    OCCLUDER = 24


# Layers of the painter's order; within one, depth in metres decides (bodies are far thinner than 10 m).
_LEGS, _SKIRT, _TRUNK, _HAIR, _HEAD, _HAT = -40.0, -20.0, 0.0, 20.0, 20.05, 40.0


def build_figure(person: Person, joints: Skeleton, projection: Projection) -> list[Shape]:
    """All shapes of a person in all frames of a shot."""
    figure = _Figure(person.body, joints, projection)
    return [
        *_legs(figure, person),
        *_trunk(figure, person),
        *_arms(figure, person),
        *_head(figure, person),
        *_hair(figure, person),
        *_hat(figure, person),
        *_bag(figure, person),
    ]


class _Figure:
    """Body measures in metres, joints, and the making of shapes from them."""

    def __init__(self, body: Body, joints: Skeleton, projection: Projection) -> None:
        self.joints, self.projection = joints, projection
        self.height = body.height_m
        self.limb = body.limb_thickness * body.build**0.5 * body.height_m / 1.74
        self.shoulder = 0.5 * body.shoulder_ratio * body.height_m * (0.9 + 0.1 * body.build)
        self.hip = 0.5 * body.hip_ratio * body.height_m * body.build
        self.chest_depth = 0.115 * body.build * body.height_m / 1.74
        self.head = 0.125 * body.height_m * body.head_size
        self.leg = body.leg_ratio * body.height_m
        self.trunk = (0.825 - body.leg_ratio) * body.height_m

    def spine(self, fraction: float) -> FloatArray:
        """Point on the line from pelvis (0) to neck (1)."""
        return self.joints["pelvis"] + fraction * (self.joints["neck"] - self.joints["pelvis"])

    def limb_shape(
        self, part: Part, start: FloatArray, end: FloatArray, radii_m: tuple[float, float], layer: float
    ) -> Shape:
        """A capsule between two points of the body."""
        projection = self.projection
        first, second = projection.screen(start), projection.screen(end)
        wide, narrow = projection.pixels(radii_m[0]), projection.pixels(radii_m[1])
        depth = projection.depth(0.5 * (start + end))
        return Shape(
            part=part,
            outline=capsule(first, second, wide, narrow),
            start=first,
            end=second,
            radii=np.stack([wide, narrow], axis=1),
            length_m=float(np.sqrt(((end - start)[0] ** 2).sum()).round(6)),
            yaw_rad=projection.yaw,
            depth=depth + layer,
            lit=np.clip(1.0 + 0.7 * depth, 0.74, 1.06),
        )

    def solid(
        self,
        part: Part,
        outline: FloatArray,
        ends: tuple[FloatArray, FloatArray],
        half: FloatArray,
        layer: float,
    ) -> Shape:
        """Any outline about an axis between two points of the body, `half` pixels wide."""
        first, second = self.projection.screen(ends[0]), self.projection.screen(ends[1])
        middle = 0.5 * (ends[0] + ends[1])
        twist = 0.5 * self.joints["twist"][:, 0] if part is Part.TORSO else 0.0
        return Shape(
            part=part,
            outline=outline,
            start=first,
            end=second,
            radii=np.stack([half, half], axis=1),
            length_m=float(np.sqrt(((ends[1] - ends[0])[0] ** 2).sum()).round(6)),
            yaw_rad=self.projection.yaw + twist,
            depth=self.projection.depth(middle) + layer,
            lit=np.ones_like(self.projection.yaw),
        )

    def leg_spread(self, below_hip_m: float) -> FloatArray:
        """Half the distance in pixels that the legs cover at a height below the hips."""
        reach = [self._on_leg(side, below_hip_m)[:, 0] for side in ("left", "right")]
        return np.abs(reach[0] - reach[1]) * 0.5 + self.projection.pixels(0.07 * self.limb)

    def legs_middle(self, below_hip_m: float) -> FloatArray:
        """World point between the legs at a height below the hips."""
        middle = self.joints["pelvis"].copy()
        middle[:, 1] -= below_hip_m
        return middle

    def _on_leg(self, side: str, below_hip_m: float) -> FloatArray:
        hip, knee = self.joints[f"hip_{side}"], self.joints[f"knee_{side}"]
        ankle = self.joints[f"ankle_{side}"]
        thigh = 0.5 * self.leg
        if below_hip_m <= thigh:
            return self.projection.screen(hip + (knee - hip) * (below_hip_m / thigh))
        return self.projection.screen(knee + (ankle - knee) * min(1.0, below_hip_m / thigh - 1.0))


def _legs(figure: _Figure, person: Person) -> list[Shape]:
    joints, limb = figure.joints, figure.limb
    loose = person.lower.looseness if person.lower.kind != "skirt" else 1.0
    long = loose if person.lower.kind == "trousers" else 1.0
    shapes = []
    for side in ("left", "right"):
        hip, knee, ankle, toe = (joints[f"{name}_{side}"] for name in ("hip", "knee", "ankle", "toe"))
        thigh = _side(Part.THIGH_LEFT, side)
        shank = _side(Part.SHANK_LEFT, side)
        foot = _side(Part.FOOT_LEFT, side)
        shapes.append(
            figure.limb_shape(thigh, hip, knee, (0.092 * limb * loose, 0.066 * limb * loose), _LEGS + 0.02)
        )
        shapes.append(
            figure.limb_shape(shank, knee, ankle, (0.062 * limb * long, 0.045 * limb * long), _LEGS)
        )
        shapes.append(figure.limb_shape(foot, ankle, toe, (0.05 * limb, 0.032 * limb), _LEGS + 0.01))
    if person.lower.kind == "skirt":
        shapes.append(_skirt(figure, person))
    return [*shapes, _seat(figure, loose)]


def _skirt(figure: _Figure, person: Person) -> Shape:
    below = person.lower.length * figure.leg
    flare = person.lower.looseness
    top, bottom = figure.spine(0.2), figure.legs_middle(below)
    hip_width = figure.projection.half_width(figure.hip, 0.8 * figure.chest_depth)
    hem = np.maximum(
        hip_width * (1.0 + 0.6 * (flare - 1.0) + 0.3 * person.lower.length), figure.leg_spread(below)
    )
    screen = [figure.projection.screen(point) for point in (top, figure.spine(0.0), bottom)]
    outline = tube(screen, [0.9 * hip_width, 1.05 * hip_width, hem])
    return figure.solid(Part.SKIRT, outline, (top, bottom), hem, _SKIRT)


def _seat(figure: _Figure, loose: float) -> Shape:
    top, bottom = figure.spine(0.3), figure.legs_middle(0.07)
    width = figure.projection.half_width(figure.hip, 0.9 * figure.chest_depth) * (0.5 + 0.5 * loose)
    screen = [figure.projection.screen(point) for point in (top, figure.spine(0.0), bottom)]
    return figure.solid(
        Part.SEAT, tube(screen, [0.9 * width, width, 0.75 * width]), (top, bottom), width, -30.0
    )


def _trunk(figure: _Figure, person: Person) -> list[Shape]:
    upper, projection = person.upper, figure.projection
    turn = figure.joints["twist"][:, 0]
    depth, loose = figure.chest_depth * upper.looseness, upper.looseness
    hem = figure.legs_middle(upper.hem_m)
    shoulder = projection.half_width(figure.shoulder + 0.035 * figure.limb, 0.8 * depth, turn)
    chest = projection.half_width(0.9 * figure.shoulder * loose, depth, 0.7 * turn)
    waist = projection.half_width(
        (0.45 * figure.shoulder + 0.45 * figure.hip) * loose, 0.9 * depth, 0.3 * turn
    )
    hip = projection.half_width(figure.hip * loose, 0.95 * depth)
    swing = np.maximum(hip, figure.leg_spread(upper.hem_m)) if upper.hem_m > 0.15 else hip
    points = [
        figure.spine(1.02),
        figure.spine(0.93),
        figure.spine(0.7),
        figure.spine(0.35),
        figure.spine(0.04),
        hem,
    ]
    outline = tube(
        [projection.screen(point) for point in points], [0.42 * shoulder, shoulder, chest, waist, hip, swing]
    )
    torso = figure.solid(Part.TORSO, outline, (figure.spine(1.0), hem), np.maximum(chest, hip), _TRUNK)
    neck = figure.limb_shape(
        Part.NECK, figure.spine(0.98), figure.joints["chin"], (0.058 * figure.limb, 0.052), _TRUNK + 0.5
    )
    return [torso, neck, *_hood(figure, person)]


def _hood(figure: _Figure, person: Person) -> list[Shape]:
    if person.upper.kind != "hoodie":
        return []
    top, bottom = _moved(figure.spine(1.0), 0.0, 0.07, -0.07), _moved(figure.spine(1.0), 0.0, -0.09, -0.11)
    half = figure.projection.half_width(0.14, 0.09)
    outline = ellipse(figure.projection.screen(top), figure.projection.screen(bottom), half)
    return [figure.solid(Part.HOOD, outline, (top, bottom), half, _HAIR)]


def _arms(figure: _Figure, person: Person) -> list[Shape]:
    limb, joints = figure.limb, figure.joints
    loose = person.upper.looseness
    sleeve = 1.0 if person.upper.kind == "shirt" else loose + 0.1
    shapes = []
    for side in ("left", "right"):
        shoulder, elbow, wrist, hand = (
            joints[f"{name}_{side}"] for name in ("shoulder", "elbow", "wrist", "hand")
        )
        upper, fore, palm = (
            _side(part, side) for part in (Part.UPPER_ARM_LEFT, Part.FOREARM_LEFT, Part.HAND_LEFT)
        )
        shapes.append(
            figure.limb_shape(upper, shoulder, elbow, (0.056 * limb * loose, 0.046 * limb * sleeve), 0.0)
        )
        shapes.append(
            figure.limb_shape(fore, elbow, wrist, (0.043 * limb * sleeve, 0.034 * limb * sleeve), 0.01)
        )
        shapes.append(figure.limb_shape(palm, wrist, hand, (0.034 * limb, 0.03 * limb), 0.005))
    return shapes


def _head(figure: _Figure, person: Person) -> list[Shape]:
    chin, crown = figure.joints["chin"], figure.joints["crown"]
    half = figure.projection.half_width(0.36 * figure.head, 0.43 * figure.head)
    outline = ellipse(figure.projection.screen(crown), figure.projection.screen(chin), half)
    return [figure.solid(Part.HEAD, outline, (crown, chin), half, _HEAD)]


def _hair(figure: _Figure, person: Person) -> list[Shape]:
    size = figure.head
    middle = 0.5 * (figure.joints["chin"] + figure.joints["crown"])
    if person.hair_style == "ponytail":
        ends = _moved(middle, 0.0, 0.3 * size, -0.45 * size), _moved(middle, 0.0, -1.25 * size, -0.75 * size)
        return [figure.limb_shape(Part.HAIR, *ends, (0.05, 0.07), _HEAD)]
    if person.hair_style == "bun":
        ends = _moved(middle, 0.0, 0.5 * size, -0.36 * size), _moved(middle, 0.0, 0.52 * size, -0.5 * size)
        return [figure.limb_shape(Part.HAIR, *ends, (0.085, 0.085), _HEAD)]
    if person.hair_style == "long":
        ends = _moved(middle, 0.0, 0.25 * size, -0.1 * size), _moved(middle, 0.0, -1.2 * size, -0.25 * size)
        hair = figure.limb_shape(Part.HAIR, *ends, (0.1, 0.145), _TRUNK)
        # Behind the trunk when seen from the front, before the neck when seen from the back.
        behind = hair.depth < figure.projection.depth(figure.joints["neck"])
        return [replace(hair, depth=np.where(behind, _TRUNK - 10.0, _HAIR))]
    return []


def _hat(figure: _Figure, person: Person) -> list[Shape]:
    if person.hat.kind == "none":
        return []
    size, projection = figure.head, figure.projection
    chin, crown = figure.joints["chin"], figure.joints["crown"]
    band = crown + 0.32 * (chin - crown)
    top = crown + (-0.1 if person.hat.kind == "cap" else -0.22) * (chin - crown)
    half = projection.half_width(0.41 * size, 0.48 * size)
    outline = tube([projection.screen(point) for point in (top, crown, band)], [0.6 * half, 0.9 * half, half])
    hat = figure.solid(Part.HAT, outline, (top, band), half, _HAT)
    if person.hat.kind == "cap":
        ends = _moved(band, 0.0, 0.0, 0.3 * size), _moved(band, 0.0, -0.05 * size, 0.85 * size)
        return [hat, figure.limb_shape(Part.BRIM, *ends, (0.05, 0.032), _HAT)]
    rim = projection.pixels(0.2)
    high = projection.pixels(0.2 * projection.sin_up + 0.022)
    middle = projection.screen(band)
    brim = ellipse(
        middle - np.stack([0 * high, high], axis=1), middle + np.stack([0 * high, high], axis=1), rim
    )
    return [hat, figure.solid(Part.BRIM, brim, (crown, band), rim, _HAT + 0.1)]


def _bag(figure: _Figure, person: Person) -> list[Shape]:
    bag, projection, joints = person.bag, figure.projection, figure.joints
    if bag.kind == "none":
        return []
    if bag.kind == "backpack":
        centre = _moved(figure.spine(0.58), 0.0, 0.0, -figure.chest_depth - 0.09 * bag.size)
        half, high = projection.half_width(0.165 * bag.size, 0.105 * bag.size), 0.23 * bag.size
    elif bag.kind == "handbag":
        centre = _moved(joints["hand_left"], 0.03, -0.2 * bag.size, 0.0)
        half, high = projection.half_width(0.06 * bag.size, 0.17 * bag.size), 0.12 * bag.size
    else:
        centre = _moved(joints["pelvis"], -figure.hip - 0.06, 0.02, -0.02)
        half, high = projection.half_width(0.07 * bag.size, 0.17 * bag.size), 0.14 * bag.size
    ends = _moved(centre, 0.0, high, 0.0), _moved(centre, 0.0, -high, 0.0)
    outline = box(projection.screen(centre), half, projection.pixels(high))
    shapes = [figure.solid(Part.BAG, outline, ends, half, _TRUNK + (0.05 if bag.kind != "backpack" else 0.0))]
    if bag.kind == "handbag":
        shapes.append(figure.limb_shape(Part.HANDLE, joints["hand_left"], ends[0], (0.02, 0.03), 0.04))
    return shapes


def _side(left: Part, side: str) -> Part:
    return left if side == "left" else Part(left + 1)


def _moved(point: FloatArray, x: float, y: float, z: float) -> FloatArray:
    return np.asarray(point + np.array([x, y, z]))
