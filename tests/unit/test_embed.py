import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from tapetum.data.frames import FrameFiles
from tapetum.embed import embed
from tapetum.errors import DataError
from tapetum.methods._base import Method, MethodConfig
from tapetum.methods._checkpoint import fingerprint
from tapetum.types import Modality, Tracklet, TrackletSet

HEIGHT, WIDTH, FRAMES = 16, 8, 2


class Colours(Method):
    """A linear layer over the mean colour of a clip, with dropout to notice training mode."""

    name = "colours"

    def __init__(self, sampling="chunk-first"):
        super().__init__(
            MethodConfig(height=HEIGHT, width=WIDTH, frames=FRAMES, test_sampling=sampling), 1, 1
        )
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 5)
        self.dropout = nn.Dropout(0.5)
        self.frozen = nn.BatchNorm1d(5).eval()
        self.calls = []
        self.dtypes = []

    @property
    def embedding_dim(self):
        return 5

    def stages(self):
        return []

    def encode(self, clips, *, modality=None, camera_ids=None):
        self.calls.append((len(clips), list(modality), camera_ids))
        hidden = self.layer(clips.mean(dim=(1, 3, 4)))
        self.dtypes.append(hidden.dtype)
        return F.normalize(self.frozen(self.dropout(hidden)).float(), dim=1)


@pytest.fixture
def tracklets(tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for number, length in enumerate([2, 5, 1, 4, 3]):
        frames = []
        for frame in range(length):
            path = tmp_path / f"{number}-{frame}.png"
            Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)
            frames.append(str(path))
        modality = Modality.INFRARED if number % 2 else Modality.VISIBLE
        found.append(Tracklet(f"t{number}", tuple(frames), modality, person_id=number, camera_id=number + 1))
    return TrackletSet("five", tuple(found))


def clip_embedding(method, tracklet, positions):
    frames = [np.asarray(Image.open(tracklet.frames[p])) for p in positions]
    pixels = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[None]
    with torch.no_grad():
        return method.eval().encode(method.preprocessing.normalise(pixels), modality=[tracklet.modality])[0]


def test_rows_are_the_clip_of_each_tracklet(tracklets):
    method = Colours()
    found = embed(method, tracklets, batch_size=2)
    positions = [(0, 1), (0, 3), (0, 0), (0, 2), (0, 2)]  # the first of two chunks; the last repeats
    expected = [clip_embedding(method, t, p) for t, p in zip(tracklets, positions, strict=True)]
    np.testing.assert_allclose(found.vectors, torch.stack(expected).numpy(), rtol=1e-5, atol=1e-6)
    assert found.vectors.dtype == np.float32
    assert found.tracklets is tracklets
    assert found.model == fingerprint(method)


def test_dense_clips_are_averaged_then_normalised(tracklets):
    method = Colours("dense")
    found = embed(method, tracklets, batch_size=3)
    clips = [(0, 1), (2, 3), (4, 4)]  # five frames: the last clip is filled from its own start
    mean = sum(clip_embedding(method, tracklets[1], p).double() for p in clips) / 3
    np.testing.assert_allclose(found.vectors[1], F.normalize(mean, dim=0).numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)


class Side(Colours):
    """The same over the left half of the frames alone."""

    def encode(self, clips, *, modality=None, camera_ids=None):
        return super().encode(clips[..., : WIDTH // 2], modality=modality, camera_ids=camera_ids)


def test_mirror_images_are_added_then_normalised(tracklets):
    method = Side("dense")
    found = embed(method, tracklets, batch_size=3, flip=True).vectors
    for row, clips in ((0, [(0, 1)]), (1, [(0, 1), (2, 3), (4, 4)])):
        sums = []
        for positions in clips:
            frames = [np.asarray(Image.open(tracklets[row].frames[p])) for p in positions]
            both = np.stack([frames, [f[:, ::-1] for f in frames]])
            pixels = torch.from_numpy(both.copy()).permute(0, 1, 4, 2, 3)
            with torch.no_grad():
                one, mirrored = method.eval().encode(
                    method.preprocessing.normalise(pixels), modality=[None] * 2
                )
            sums.append(F.normalize(one + mirrored, dim=0))
        expected = F.normalize(sum(sums), dim=0).numpy()
        np.testing.assert_allclose(found[row], expected, atol=1e-6)
        assert not np.allclose(found[row], embed(method, tracklets).vectors[row], atol=1e-3)


class Sides(Side):
    mirror = "append"


def test_mirror_images_are_appended_where_the_method_says_so(tracklets):
    """The product of two rows is the mean of that of the clips and that of their mirror images."""
    method = Sides()
    found = embed(method, tracklets, flip=True).vectors.astype(np.float64)
    plain = embed(method, tracklets).vectors.astype(np.float64)
    length = plain.shape[1]
    assert found.shape == (len(tracklets), 2 * length)
    np.testing.assert_allclose(found[:, :length] * 2**0.5, plain, atol=1e-6)
    mirrored = found[:, length:] * 2**0.5
    assert not np.allclose(mirrored, plain, atol=1e-3)
    np.testing.assert_allclose(found @ found.T, (plain @ plain.T + mirrored @ mirrored.T) / 2, atol=1e-6)
    assert embed(method, TrackletSet("none", ()), flip=True).vectors.shape == (0, 2 * length)


@pytest.mark.parametrize("sampling", ["chunk-first", "uniform", "dense"])
def test_order_and_batch_size_change_nothing(tracklets, sampling):
    method = Colours()
    found = embed(method, tracklets, sampling=sampling).vectors
    order = [3, 1, 4, 0, 2]
    shuffled = TrackletSet("shuffled", tuple(tracklets[i] for i in order))
    again = embed(method, shuffled, sampling=sampling, batch_size=1).vectors
    np.testing.assert_allclose(again, found[order], atol=1e-6)


def test_method_is_given_back_in_its_mode(tracklets):
    method = Colours().train()
    method.frozen.eval()
    first, second = embed(method, tracklets), embed(method, tracklets)
    np.testing.assert_array_equal(first.vectors, second.vectors)  # no dropout
    assert (method.training, method.dropout.training, method.frozen.training) == (True, True, False)


def test_method_is_given_back_in_its_mode_after_an_error(tracklets):
    method = Colours().train()
    broken = TrackletSet("broken", (*tracklets, Tracklet("gone", ("/nowhere.png",), Modality.VISIBLE)))
    with pytest.raises(DataError, match=r"nowhere\.png"):
        embed(method, broken)
    assert method.training


def test_modality_and_camera_of_each_clip_reach_the_method(tracklets):
    method = Colours()
    embed(method, tracklets, batch_size=3)
    modalities = [t.modality for t in tracklets]
    assert method.calls == [(3, modalities[:3], [1, 2, 3]), (2, modalities[3:], [4, 5])]
    method.calls.clear()
    unknown = Tracklet("x", tracklets[0].frames, Modality.VISIBLE)
    embed(method, TrackletSet("unknown", (tracklets[0], unknown)))
    assert method.calls == [(2, [modalities[0], Modality.VISIBLE], [1, None])]


def test_progress_counts_tracklets(tracklets):
    calls = []
    embed(Colours("dense"), tracklets, batch_size=4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(2, 5), (5, 5), (5, 5)]  # the last tracklet has clips in two batches


def test_precision_acts_and_keeps_the_direction(tracklets):
    method = Colours()
    full = embed(method, tracklets).vectors
    half = embed(method, tracklets, precision="bf16").vectors
    assert method.dtypes == [torch.float32, torch.bfloat16]
    assert half.dtype == np.float32
    assert (full * half).sum(axis=1).min() > 0.999


def test_cached_frames_give_the_same(tracklets):
    method = Colours()
    source = FrameFiles(tracklets, HEIGHT, WIDTH)
    np.testing.assert_array_equal(
        embed(method, tracklets, cache=source).vectors, embed(method, tracklets).vectors
    )


def test_no_tracklets_give_no_rows():
    found = embed(Colours(), TrackletSet("none", ()), device="cpu")
    assert found.vectors.shape == (0, 5)


def test_what_is_not_finite_is_refused_by_name(tracklets):
    method = Colours()
    with torch.no_grad():
        method.layer.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"tracklet t0 is not finite \(5 of 5"):
        embed(method, tracklets)


def test_unknown_precision_is_refused(tracklets):
    with pytest.raises(ValueError, match="unknown precision 'fp8'; known: 32, bf16"):
        embed(Colours(), tracklets, precision="fp8")
