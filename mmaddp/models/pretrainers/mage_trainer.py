"""MAGE: training of a token predictor, and generation with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.diffusion import ImageNoise, MAGESampler, MAGEStep, masks_from_noise
from mmaddp.registry import MODELS
from mmaddp.utils import check_range

from ..inspection import gray_out
from ..losses import masked_token_loss
from ..pixel_values import IMAGES_TO_UNIT_RANGE
from .base import Start, TokenGenerator


@MODELS.register_module()
class MAGETrainer(TokenGenerator):
    """MAGE's masked-token objective on the tokens of a frozen tokenizer (its section 3.2).

    Args:
        tokenizer: :class:`mmaddp.models.VQGAN`.
        token_predictor: :class:`mmaddp.models.MAGE`, which learns.
        mean: Mean of the normal distribution of mask ratios before it is truncated.
        std: Its std.
        min_ratio: Smallest mask ratio, in (0, 1); also the share of tokens the encoder drops.
        label_smoothing: Share of the target that is spread over the K codes.
        code_embeddings: Start the predictor's embeddings from the tokenizer's codebook. On few
            images the loss then falls faster. Not in MAGE.
        frozen_dtype: 'float32', 'bfloat16' or 'float16' for the tokenizer; None for the precision
            of the rest.
        data_preprocessor: Must give images in [0, 1], RGB.
        init_cfg: As for any module of MMEngine.

    Raises:
        UserError: The parts have different numbers of codes, or an option is out of range.
    """

    checkpoint_prefixes = ('token_predictor.',)

    def __init__(
        self,
        tokenizer: dict,
        token_predictor: dict,
        mean: float = 0.55,
        std: float = 0.25,
        min_ratio: float = 0.5,
        label_smoothing: float = 0.1,
        code_embeddings: bool = False,
        frozen_dtype: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or IMAGES_TO_UNIT_RANGE, init_cfg)
        check_range('model.min_ratio', min_ratio, 0, 1)
        self.mean, self.std, self.min_ratio = mean, std, min_ratio
        self.label_smoothing, self.code_embeddings = label_smoothing, code_embeddings
        self.set_frozen_dtype(frozen_dtype)
        self.tokenizer = MODELS.build(tokenizer)
        self.token_predictor = MODELS.build(token_predictor)
        codes = {'tokenizer': self.tokenizer.num_embeddings, 'token_predictor': self.num_codes}
        self.check_agreement('num_embeddings', codes)
        self.freeze('tokenizer')

    def init_weights(self) -> None:
        """Initialize all parts, then the embeddings by the tokenizer."""
        super().init_weights()
        if self.code_embeddings:
            self.start_from_codes(self.token_predictor, self.token_predictor.token_embed.word)

    @property
    def num_patches(self) -> int:
        """N, positions of an image."""
        return self.token_predictor.num_patches

    @property
    def num_codes(self) -> int:
        """K, codes of the tokenizer."""
        return self.token_predictor.vocabulary.num_codes

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'loss'
    ) -> dict[str, Tensor]:
        """Loss of a batch.

        Args:
            inputs: (B, 3, H, W) in [0, 1], or precomputed token ids (B, N), int64.
            data_samples: Unused.
            mode: Unused; there is only the loss.
        """
        # (B, N), precomputed or from the frozen tokenizer
        ids = self.tokenize(inputs)
        mask, dropped = self.sample_masks(*ids.shape, ids.device)
        # The loss scores the K codes alone: models_mage.py of the authors, line 350.
        logits = self.token_predictor.logits(ids, mask, dropped)
        loss = masked_token_loss(logits, ids, mask, self.label_smoothing)
        return dict(loss=loss, mask_ratio=mask[0].float().mean())

    def sample_masks(self, batch: int, tokens: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """The masked tokens and those among them that the encoder drops, (B, N) bool each.

        All images have the same number of both.
        """
        # One noise for both, so that every dropped token is masked.
        num_masked = math.ceil(tokens * self.sample_ratio())
        noise = torch.rand(batch, tokens).to(device)
        # As many as the smallest ratio masks, so that the encoder's length is constant.
        num_dropped = math.ceil(tokens * self.min_ratio)
        return masks_from_noise(noise, num_masked), masks_from_noise(noise, num_dropped)

    def sample_ratio(self) -> float:
        """A mask ratio from the truncated normal distribution, in [min_ratio, 1]."""
        # Section 3.2 of MAGE: mean 0.55, std 0.25, truncated to [0.5, 1].
        return nn.init.trunc_normal_(
            torch.empty(()), self.mean, self.std, self.min_ratio, 1.0
        ).item()

    def convert_weights(self, checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
        """A released MAGE or ADDP file, or a token predictor alone."""
        # ADDP's released file holds the same predictor and tokenizer beside its own encoder.
        weights = convert_checkpoint(checkpoint, target='pretrain')
        held = {
            n: v for n, v in weights.items() if n.startswith(('token_predictor.', 'tokenizer.'))
        }
        if held:
            return held
        # A file of a predictor alone has no prefix. The config's tokenizer is kept.
        predictor = convert_checkpoint(checkpoint, target='token_predictor')
        return {f'token_predictor.{name}': tensor for name, tensor in predictor.items()}

    @property
    def samplers(self) -> dict[str, Any]:
        """MAGE's iterative decoding."""
        return {'mage': MAGESampler()}

    def sample_steps(
        self, sampler: MAGESampler, start: Start, noise: ImageNoise
    ) -> Iterator[MAGEStep]:
        """All steps of the decoding."""
        return sampler(self.token_predictor, *start, noise)

    def step_images(self, step: MAGEStep) -> Tensor:
        """The image of all sampled tokens."""
        return self.tokenizer.decode(self.tokenizer.embed(step.z))

    def step_views(self, step: MAGEStep) -> Tensor:
        """The image, and the image with positions that stay masked in gray."""
        images = self.step_images(step)
        return torch.stack([images, gray_out(images, step.m)], dim=1)
