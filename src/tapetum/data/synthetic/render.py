"""Rendering of a tracklet: draw part numbers, look up materials, put the person into the scene, expose."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tapetum.data.synthetic.anatomy import build_figure
from tapetum.data.synthetic.cameras import Shot, join_shots
from tapetum.data.synthetic.figure import Part
from tapetum.data.synthetic.gait import pose
from tapetum.data.synthetic.people import Person
from tapetum.data.synthetic.scene import ByteArray, Occluder, sample_background, sample_occluder
from tapetum.data.synthetic.sensors import expose
from tapetum.data.synthetic.shapes import Projection, Shape
from tapetum.data.synthetic.surfaces import CIRCLE, material_table, surface_at
from tapetum.types import Modality

#: The drawing has this many pixels per pixel of the frame, in each direction.
SUPERSAMPLING = 2

# Angle of a cylinder's surface point in 1/1024 of a circle for its lateral position in steps of 1/256.
_ARC_SINE = np.round(np.arcsin(np.arange(-256, 257) / 256.0) * (CIRCLE / (2.0 * np.pi))).astype(np.int32)
# Brightness of that point times 256, lit from the upper right (daylight) or from the camera (lamp).
_LATERAL = np.arange(-256, 257) / 256.0
_FACING = np.sqrt(1.0 - _LATERAL**2)
_SHADING = {
    Modality.VISIBLE: np.round(256.0 * (0.8 + 0.2 * _FACING + 0.1 * _LATERAL)).astype(np.int32),
    Modality.INFRARED: np.round(256.0 * (0.66 + 0.34 * _FACING)).astype(np.int32),
}


def render_tracklet(person: Person, shot: Shot, frame_size: tuple[int, int] = (96, 48)) -> ByteArray:
    """Draw all frames of a shot.

    Args:
        person: who walks.
        shot: where and when.
        frame_size: height H and width W, pixels.

    Returns:
        `[N, H, W, 3]`, red, green, blue; equal channels for an infrared camera.
    """
    return render_shots(person, [shot], frame_size)


def render_shots(person: Person, shots: Sequence[Shot], frame_size: tuple[int, int] = (96, 48)) -> ByteArray:
    """Draw all frames of shots by one camera, which is faster than one shot after the other.

    Args:
        person: who walks.
        shots: where and when, at least one.
        frame_size: height H and width W, pixels.

    Returns:
        `[N, H, W, 3]`, shot after shot; equal channels for an infrared camera.
    """
    height, width = frame_size[0] * SUPERSAMPLING, frame_size[1] * SUPERSAMPLING
    passes = join_shots(shots)
    joints = pose(person.body, person.gait, passes.times_s, passes.start_phases)
    shapes = build_figure(person, joints, Projection(passes, height, width))
    parts = _draw_parts(shapes, height, width)
    where = np.flatnonzero(parts)
    colours = _shade(person, shapes, parts, where, passes.camera.modality)
    counts = [len(shot.times_s) for shot in shots]
    starts = np.cumsum([0, *counts]) * (height * width)
    cuts = np.searchsorted(where, starts)
    frames = np.concatenate(
        [
            _expose_shot(shot, (count, height, width), where[first:last] - start, colours[first:last])
            for shot, count, start, first, last in zip(
                shots, counts, starts[:-1], cuts[:-1], cuts[1:], strict=True
            )
        ]
    )
    return frames if frames.shape[3] == 3 else np.repeat(frames, 3, axis=3)


def _expose_shot(
    shot: Shot, size: tuple[int, int, int], where: NDArray[np.int64], colours: ByteArray
) -> ByteArray:
    """Frames `[N, H, W, C]` of one shot; `colours` go to the pixels `where` of a drawing of `size`."""
    paint = np.random.Generator(np.random.PCG64(shot.pixel_seed))
    layout = paint if shot.layout_seed is None else np.random.Generator(np.random.PCG64(shot.layout_seed))
    scene = _surroundings(shot, size[1:], layout, paint)
    offsets = np.round(np.arange(size[0]) * shot.drift * size[1]).astype(np.int64)
    offsets += int(layout.integers(0, scene.shape[1]))
    columns = (offsets[:, None] + np.arange(size[2])) % scene.shape[1]
    light = np.ascontiguousarray(scene[:, columns].transpose(1, 0, 2, 3))
    light.reshape(-1, light.shape[3])[where] = colours
    if shot.occluder > 0.0:
        occluder = sample_occluder(layout, paint, size[1:], light.shape[3], shot.occluder)
        _occlude(light, occluder, offsets - offsets[0])
    return expose(_downsample(light), shot, paint)


def _draw_parts(shapes: list[Shape], height: int, width: int) -> ByteArray:
    """Part of every pixel of the drawing, `[N, height, width]`, nearest shapes last."""
    order = np.argsort(
        np.stack([np.round(shape.depth, 6) for shape in shapes], axis=1), axis=1, kind="stable"
    )
    outlines = [_corners(shape) for shape in shapes]
    drawn = np.empty((len(order), height, width), dtype=np.uint8)
    for frame, sequence in enumerate(order.tolist()):
        image = Image.new("L", (width, height))
        polygon = ImageDraw.Draw(image).polygon
        for index in sequence:
            polygon(outlines[index][frame], fill=int(shapes[index].part))
        drawn[frame] = np.asarray(image)
    return drawn


def _corners(shape: Shape) -> list[list[int]]:
    """Corners as whole pixels (Pillow cuts fractions off), per frame x, y, x, y, ..."""
    whole = np.floor(np.round(shape.outline, 4) + 0.5).astype(np.int64)
    corners: list[list[int]] = whole.reshape(len(whole), -1).tolist()
    return corners


def _surroundings(
    shot: Shot, size: tuple[int, int], layout: np.random.Generator, paint: np.random.Generator
) -> ByteArray:
    """The scene behind the person, `[height, wider, C]`."""
    if shot.camera.modality is Modality.VISIBLE:
        return sample_background(layout, paint, size, 3, shot.clutter)
    scene = sample_background(layout, paint, size, 1, shot.clutter)
    # The lamp's light fades with distance, so that the surroundings are darker than the person.
    return (scene.astype(np.uint16) * int(paint.integers(90, 200)) >> 8).astype(np.uint8)


def _occlude(light: ByteArray, occluder: Occluder, offsets: NDArray[np.int64]) -> None:
    """Put a foreground object, which moves with the background, into all frames."""
    top, left, bottom, right = occluder.box
    for frame, offset in enumerate(offsets.tolist()):
        light[frame, top:bottom, max(0, left - offset) : max(0, right - offset)] = occluder.colour


def _shade(
    person: Person, shapes: list[Shape], parts: ByteArray, where: NDArray[np.int64], modality: Modality
) -> ByteArray:
    """Light `[M, C]` from the pixels `where` (flat indices) of the person."""
    part = parts.reshape(-1)[where]
    frame, pixel = np.divmod(where, parts.shape[1] * parts.shape[2])
    row, column = np.divmod(pixel, parts.shape[2])
    table = _coordinate_table(shapes, len(parts))
    cell = table.take(frame * len(Part) + part, axis=0)
    x, y = column.astype(np.float32) - cell[:, 0], row.astype(np.float32) - cell[:, 1]
    along = x * cell[:, 2] + y * cell[:, 3]
    radius = cell[:, 4] + cell[:, 5] * np.clip(along, 0.0, 1.0)
    lateral = np.rint((x * cell[:, 6] + y * cell[:, 7]) / radius).astype(np.int32)
    lateral = np.clip(lateral, -256, 256) + 256
    v = np.rint(along * cell[:, 8]).astype(np.int32)
    turn = (_ARC_SINE[lateral] - cell[:, 9].astype(np.int32)) % CIRCLE
    surface = surface_at(person, part, v, turn)
    brightness = (_SHADING[modality][lateral] * cell[:, 10].astype(np.int32)) >> 8
    colours = _colour_table(person, modality)[surface]
    return np.asarray(np.minimum(colours * brightness[:, None] >> 8, 255), dtype=np.uint8)


def _coordinate_table(shapes: list[Shape], frames: int) -> NDArray[np.float32]:
    """What `_shade` needs to know per frame and part, `[N x parts, 11]`."""
    table = np.zeros((frames, len(Part), 11), dtype=np.float32)
    table[:, :, 4] = 1.0
    for shape in shapes:
        delta = shape.end - shape.start
        squared = np.maximum((delta**2).sum(axis=1), 1.0)
        length = np.sqrt(squared)
        first, second = np.maximum(shape.radii[:, 0], 0.5), np.maximum(shape.radii[:, 1], 0.5)
        cell = table[:, shape.part]
        cell[:, 0:2] = shape.start
        cell[:, 2:4] = delta / squared[:, None]
        cell[:, 4], cell[:, 5] = first, second - first
        cell[:, 6], cell[:, 7] = 256.0 * delta[:, 1] / length, -256.0 * delta[:, 0] / length
        cell[:, 8] = 1000.0 * shape.length_m
        cell[:, 9] = np.round(shape.yaw_rad * (CIRCLE / (2.0 * np.pi)))
        cell[:, 10] = np.round(256.0 * shape.lit)
    return table.reshape(-1, 11)


def _colour_table(person: Person, modality: Modality) -> NDArray[np.int32]:
    materials = material_table(person)
    if modality is Modality.VISIBLE:
        table = np.array([material.visible for material in materials], dtype=np.int32)
    else:
        table = np.array([[material.infrared] for material in materials], dtype=np.int32)
    return table


def _downsample(light: ByteArray) -> NDArray[np.uint16]:
    """Mean over the drawing's pixels in each pixel of the frame."""
    wide = light.astype(np.uint16)
    rows = wide[:, 0::2] + wide[:, 1::2]
    return np.asarray((rows[:, :, 0::2] + rows[:, :, 1::2] + 2) >> 2, dtype=np.uint16)
