"""The figure of a person: its parts, its measures and joints, and the making of shapes from them."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.gait import Skeleton
from tapetum.data.synthetic.people import Body
from tapetum.data.synthetic.shapes import Projection, Shape, capsule

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


class Layer:
    """Layers of the painter's order; within one, depth in metres decides (bodies are thinner than 10 m)."""

    LEGS = -40.0
    SEAT = -30.0
    SKIRT = -20.0
    TRUNK = 0.0
    HAIR = 20.0
    HEAD = 20.05
    HAT = 40.0


class Figure:
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


def moved(point: FloatArray, x: float, y: float, z: float) -> FloatArray:
    """Points `[N, 3]` shifted to the left, up and forward, metres."""
    return np.asarray(point + np.array([x, y, z]))
