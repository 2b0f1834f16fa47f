"""MAGE's encoder as a backbone: images become VQ tokens, which a plain ViT reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.checkpoints.judge import WeightRules, class_of, size_of
from mmaddp.checkpoints.rules import Tensors, under
from mmaddp.registry import MODELS

from ..layers import Vocabulary, interpolate_pos_embed, pad_to_multiples
from ..pixel_values import IMAGES_TO_UNIT_RANGE
from .addp_vit import ADDPViT
from .plain_vit import arch_from, positions_from

WORD, TOKENIZER = 'patch_embed.word.weight', 'patch_embed.tokenizer.'


class TokenEmbed(nn.Module):
    """Embedding of the VQ tokens of a frozen tokenizer.

    Args:
        tokenizer: :class:`mmaddp.models.VQGAN`.
        embed_dims: Channels C of a token.
    """

    def __init__(self, tokenizer: nn.Module, embed_dims: int) -> None:
        super().__init__()
        self.tokenizer = tokenizer.requires_grad_(False)
        self.vocabulary = Vocabulary(tokenizer.num_embeddings)
        self.word = nn.Embedding(len(self.vocabulary), embed_dims)
        self.patch_size = tokenizer.stride

    def forward(self, images: Tensor, with_class: bool) -> tuple[Tensor, tuple[int, int]]:
        """Embed the tokens, behind MAGE's class entry if wanted.

        Args:
            images: (B, 3, H, W) in [0, 1], padded by zeros at the right and the bottom.
            with_class: Prepend the class entry.

        Returns:
            (B, [1 +] h * w, C) in raster order, and the grid (h, w).
        """
        images = pad_to_multiples(images, self.patch_size)
        grid = tuple(side // self.patch_size for side in images.shape[-2:])
        with torch.no_grad():
            entries = self.tokenizer.encode(images)
        if with_class:
            entries = F.pad(entries, (1, 0), value=self.vocabulary.class_entry)
        return self.word(entries), grid

    def train(self, mode: bool = True) -> TokenEmbed:
        """Set the mode; the tokenizer stays in evaluation mode."""
        super().train(mode)
        self.tokenizer.eval()
        return self


@MODELS.register_module()
class MAGEViT(ADDPViT):
    """A ViT on VQ tokens: MAGE's encoder, or the token input of ADDP's table 1.

    The tokenizer is frozen and part of every checkpoint. Its own ``init_cfg`` fills it.

    Args:
        tokenizer: Config of :class:`mmaddp.models.VQGAN`.
        embed_drop_rate: Dropout after the embeddings, 0.1 in the authors' fine-tuning
            (models_vit_mage.py, line 88). Their blocks have none.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes a released MAGE file or a
            checkpoint of :class:`mmaddp.models.MAGETrainer`.
        **settings: As for :class:`ADDPViT`, except for those of patches and ``drop_rate``.
    """

    prefix_token = ''
    pixel_values = IMAGES_TO_UNIT_RANGE
    # The norm of the embeddings stays in the authors' fine-tuning.
    transfer_settings = dict(final_norm=False)

    def __init__(
        self,
        tokenizer: dict,
        embed_drop_rate: float = 0.1,
        init_cfg: dict | None = None,
        **settings: Any,
    ) -> None:
        tokenizer = MODELS.build(tokenizer)
        super().__init__(patch_size=tokenizer.stride, init_cfg=init_cfg, **settings)
        if self.with_cls_token:
            del self.cls_token  # an entry of the vocabulary instead
        self.patch_embed = TokenEmbed(tokenizer, self.embed_dims)
        self.embed_drop = nn.Dropout(embed_drop_rate)
        self.freeze()

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """See :class:`Loadable`: a ViT with a table of vocabulary entries."""
        if WORD not in state:
            return None
        entries = size_of(state, (r'patch_embed\.word\.weight', 0))
        tensors = under(state, TOKENIZER)
        kind = class_of(tensors, 'tokenizer') if tensors else None
        # Entries are K codes and those that an empty vocabulary has too.
        codes = dict(num_embeddings=entries - len(Vocabulary(0)))
        sizes = kind.settings_from(tensors) if kind else codes
        # The tokenizer, and with it the size of a token, may be missing from the file.
        side, has_prefix = positions_from(state)
        rel_pos = any('.attn.rel_pos_' in name for name in state)
        return dict(
            tokenizer=dict(type=kind.__name__ if kind else 'VQGAN', **sizes),
            arch=arch_from(state),
            img_size=side * 16,
            with_cls_token=not rel_pos and has_prefix,
            use_rel_pos=rel_pos,
            embed_norm=any(name.startswith('embed_norm.') for name in state),
            final_norm=any(name.startswith('norm.') for name in state),
        )

    @property
    def weight_rules(self) -> WeightRules:
        """As for other ViTs; a file may lack the tokenizer."""
        return replace(super().weight_rules, filled=[r'patch_embed\.tokenizer'])

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Token, class and position embeddings: (B, 3, H, W) -> (B, [1 +] N, C), (h, w)."""
        tokens, grid = self.patch_embed(images, self.with_cls_token)
        tokens = tokens + interpolate_pos_embed(self.pos_embed, grid, int(self.with_cls_token))
        return self.normalize_embeddings(tokens), grid

    def init_parameters(self) -> None:
        """Initialize as MAGE does."""
        super().init_parameters()
        nn.init.normal_(self.patch_embed.word.weight, std=0.02)

    def init_weights(self) -> None:
        """Initialize the weights, then those of ``init_cfg``, then the tokenizer."""
        super().init_weights()
        self.patch_embed.tokenizer.init_weights()
