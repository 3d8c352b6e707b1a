"""Shapes of what is not body: hood, hair, hat, bag."""

from dataclasses import replace

import numpy as np

from tapetum.data.synthetic.figure import Figure, Layer, Part, moved
from tapetum.data.synthetic.people import Person
from tapetum.data.synthetic.shapes import Shape, box, ellipse, tube

# Upper and lower end (up and back from the middle of the head, in head lengths), radii in metres, layer when
# seen from the back.
_HAIR_ENDS = {
    "ponytail": ((0.3, 0.45), (-1.25, 0.75), (0.05, 0.07), Layer.HEAD + 1.0),
    "bun": ((0.5, 0.36), (0.52, 0.5), (0.085, 0.085), Layer.HEAD + 1.0),
    "long": ((0.25, 0.1), (-1.2, 0.25), (0.1, 0.145), Layer.HAIR),
}
_BEHIND = {"ponytail": Layer.TRUNK - 10.0, "bun": Layer.HAIR, "long": Layer.TRUNK - 10.0}


def hood_shapes(figure: Figure, person: Person) -> list[Shape]:
    """The hood of a hoodie, lying on the back."""
    if person.upper.kind != "hoodie":
        return []
    top, bottom = moved(figure.spine(1.0), 0.0, 0.07, -0.07), moved(figure.spine(1.0), 0.0, -0.09, -0.11)
    half = figure.projection.half_width(0.14, 0.09)
    outline = ellipse(figure.projection.screen(top), figure.projection.screen(bottom), half)
    return [figure.solid(Part.HOOD, outline, (top, bottom), half, Layer.HAIR)]


def hair_shapes(figure: Figure, person: Person) -> list[Shape]:
    """Hair that leaves the head: a ponytail, a bun, long hair."""
    if person.hair_style not in _HAIR_ENDS:
        return []
    (up, back), (low_up, low_back), radii, before = _HAIR_ENDS[person.hair_style]
    middle = 0.5 * (figure.joints["chin"] + figure.joints["crown"])
    size = figure.head
    start, end = (
        moved(middle, 0.0, up * size, -back * size),
        moved(middle, 0.0, low_up * size, -low_back * size),
    )
    hair = figure.limb_shape(Part.HAIR, start, end, radii, 0.0)
    # Behind the trunk when seen from the front, before neck or head when seen from the back.
    behind = hair.depth < figure.projection.depth(middle)
    return [replace(hair, depth=np.where(behind, _BEHIND[person.hair_style], before))]


def hat_shapes(figure: Figure, person: Person) -> list[Shape]:
    """A cap with its visor or a hat with its brim."""
    if person.hat.kind == "none":
        return []
    size, projection = figure.head, figure.projection
    chin, crown = figure.joints["chin"], figure.joints["crown"]
    band = crown + 0.32 * (chin - crown)
    top = crown + (-0.1 if person.hat.kind == "cap" else -0.22) * (chin - crown)
    half = projection.half_width(0.41 * size, 0.48 * size)
    outline = tube([projection.screen(point) for point in (top, crown, band)], [0.6 * half, 0.9 * half, half])
    hat = figure.solid(Part.HAT, outline, (top, band), half, Layer.HAT)
    if person.hat.kind == "cap":
        ends = moved(band, 0.0, 0.0, 0.3 * size), moved(band, 0.0, -0.05 * size, 0.85 * size)
        return [hat, figure.limb_shape(Part.BRIM, *ends, (0.05, 0.032), Layer.HAT)]
    rim = projection.pixels(0.2)
    high = projection.pixels(0.2 * projection.sin_up + 0.022)
    middle = projection.screen(band)
    brim = ellipse(
        middle - np.stack([0 * high, high], axis=1), middle + np.stack([0 * high, high], axis=1), rim
    )
    return [hat, figure.solid(Part.BRIM, brim, (crown, band), rim, Layer.HAT + 0.1)]


def bag_shapes(figure: Figure, person: Person) -> list[Shape]:
    """A backpack, a handbag with its handle, or a bag on a strap."""
    bag, projection, joints = person.bag, figure.projection, figure.joints
    if bag.kind == "none":
        return []
    if bag.kind == "backpack":
        centre = moved(figure.spine(0.58), 0.0, 0.0, -figure.chest_depth - 0.09 * bag.size)
        half, high = projection.half_width(0.165 * bag.size, 0.105 * bag.size), 0.23 * bag.size
    elif bag.kind == "handbag":
        centre = moved(joints["hand_left"], 0.03, -0.2 * bag.size, 0.0)
        half, high = projection.half_width(0.06 * bag.size, 0.17 * bag.size), 0.12 * bag.size
    else:
        centre = moved(joints["pelvis"], -figure.hip - 0.06, 0.02, -0.02)
        half, high = projection.half_width(0.07 * bag.size, 0.17 * bag.size), 0.14 * bag.size
    ends = moved(centre, 0.0, high, 0.0), moved(centre, 0.0, -high, 0.0)
    outline = box(projection.screen(centre), half, projection.pixels(high))
    shapes = [
        figure.solid(Part.BAG, outline, ends, half, Layer.TRUNK + (0.05 if bag.kind != "backpack" else 0.0))
    ]
    if bag.kind == "handbag":
        shapes.append(figure.limb_shape(Part.HANDLE, joints["hand_left"], ends[0], (0.02, 0.03), 0.04))
    return shapes
