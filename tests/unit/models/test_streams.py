import pytest
import torch
from torch import nn

from tapetum.models.streams import AUXILIARY, Segment, Streams, batch_segments, segments_of
from tapetum.types import Batch, Modality

NAMES = ("visible", "infrared", AUXILIARY)


def make_stem():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))


def make_streams(seed=0):
    """Streams whose copies differ."""
    torch.manual_seed(seed)
    streams = Streams(make_stem(), NAMES)
    for parameter in streams.parameters():
        nn.init.normal_(parameter)
    return streams


def make_images(rows, seed=1):
    return torch.randn(rows, 3, 6, 5, generator=torch.Generator().manual_seed(seed))


def test_copies_are_equal_at_first_and_independent():
    stem = make_stem()
    streams = Streams(stem, NAMES)
    assert streams.names == NAMES
    assert streams.stems["visible"] is stem
    images = make_images(2)
    outputs = [streams(images, [Segment(name, 2)]) for name in NAMES]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
    with torch.no_grad():
        stem[0].weight.add_(1)
    assert torch.equal(streams(images, [Segment("infrared", 2)]), outputs[1])
    assert not torch.equal(streams(images, [Segment("visible", 2)]), outputs[0])


@pytest.mark.parametrize(
    "order",
    [
        ["visible", "visible", "infrared", "infrared"],
        ["infrared", "visible", "infrared", "visible", AUXILIARY],
        ["visible", "infrared", "infrared", "visible"],
        ["infrared"],
        [AUXILIARY, "visible"],
    ],
)
def test_every_row_passes_its_stem_and_keeps_its_place(order):
    streams = make_streams().eval()
    images = make_images(len(order))
    outputs = streams(images, segments_of(order))
    for row, name in enumerate(order):
        alone = streams.stems[name](images[row : row + 1])
        assert torch.allclose(outputs[row : row + 1], alone, atol=1e-6), row


def test_rows_of_one_stream_share_the_statistics_of_its_batch_norm():
    streams = make_streams().train()
    images = make_images(6)
    segments = [Segment("visible", 2), Segment("infrared", 2), Segment("visible", 2)]
    outputs = streams(images, segments)
    visible = torch.cat([images[:2], images[4:]])
    expected = make_streams().train().stems["visible"](visible)
    assert torch.allclose(torch.cat([outputs[:2], outputs[4:]]), expected, atol=1e-6)
    assert streams.stems["visible"][1].num_batches_tracked == 1
    assert streams.stems[AUXILIARY][1].num_batches_tracked == 0


def test_gradients_reach_the_stems_that_were_used():
    streams = make_streams()
    streams(make_images(4), segments_of(["visible", "infrared", "visible", "infrared"])).sum().backward()
    reached = {name: stem[0].bias.grad is not None for name, stem in streams.stems.items()}
    assert reached == {"visible": True, "infrared": True, AUXILIARY: False}


def test_layout_in_memory_is_kept():
    streams = make_streams().to(memory_format=torch.channels_last)
    images = make_images(4).contiguous(memory_format=torch.channels_last)
    outputs = streams(images, segments_of(["visible", "infrared", "visible", "infrared"]))
    assert outputs.is_contiguous(memory_format=torch.channels_last)


def test_frames_of_a_clip_go_together():
    order = [Modality.INFRARED, Modality.VISIBLE, Modality.VISIBLE, Modality.INFRARED]
    assert segments_of(order, frames=3) == [("infrared", 3), ("visible", 6), ("infrared", 3)]
    assert segments_of([]) == []


def make_batch(clips, frames, views=0):
    nothing = torch.zeros(clips, dtype=torch.long)
    return Batch(torch.zeros(clips, frames, 3, 2, 2), nothing, nothing.bool(), nothing, views=views)


def test_segments_of_a_training_batch():
    assert batch_segments(make_batch(8, 1)) == [("visible", 4), ("infrared", 4)]
    assert batch_segments(make_batch(12, 2, views=4)) == [("visible", 8), ("infrared", 8), ("visible", 8)]


@pytest.mark.parametrize(("clips", "views"), [(7, 0), (8, 3), (2, 4)])
def test_a_batch_without_two_halves_is_refused(clips, views):
    with pytest.raises(ValueError, match=f"{clips} clips, {views} of them exchanged views"):
        batch_segments(make_batch(clips, 1, views))


def test_an_unknown_stream_is_named():
    with pytest.raises(ValueError, match="unknown stream 'thermal' of 1 rows; known: visible, infrared"):
        make_streams()(make_images(2), [Segment("visible", 1), Segment("thermal", 1)])


@pytest.mark.parametrize("segments", [[], [("visible", 3)], [("visible", 2), ("infrared", 0)]])
def test_segments_that_do_not_cover_the_rows_are_refused(segments):
    with pytest.raises(ValueError, match="given for 2"):
        make_streams()(make_images(2), [Segment(*s) for s in segments])


@pytest.mark.parametrize("names", [(), ("visible", "visible")])
def test_names_of_streams_must_be_told_apart(names):
    with pytest.raises(ValueError, match="expected names of streams, each once"):
        Streams(make_stem(), names)
