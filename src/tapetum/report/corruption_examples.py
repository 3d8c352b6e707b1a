"""What corruptions look like: a frame of each modality, clean and at each severity, as the model sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tapetum.data.corruptions import CorruptedFrames, Corruption
from tapetum.data.frames import FrameFiles, FrameSource
from tapetum.report.palette import light
from tapetum.report.samples import SampleStrip
from tapetum.report.strips import data_uri, side_by_side
from tapetum.types import Id, Modality, Tracklet, TrackletSet

_HEIGHT = 112
_ACROSS = 7
"""Corruptions side by side on a sheet."""
_LABEL, _MARGIN = 18, 12


@dataclass(frozen=True, slots=True)
class CorruptionExample:
    """One corruption with a strip for each modality that it happens to."""

    name: str
    family: str
    about: str
    strips: tuple[SampleStrip, ...]


class ExampleFrames:
    """The middle frame of a tracklet of each modality, corrupted: the pixels that a model is scored on."""

    def __init__(self, tracklets: TrackletSet, height: int, width: int, *, seed: int = 0) -> None:
        """Choose the first tracklets of a person who has both modalities, where there is one.

        Args:
            tracklets: Where to choose from.
            height: Of a frame that the model takes, in pixels.
            width: Of a frame that the model takes, in pixels.
            seed: Of the corruptions.
        """
        self.tracklets, self._seed = _one_of_each(tracklets), seed
        self._files = FrameFiles(self.tracklets, height, width)

    def pictures(
        self, corruption: Corruption, severities: Sequence[int]
    ) -> Iterator[tuple[Tracklet, list[Image.Image]]]:
        """Each tracklet that the corruption happens to, with a picture for each severity; 0 is clean.

        Raises:
            DataError: A frame cannot be read.
        """
        for row, tracklet in enumerate(self.tracklets):
            if corruption.applies_to(tracklet.modality):
                yield (
                    tracklet,
                    [self._picture(row, self._corrupted(corruption, severity)) for severity in severities],
                )

    def clean(self) -> list[Image.Image]:
        """The frames as they are, one of each modality.

        Raises:
            DataError: A frame cannot be read.
        """
        return [self._picture(row, self._files) for row in range(len(self.tracklets))]

    def _corrupted(self, corruption: Corruption, severity: int) -> FrameSource:
        return CorruptedFrames(self._files, self.tracklets, corruption, severity, seed=self._seed)

    def _picture(self, row: int, source: FrameSource) -> Image.Image:
        """The middle frame, brought to the height of strips."""
        frame = source.clip(row, self._files.lengths[row : row + 1] // 2)[0]
        picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        width = max(1, round(_HEIGHT * picture.width / picture.height))
        return picture.resize((width, _HEIGHT), Image.Resampling.LANCZOS)


def corruption_examples(
    frames: ExampleFrames, corruptions: Sequence[Corruption], severities: Sequence[int]
) -> list[CorruptionExample]:
    """Each corruption with strips of the clean frame and of each severity.

    Raises:
        DataError: A frame cannot be read.
    """
    return [
        CorruptionExample(
            corruption.name,
            corruption.family,
            corruption.about,
            tuple(_strip(corruption, *found) for found in frames.pictures(corruption, (0, *severities))),
        )
        for corruption in corruptions
    ]


def draw_sheet(frames: ExampleFrames, corruptions: Sequence[Corruption], severity: int) -> Image.Image:
    """All corruptions on one sheet, each by its name with the frames that it changes, after the clean frames.

    Raises:
        DataError: A frame cannot be read.
    """
    tiles = [("clean", side_by_side(frames.clean()))]
    for corruption in corruptions:
        found = frames.pictures(corruption, (severity,))
        tiles.append((corruption.name, side_by_side([one for _, pictures in found for one in pictures])))
    across = max(tile.width for _, tile in tiles) + _MARGIN
    down = _HEIGHT + _LABEL + _MARGIN
    rows = -(-len(tiles) // _ACROSS)
    sheet = Image.new("RGB", (_MARGIN + _ACROSS * across, rows * down), light("surface"))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (title, tile) in enumerate(tiles):
        left, top = _MARGIN + number % _ACROSS * across, number // _ACROSS * down
        pen.text((left, top + 1), title, fill=light("ink"), font=font)
        sheet.paste(tile, (left, top + _LABEL))
    return sheet


def _one_of_each(tracklets: TrackletSet) -> TrackletSet:
    first: dict[Id | None, dict[Modality, Tracklet]] = {}
    for tracklet in tracklets:
        if len(tracklet.frames):
            first.setdefault(tracklet.person_id, {}).setdefault(tracklet.modality, tracklet)
    chosen = max(first.values(), key=len, default={})
    return TrackletSet(tracklets.name, tuple(chosen[modality] for modality in Modality if modality in chosen))


def _strip(corruption: Corruption, tracklet: Tracklet, pictures: Sequence[Image.Image]) -> SampleStrip:
    modality = tracklet.modality.value
    return SampleStrip(
        modality=modality,
        caption="",
        picture=data_uri(side_by_side(pictures)),
        description=f"{corruption.name} on a frame of tracklet {tracklet.tracklet_id}, {modality}",
    )
