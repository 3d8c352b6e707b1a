"""Learnable prompts: one sentence per training identity, shared by both modalities.

CLIP-ReID (Li et al., AAAI 2023) learns the four tokens in the gap of "A photo of a X X X X person."; sharing
the prompt between visible and infrared follows the video-based language-driven line of work.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tapetum.models.backbones.text import TextTransformer
from tapetum.models.text import PromptTemplate

_INITIAL_STD = 0.02


class SharedPrompts(nn.Module):
    """One prompt per identity: a fixed sentence around n learnable tokens.

    The text features of all identities are `text.encode_embeddings(*prompts())`. The fixed words are copied
    from the text tower at construction and do not follow it.

    Attributes:
        tokens: The learnable tokens `[I, n, W]`.
        end: Position of the end token, the same in every prompt.
    """

    prefix: Tensor
    suffix: Tensor

    def __init__(self, text: TextTransformer, template: PromptTemplate, identities: int) -> None:
        """Draw the learnable tokens from a normal distribution of standard deviation 0.02.

        Args:
            text: Where the fixed words' embeddings come from.
            template: The sentence.
            identities: I, number of training identities.

        Raises:
            ValueError: No identity, or a template longer than the tower's context or outside its vocabulary.
        """
        super().__init__()
        _check_fit(text, template, identities)
        weight = text.token_embedding.weight
        ids = torch.tensor(template.ids, device=weight.device)
        fixed = text.embed_tokens(ids).detach().clone()
        self.register_buffer("prefix", fixed[: template.first])
        self.register_buffer("suffix", fixed[template.first + template.count :])
        self.tokens = nn.Parameter(weight.new_empty(identities, template.count, weight.shape[1]))
        self.end = len(template.ids) - 1
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the learnable tokens anew."""
        nn.init.normal_(self.tokens, std=_INITIAL_STD)

    def forward(self, labels: Tensor | None = None) -> tuple[Tensor, int]:
        """Token embeddings `[I, L, W]` of the prompts, L positions in use, and the position of the end token.

        Args:
            labels: int64 `[N]`: the prompts of these identities, `[N, L, W]`; None: of all, in label order.
        """
        tokens = self.tokens if labels is None else self.tokens[labels]
        before, after = (part.expand(tokens.shape[0], -1, -1) for part in (self.prefix, self.suffix))
        return torch.cat([before, tokens, after], dim=1), self.end

    def own_tokens(self, labels: Tensor | None = None) -> Tensor:
        """Token embeddings `[I, L - P, W]` without the P tokens of `prefix`; `labels` as in `forward`.

        With them, `text.encode_embeddings(prompts.own_tokens(), prompts.end, prefix=prompts.prefix)` runs the
        words that all prompts begin with once for all.
        """
        return self(labels)[0][:, self.prefix.shape[0] :]  # type: ignore[no-any-return]


def _check_fit(text: TextTransformer, template: PromptTemplate, identities: int) -> None:
    config = text.config
    if identities < 1:
        raise ValueError(f"{identities} identities: prompts need at least one")
    if len(template.ids) > config.context_length:
        raise ValueError(
            f"template of {len(template.ids)} tokens; the text tower takes {config.context_length}"
        )
    if max(template.ids) >= config.vocab_size:
        raise ValueError(
            f"template has token id {max(template.ids)}; the text tower knows {config.vocab_size} ids. The "
            "sentences DAY_AND_NIGHT and PHOTO are for CLIP's vocabulary; see PromptTemplate.parse"
        )
