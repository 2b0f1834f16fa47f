"""Which codes of a codebook are in use, and a new start for those that are not."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, broadcast
from torch import Tensor, nn


class CodebookUsage(nn.Module):
    """Keeps a codebook from collapsing to a few codes.

    A code that no feature is nearest to gets no gradient and stays unused for ever. Its share of
    all tokens is followed by a running mean; when it falls below a fraction of the fair share 1/K,
    the code takes the value of a feature of the batch, drawn at random, as in Jukebox (section
    3.1). The first batch does so for all codes, which puts them where the features are.

    Args:
        num_embeddings: K.
        trained: The codes are used already, those of a tokenizer that is trained further.
        decay: Of the running mean, a batch.
        dead_below: The fraction of 1/K below which a code starts anew.
    """

    share: Tensor

    def __init__(
        self,
        num_embeddings: int,
        trained: bool = False,
        decay: float = 0.9,
        dead_below: float = 0.1,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.decay, self.dead_below = num_embeddings, decay, dead_below
        fair = 1 / num_embeddings
        # Part of the checkpoints, so that a resumed training revives the same codes.
        self.register_buffer('share', torch.full((num_embeddings,), fair if trained else 0.0))

    @torch.no_grad()
    def revive(self, codebook: Tensor, features: Tensor) -> None:
        """Give unused codes the values of features; all processes choose the same.

        Args:
            codebook: (K, E), changed in place.
            features: (B, N, E) of the current batch.
        """
        dead = self.share < self.dead_below / self.num_embeddings
        candidates = features.detach().flatten(0, 1).to(codebook)
        chosen = candidates[torch.randint(len(candidates), (self.num_embeddings,))]
        broadcast(chosen)
        codebook.copy_(torch.where(dead[:, None], chosen, codebook))
        self.share.masked_fill_(dead, 1 / self.num_embeddings)

    @torch.no_grad()
    def count(self, ids: Tensor) -> Tensor:
        """Follow the tokens of a batch of all processes.

        Args:
            ids: (B, N), this process's.

        Returns:
            Their perplexity: how many codes, equally frequent, would be as diverse, in [1, K].
        """
        counts = torch.bincount(ids.flatten(), minlength=self.num_embeddings).float()
        all_reduce(counts)
        share = counts / counts.sum()
        self.share.lerp_(share, 1 - self.decay)
        return torch.special.entr(share).sum().exp()
