"""A masked autoencoder (He et al., 2022): its encoder, and the method that trains it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.diffusion import ImageNoise, masks_from_noise
from mmaddp.models.backbones import ADDPViT, BaseEncoder
from mmaddp.models.inspection import gray_out
from mmaddp.models.layers import Block, patchify, unpatchify
from mmaddp.models.pixel_values import NORMALIZED_IMAGES
from mmaddp.models.pretrainers import Pretrainer, Start
from mmaddp.models.pretrainers.base import rows_of
from mmaddp.registry import MODELS, TASK_UTILS


@MODELS.register_module()
class TinyMAEViT(ADDPViT):
    """A plain ViT that can encode a part of the patches."""

    def forward_visible(self, images: Tensor, mask: Tensor) -> Tensor:
        """Class token and visible patches: (B, 3, H, W), (B, N) bool -> (B, 1 + R, C)."""
        tokens, _ = self.embed(images)
        visible = tokens[:, 1:][~mask].unflatten(0, (len(images), -1))
        tokens = torch.cat([tokens[:, :1], visible], dim=1)
        *_, tokens = self.block_outputs(tokens, (1, tokens.shape[1] - 1))
        return self.norm(tokens)


@dataclass(frozen=True)
class FillIn:
    """Predicts all masked patches in one step; it has no settings."""


@MODELS.register_module()
class TinyMAE(Pretrainer):
    """Predicts the pixels of masked patches from the visible ones.

    N is the number of patches, P that of the values of a patch.

    Args:
        encoder: :class:`TinyMAEViT`.
        decoder_dims: Channels of the decoder, which is a single block.
        mask_schedule: Config of a mask schedule.
    """

    checkpoint_prefixes = ('encoder.', 'decoder.')

    def __init__(
        self,
        encoder: dict,
        decoder_dims: int = 32,
        mask_schedule: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or NORMALIZED_IMAGES, init_cfg)
        self.encoder = MODELS.build(encoder)
        self.mask_schedule = TASK_UTILS.build(mask_schedule or dict(type='mmaddp.MaskSchedule'))
        self.num_patches = self.encoder.pos_embed.shape[1] - 1
        self.decoder = nn.ModuleDict(
            dict(
                embed=nn.Linear(self.encoder.embed_dims, decoder_dims),
                block=Block(decoder_dims, 2),
                head=nn.Linear(decoder_dims, 3 * self.stride**2),
            )
        )
        self.mask_token = nn.Parameter(torch.zeros(decoder_dims))
        self.positions = nn.Parameter(0.02 * torch.randn(self.num_patches, decoder_dims))

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """Mean squared error of the masked patches."""
        ratio, _ = self.mask_schedule.sample()
        mask = self.random_masks(torch.rand(len(inputs), self.num_patches), ratio).to(inputs.device)
        predicted = self.decode(self.encoder.forward_visible(inputs, mask), mask)
        return dict(loss=F.mse_loss(predicted[mask], patchify(inputs, self.stride)[mask]))

    def random_masks(self, noise: Tensor, ratio: int) -> Tensor:
        """Masks (B, N) of one of the schedule's ratios."""
        return masks_from_noise(noise, self.mask_schedule.num_masked(ratio, self.num_patches))

    def decode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """All patches from the visible ones: (B, 1 + R, C), (B, N) bool -> (B, N, P)."""
        x = self.mask_token.expand(*mask.shape, -1).clone()
        x[~mask] = self.decoder.embed(tokens[:, 1:]).flatten(0, 1)
        return self.decoder.head(self.decoder.block(x + self.positions, self.grid))

    @property
    def encoder_module(self) -> BaseEncoder:
        """The network that transfers."""
        return self.encoder

    @property
    def grid(self) -> tuple[int, int]:
        """A square of patches."""
        return (int(self.num_patches**0.5),) * 2

    @property
    def stride(self) -> int:
        """Pixels of a patch."""
        return self.encoder.patch_embed.patch_size

    @property
    def samplers(self) -> dict[str, Any]:
        """One step."""
        return {'fill-in': FillIn()}

    def sample_steps(self, sampler: FillIn, start: Start, noise: ImageNoise) -> Iterator[Tensor]:
        """The known patches (B, N, P), with predictions in place of the masked ones."""
        known, mask = start
        images = unpatchify(known, self.grid, self.stride)
        predicted = self.decode(self.encoder.forward_visible(images, mask), mask)
        yield torch.where(mask[..., None], predicted, known)

    def step_images(self, step: Tensor) -> Tensor:
        """The image of the patches."""
        return self.to_unit_range(unpatchify(step, self.grid, self.stride))

    def blank(self) -> Start:
        """All patches masked."""
        shape = 1, self.num_patches
        return Start(torch.zeros(*shape, 3 * self.stride**2), torch.ones(shape, dtype=torch.bool))

    def known_values(self, images: Tensor) -> Tensor:
        """Normalized patches (B, N, P)."""
        return patchify(self.from_unit_range(images), self.stride)

    def reconstruct(self, images: Tensor, noise: ImageNoise, level: int | None = None) -> Tensor:
        """The images, with masked patches predicted from the others."""
        known = self.known_values(images)
        mask = self.random_masks(noise.uniform(known[..., 0]), ratio=0)
        return self.step_images(next(self.sample_steps(FillIn(), Start(known, mask), noise)))

    @torch.no_grad()
    def visualize(self, inputs: Tensor, seed: int = 0) -> Iterator[tuple[str, Tensor, int]]:
        """The image, what is visible of it, and its reconstruction."""
        images, noise = self.to_unit_range(inputs), ImageNoise(seed, range(len(inputs)))
        mask = self.random_masks(noise.uniform(patchify(images, self.stride)[..., 0]), ratio=0)
        noise = ImageNoise(seed, range(len(inputs)))
        views = images, gray_out(images, mask), self.reconstruct(images, noise)
        yield 'predictions', *rows_of(views)
