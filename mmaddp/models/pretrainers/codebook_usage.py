"""The use of a codebook's codes, and the revival of unused ones."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, broadcast
from torch import Tensor, nn


class CodebookUsage(nn.Module):
    """Keeps a codebook from collapsing to a few codes.

    A code that is nearest to no feature gets no gradient and stays unused. A running mean follows
    the share of tokens of each code. If it falls below a fraction of the fair share 1/K, the code
    takes the value of a random feature of the batch, as in Jukebox (section 3.1). The first batch
    does so for all codes.

    Args:
        num_embeddings: K.
        trained: The codes are in use already, because a trained tokenizer is trained further.
        decay: Decay of the running mean in each batch.
        dead_below: Fraction of 1/K below which a code is revived.
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
        # A buffer of the checkpoint, so that a resumed training revives the same codes.
        self.register_buffer('share', torch.full((num_embeddings,), fair if trained else 0.0))

    @torch.no_grad()
    def revive(self, codebook: Tensor, features: Tensor) -> None:
        """Give unused codes the values of features; all processes choose the same.

        Args:
            codebook: (K, E), changed in place.
            features: (B, N, E) of the current batch.
        """
        # A fair share is 1/K.
        dead = self.share < self.dead_below / self.num_embeddings
        candidates = features.detach().flatten(0, 1).to(codebook)
        chosen = candidates[torch.randint(len(candidates), (self.num_embeddings,))]
        broadcast(chosen)
        codebook.copy_(torch.where(dead[:, None], chosen, codebook))
        # A revived code gets a fair share, and with it time to be used.
        self.share.masked_fill_(dead, 1 / self.num_embeddings)

    @torch.no_grad()
    def count(self, ids: Tensor) -> Tensor:
        """Update the shares by a batch of all processes.

        Args:
            ids: (B, N) token ids of this process.

        Returns:
            Perplexity of the tokens of all processes, in [1, K].
        """
        counts = torch.bincount(ids.flatten(), minlength=self.num_embeddings).float()
        all_reduce(counts)
        share = counts / counts.sum()
        self.share.lerp_(share, 1 - self.decay)
        # Perplexity: exp of the entropy -sum p log p.
        return torch.special.entr(share).sum().exp()
