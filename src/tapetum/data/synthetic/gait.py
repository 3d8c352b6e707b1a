"""How people move: rates and amplitudes of a walk, and the skeleton it poses at a moment.

Body axes: x to the person's left, y up, z forward; metres; the ground is y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic.options import FRAME_INTERVAL_S

if TYPE_CHECKING:
    from tapetum.data.synthetic.people import Body

FloatArray = NDArray[np.float64]
Skeleton = dict[str, FloatArray]

#: Order of the rhythms wherever they are arrays.
RHYTHMS = ("step", "arm", "nod", "sway", "bob", "twist")

#: Cycles per listed frame between which rates of `rhythmic_gait` lie. Both legs look alike, so that a stride
#: shows twice per cycle and its rate must stay below a quarter.
RATE_RANGE = (0.10, 0.40)
STEP_RATE_RANGE = (0.10, 0.24)


@dataclass(frozen=True, slots=True)
class Gait:
    """Rates in hertz, amplitudes in radians or metres.

    Args:
        rates_hz: one per entry of `RHYTHMS`.
        stride_rad: amplitude of the hips.
        knee_rad: largest knee flexion.
        arm_rad: amplitude of the shoulders.
        elbow_rad: mean elbow flexion.
        nod_rad: amplitude of the head's pitch.
        sway_rad: amplitude of the trunk's roll.
        bob_m: amplitude of the extra vertical motion.
        twist_rad: amplitude of the shoulders' yaw against the hips.
        lean_rad: constant forward lean.
        locked: whether all rhythms follow the step's phase; otherwise each starts anywhere.
        arms_together: whether both arms swing forward at the same time.
        nod_direction: +1 or -1, whether the head circles forwards or backwards.
    """

    rates_hz: tuple[float, float, float, float, float, float]
    stride_rad: float
    knee_rad: float
    arm_rad: float
    elbow_rad: float
    nod_rad: float
    sway_rad: float
    bob_m: float
    twist_rad: float
    lean_rad: float
    locked: bool = True
    arms_together: bool = False
    nod_direction: int = 1


def sample_gait(rng: np.random.Generator) -> Gait:
    """A natural walk: every rhythm is bound to the step."""
    step = float(rng.uniform(0.72, 1.1))
    return Gait(
        rates_hz=(step, step, 2 * step, step, 2 * step, step),
        stride_rad=float(rng.uniform(0.32, 0.52)),
        knee_rad=float(rng.uniform(0.7, 1.1)),
        arm_rad=float(rng.uniform(0.12, 0.62)),
        elbow_rad=float(rng.uniform(0.1, 0.7)),
        nod_rad=float(rng.uniform(0.0, 0.08)),
        sway_rad=float(rng.uniform(0.0, 0.07)),
        bob_m=float(rng.uniform(0.0, 0.02)),
        twist_rad=float(rng.uniform(0.0, 0.2)),
        lean_rad=float(rng.uniform(-0.03, 0.14)),
    )


def rhythmic_gait(rank: int, offset: FloatArray) -> Gait:
    """Member `rank` of a sequence of walks that differ in nothing but rates and one direction of turning.

    Single frames of all members are identically distributed, as each rhythm starts anywhere. The rates follow
    the additive recurrence of the generalised golden ratio (M. Roberts, "The unreasonable effectiveness of
    quasirandom sequences"), so that any number of members is well spread.

    Args:
        rank: 0, 1, 2, ...; a population gives even ranks to training and odd ones to test identities, so the
            direction of turning changes with every second rank.
        offset: start of the sequence, `[6]`, each from 0 to 1.
    """
    fractions = (offset + (rank + 1) * _recurrence(6)) % 1.0
    low, high = np.full(6, RATE_RANGE[0]), np.full(6, RATE_RANGE[1])
    low[0], high[0] = STEP_RATE_RANGE
    per_frame = np.round(low + (high - low) * fractions, 5)
    step, arm, nod, sway, bob, twist = (float(rate) / FRAME_INTERVAL_S for rate in per_frame)
    return Gait(
        rates_hz=(step, arm, nod, sway, bob, twist),
        stride_rad=0.48,
        knee_rad=0.9,
        arm_rad=0.95,
        elbow_rad=0.35,
        nod_rad=0.5,
        sway_rad=0.16,
        bob_m=0.07,
        twist_rad=0.5,
        lean_rad=0.03,
        locked=False,
        arms_together=True,
        nod_direction=1 if rank % 4 < 2 else -1,
    )


def rhythm_angles(gait: Gait, times_s: FloatArray, start_phases: FloatArray) -> FloatArray:
    """Phase of every rhythm at every time, radians, `[6, N]`.

    Args:
        gait: the walk.
        times_s: moments, seconds, `[N]`.
        start_phases: phase at time 0 as a fraction of a cycle, `[6]`, or `[6, N]` where frames are of
            different passes; a locked gait uses the first row only.
    """
    rates = np.array(gait.rates_hz)[:, None]
    start = start_phases.reshape(len(rates), -1)
    if gait.locked:
        start = start[:1] * np.round(rates / rates[0])
    turns = rates * times_s[None, :] + start
    return np.asarray(2.0 * np.pi * (turns % 1.0))


def pose(body: Body, gait: Gait, times_s: FloatArray, start_phases: FloatArray) -> Skeleton:
    """Joint positions over time.

    Args:
        body: proportions.
        gait: the walk.
        times_s: moments, seconds, `[N]`.
        start_phases: see `rhythm_angles`.

    Returns:
        Joint name to positions `[N, 3]`, metres. Joints of one side end in `_left` or `_right`.
    """
    step, arm, nod, sway, bob, twist = rhythm_angles(gait, times_s, start_phases)
    legs = _legs(body, gait, step)
    lift = -np.minimum(legs["toe_left"][:, 1], legs["toe_right"][:, 1]) + gait.bob_m * np.sin(bob)
    joints = {name: _shift(position, 0.0, lift, 0.0) for name, position in legs.items()}
    joints |= _trunk(body, gait, joints["pelvis"], nod, sway, twist)
    right_arm = arm if gait.arms_together else arm + np.pi
    for side, angle, sign in (("left", arm + np.pi, 1.0), ("right", right_arm + np.pi, -1.0)):
        joints |= _arm(body, gait, joints, side, sign, angle)
    return joints


def _recurrence(dimensions: int) -> FloatArray:
    root = 2.0
    for _ in range(60):
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    return np.round(np.array([1.0 / root ** (axis + 1) for axis in range(dimensions)]), 9)


def _legs(body: Body, gait: Gait, step: FloatArray) -> Skeleton:
    """Legs hanging from a pelvis at the origin."""
    height = body.height_m
    thigh, shank, foot = (
        0.5 * body.leg_ratio * height,
        0.5 * body.leg_ratio * height - 0.035 * height,
        0.145 * height,
    )
    joints: Skeleton = {"pelvis": np.zeros((len(step), 3))}
    for side, sign, angle in (("left", 1.0, step), ("right", -1.0, step + np.pi)):
        hip = gait.stride_rad * np.sin(angle) + 0.06
        # The knee bends most shortly before the leg passes under the body.
        knee = 0.08 + gait.knee_rad * np.maximum(0.0, np.cos(angle + 0.4)) ** 2
        joints[f"hip_{side}"] = _shift(joints["pelvis"], sign * 0.27 * body.hip_ratio * height, 0.0, 0.0)
        joints[f"knee_{side}"] = _hang(joints[f"hip_{side}"], thigh, hip)
        joints[f"ankle_{side}"] = _hang(joints[f"knee_{side}"], shank, hip - knee)
        pitch = np.minimum(0.25, 0.6 * (hip - knee))
        joints[f"toe_{side}"] = _shift(
            joints[f"ankle_{side}"], 0.0, foot * np.sin(pitch) - 0.035 * height, foot * np.cos(pitch)
        )
    return joints


def _trunk(
    body: Body, gait: Gait, pelvis: FloatArray, nod: FloatArray, sway: FloatArray, twist: FloatArray
) -> Skeleton:
    height = body.height_m
    length = (0.825 - body.leg_ratio) * height
    roll = gait.sway_rad * np.sin(sway)
    lean = np.full_like(roll, gait.lean_rad)
    neck = _shift(pelvis, length * np.sin(roll), length * np.cos(roll) * np.cos(lean), length * np.sin(lean))
    # Pitch and stretch of the neck a quarter cycle apart: the head circles, one way or the other.
    pitch = gait.nod_rad * np.sin(nod) + 0.5 * lean
    stretch = 0.055 * height * (1.0 + 1.2 * gait.nod_direction * gait.nod_rad * np.cos(nod))
    chin = _shift(
        neck,
        0.3 * stretch * np.sin(roll),
        stretch,
        stretch * np.sin(pitch) + 0.02 * height * np.sin(pitch) + 0.012,
    )
    size = 0.125 * height * body.head_size
    crown = _shift(chin, size * np.sin(0.6 * roll), size * np.cos(pitch), size * np.sin(pitch))
    half = 0.5 * body.shoulder_ratio * height * (0.9 + 0.1 * body.build)
    turn = gait.twist_rad * np.sin(twist)
    joints: Skeleton = {
        "neck": neck,
        "chin": chin,
        "crown": crown,
        "twist": np.stack([turn, roll, lean], axis=1),
    }
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joints[f"shoulder_{side}"] = _shift(
            neck,
            sign * half * np.cos(turn) * np.cos(roll),
            -0.025 * height - sign * half * np.sin(roll),
            -sign * half * np.sin(turn),
        )
    return joints


def _arm(body: Body, gait: Gait, joints: Skeleton, side: str, sign: float, angle: FloatArray) -> Skeleton:
    swing = gait.arm_rad * np.sin(angle) + 0.05
    bend = gait.elbow_rad * (1.0 + 0.5 * np.sin(angle)) + 0.05
    upper, fore = 0.172 * body.height_m, 0.145 * body.height_m
    spread = sign * 0.1
    elbow = _hang(joints[f"shoulder_{side}"], upper, swing, spread)
    wrist = _hang(elbow, fore, swing + bend, spread * 0.4)
    hand = _hang(wrist, 0.06 * body.height_m, swing + bend, 0.0)
    return {f"elbow_{side}": elbow, f"wrist_{side}": wrist, f"hand_{side}": hand}


def _hang(joint: FloatArray, length: float, forward: FloatArray, outward: float = 0.0) -> FloatArray:
    """End of a bone that hangs from a joint, turned forward (radians) and outward."""
    drop = length * np.cos(forward)
    return _shift(joint, length * outward, -drop, length * np.sin(forward))


def _shift(
    joint: FloatArray, x: FloatArray | float, y: FloatArray | float, z: FloatArray | float
) -> FloatArray:
    return np.stack([joint[:, 0] + x, joint[:, 1] + y, joint[:, 2] + z], axis=1)
