"""CLIP's text tower: a causal transformer read at the end token.

Causal attention means that nothing after the end token reaches it, so every call runs only the positions in
use: equal numbers, and about six times cheaper for a prompt of 16 tokens than all 77.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tapetum.models.backbones.blocks import Activation, AttentionPattern, Tower, attend, attend_causally


@dataclass(frozen=True)
class TextConfig:
    """Shape of a text tower; the defaults are those of CLIP ViT-B/16.

    Attributes:
        vocab_size: Number of token ids; the end token is the largest.
        context_length: Longest text in tokens, start and end included.
        width: W, length of a token.
        layers: Number of blocks.
        heads: Attention heads of a block.
        output_dim: Length of the joint embedding.
        activation: Of the MLPs; belongs to the weights.
        mlp_ratio: Hidden width of the MLPs over `width`.
    """

    vocab_size: int = 49408
    context_length: int = 77
    width: int = 512
    layers: int = 12
    heads: int = 8
    output_dim: int = 512
    activation: Activation = "quick_gelu"
    mlp_ratio: float = 4.0


TEXT_B = TextConfig()
"""The text tower of CLIP ViT-B/16."""


class _Remembered:
    """A pattern that keeps the keys and values it was given.

    Attributes:
        keys: `[N, L, heads, head_dim]`, once it was called.
        values: The same of the values.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, pattern: AttentionPattern) -> None:
        self._pattern = pattern

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
        self.keys, self.values = k, v
        return self._pattern(q, k, v)


class _After:
    """A pattern over a row's own tokens behind those of a prefix that all rows share."""

    def __init__(self, prefix: _Remembered, pattern: AttentionPattern) -> None:
        self._prefix, self._pattern = prefix, pattern

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, /) -> Tensor:
        shape = (k.shape[0], -1, -1, -1)
        keys = torch.cat([self._prefix.keys.expand(shape), k], dim=1)
        return self._pattern(q, keys, torch.cat([self._prefix.values.expand(shape), v], dim=1))


class TextTransformer(Tower):
    """The text tower: token ids, or embeddings in their place, to joint embeddings.

    Attributes:
        config: Shape of the tower.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config.width, config.layers, config.heads, config.activation, config.mlp_ratio)
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.ln_final = nn.LayerNorm(config.width)
        self.projection = nn.Linear(config.width, config.output_dim, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights as OpenAI does."""
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.projection.weight, std=self.config.width**-0.5)
        self.reset_blocks()

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Token embeddings `[N, L, W]` of ids `[N, L]`, without positions."""
        return self.token_embedding(ids)  # type: ignore[no-any-return]

    def forward(self, ids: Tensor) -> Tensor:
        """Joint embeddings `[N, output_dim]`, not normalised, of texts.

        Args:
            ids: int64 `[N, L]`, L up to the context length; each row is read at its largest id, the end
                token, and what follows it has no influence.
        """
        end = ids.argmax(dim=-1)
        first, last = torch.stack(torch.aminmax(end)).tolist()
        embeddings = self.embed_tokens(ids[:, : last + 1])
        return self.encode_embeddings(embeddings, last if first == last else end)

    def encode_embeddings(
        self, embeddings: Tensor, end: Tensor | int, *, prefix: Tensor | None = None
    ) -> Tensor:
        """Joint embeddings `[N, output_dim]` of token embeddings; gradients flow back to them.

        Args:
            embeddings: `[N, L, W]` without positions, L up to the context length.
            end: Position of the end token: int64 `[N]`, or one for all rows (cheaper: later positions are not
                run, and the last block computes that one token).
            prefix: `[P, W]`, embeddings of tokens that every row begins with and `embeddings` leaves out;
                `end` counts them too. They see nothing of the rows, so they are run once for all: equal
                numbers.

        Raises:
            ValueError: More positions than the context has, an `end` outside the text, or a prefix where rows
                end in different places.
        """
        length = embeddings.shape[1] + (0 if prefix is None else prefix.shape[0])
        if length > self.config.context_length:
            raise ValueError(f"{length} tokens given to a text tower of {self.config.context_length}")
        if isinstance(end, int):
            if not 0 <= end < length:
                raise ValueError(f"end token at position {end} of {length} tokens")
            if prefix is not None:
                return self._encode_after(prefix, embeddings, end)
            return self._encode_common_end(embeddings, end)
        if prefix is not None:
            raise ValueError("a common prefix needs one end for all rows")
        x = embeddings + self.positional_embedding[:length]
        for index in range(len(self.blocks)):
            x = self.run_block(index, x, attend_causally)
        return self._finish(x[torch.arange(x.shape[0], device=x.device), end])

    def _encode_common_end(self, embeddings: Tensor, end: int) -> Tensor:
        """The end token sees all tokens before it: in the last block it leads the row as the only query."""
        x = embeddings[:, : end + 1] + self.positional_embedding[: end + 1]
        last = len(self.blocks) - 1
        for index in range(last):
            x = self.run_block(index, x, attend_causally)
        return self._finish(self.run_block(last, x.roll(1, dims=1), queries=1)[:, 0])

    def _encode_after(self, prefix: Tensor, embeddings: Tensor, end: int) -> Tensor:
        """The rows' own tokens, which in each block also see the keys and values of the common prefix."""
        first, last = prefix.shape[0], len(self.blocks) - 1
        common = (prefix + self.positional_embedding[:first])[None]
        x = embeddings[:, : end + 1 - first] + self.positional_embedding[first : end + 1]
        for index, block in enumerate(self.blocks.children()):
            seen = _Remembered(attend_causally)
            common = block(common, seen)
            if index < last:
                x = self.run_block(index, x, _After(seen, attend_causally))
        return self._finish(self.run_block(last, x.roll(1, dims=1), _After(seen, attend), queries=1)[:, 0])

    def _finish(self, tokens: Tensor) -> Tensor:
        return self.projection(self.ln_final(tokens))  # type: ignore[no-any-return]
