"""Products of a few vectors with a whole gallery, by the fastest exact way the device has."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEAST_ROWS = 64


class NegativeProducts:
    """Negative dot products with a fixed gallery: a distance for L2-normalised vectors.

    On a processor float32 goes through a 1x1 convolution, which oneDNN computes: as fast as or up to twice as
    fast as the default matrix product, with the same precision.

    A distance does not depend on what else is in the call: kernels add up few rows in another order than
    many, so few are filled up with zeros. Equal gallery items get equal distances.
    """

    def __init__(self, gallery: Tensor) -> None:
        """Prepare `gallery` `[G, D]`."""
        self._convolve = (
            gallery.device.type == "cpu"
            and gallery.dtype == torch.float32
            and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        )
        self._gallery = gallery[:, :, None, None] if self._convolve else gallery.T

    def __call__(self, vectors: Tensor) -> Tensor:
        """`[b, G]`, minus the dot product of each of the `vectors` `[b, D]` with each gallery item."""
        rows = len(vectors)
        vectors = functional.pad(vectors, (0, 0, 0, max(0, _LEAST_ROWS - rows)))
        return self._products(vectors)[:rows]

    def _products(self, vectors: Tensor) -> Tensor:
        if not self._convolve:
            return torch.mm(-vectors, self._gallery)
        pixels = (-vectors)[None, :, None, :].permute(0, 3, 1, 2)  # [1, D, b, 1], channels last
        return functional.conv2d(pixels, self._gallery).permute(0, 2, 3, 1).reshape(len(vectors), -1)
