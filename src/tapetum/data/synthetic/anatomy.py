"""Shapes of the body and its clothes: legs, skirt, trunk, arms, head."""

import numpy as np

from tapetum.data.synthetic.accessories import bag_shapes, hair_shapes, hat_shapes, hood_shapes
from tapetum.data.synthetic.figure import Figure, Layer, Part
from tapetum.data.synthetic.gait import Skeleton
from tapetum.data.synthetic.people import Person
from tapetum.data.synthetic.shapes import Projection, Shape, ellipse, tube


def build_figure(person: Person, joints: Skeleton, projection: Projection) -> list[Shape]:
    """All shapes of a person in all frames of a shot."""
    figure = Figure(person.body, joints, projection)
    return [
        *_legs(figure, person),
        *_trunk(figure, person),
        *_arms(figure, person),
        *_head(figure, person),
        *hair_shapes(figure, person),
        *hat_shapes(figure, person),
        *bag_shapes(figure, person),
    ]


def _legs(figure: Figure, person: Person) -> list[Shape]:
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
            figure.limb_shape(
                thigh, hip, knee, (0.092 * limb * loose, 0.066 * limb * loose), Layer.LEGS + 0.02
            )
        )
        shapes.append(
            figure.limb_shape(shank, knee, ankle, (0.062 * limb * long, 0.045 * limb * long), Layer.LEGS)
        )
        shapes.append(figure.limb_shape(foot, ankle, toe, (0.05 * limb, 0.032 * limb), Layer.LEGS + 0.01))
    if person.lower.kind == "skirt":
        shapes.append(_skirt(figure, person))
    return [*shapes, _seat(figure, loose)]


def _skirt(figure: Figure, person: Person) -> Shape:
    below = person.lower.length * figure.leg
    flare = person.lower.looseness
    top, bottom = figure.spine(0.2), figure.legs_middle(below)
    hip_width = figure.projection.half_width(figure.hip, 0.8 * figure.chest_depth)
    hem = np.maximum(
        hip_width * (1.0 + 0.6 * (flare - 1.0) + 0.3 * person.lower.length), figure.leg_spread(below)
    )
    screen = [figure.projection.screen(point) for point in (top, figure.spine(0.0), bottom)]
    outline = tube(screen, [0.9 * hip_width, 1.05 * hip_width, hem])
    return figure.solid(Part.SKIRT, outline, (top, bottom), hem, Layer.SKIRT)


def _seat(figure: Figure, loose: float) -> Shape:
    top, bottom = figure.spine(0.3), figure.legs_middle(0.07)
    width = figure.projection.half_width(figure.hip, 0.9 * figure.chest_depth) * (0.5 + 0.5 * loose)
    screen = [figure.projection.screen(point) for point in (top, figure.spine(0.0), bottom)]
    return figure.solid(
        Part.SEAT, tube(screen, [0.9 * width, width, 0.75 * width]), (top, bottom), width, -30.0
    )


def _trunk(figure: Figure, person: Person) -> list[Shape]:
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
    torso = figure.solid(Part.TORSO, outline, (figure.spine(1.0), hem), np.maximum(chest, hip), Layer.TRUNK)
    neck = figure.limb_shape(
        Part.NECK, figure.spine(0.98), figure.joints["chin"], (0.058 * figure.limb, 0.052), Layer.TRUNK + 0.5
    )
    return [torso, neck, *hood_shapes(figure, person)]


def _arms(figure: Figure, person: Person) -> list[Shape]:
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


def _head(figure: Figure, person: Person) -> list[Shape]:
    chin, crown = figure.joints["chin"], figure.joints["crown"]
    half = figure.projection.half_width(0.36 * figure.head, 0.43 * figure.head)
    outline = ellipse(figure.projection.screen(crown), figure.projection.screen(chin), half)
    return [figure.solid(Part.HEAD, outline, (crown, chin), half, Layer.HEAD)]


def _side(left: Part, side: str) -> Part:
    return left if side == "left" else Part(left + 1)
