"""Training of a tokenizer on one's own images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from ..inspection import unwrapped
from ..losses import (
    PerceptualLoss,
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
    quantization_losses,
    reconstruction_loss,
)
from ..pixel_values import IMAGES_TO_UNIT_RANGE
from ..tokenizers.vqgan import Autoencoded
from .codebook_usage import CodebookUsage
from .frozen import FrozenParts


@MODELS.register_module()
class VQGANTrainer(FrozenParts, BaseModel):
    """Trains a VQGAN as in its paper (equations 4 to 7).

    With a discriminator, ``optim_wrapper`` has the parts 'tokenizer' and 'discriminator', see
    :class:`mmaddp.PartsOptimWrapperConstructor`; otherwise it is a single one. Several processes
    need ``model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel')``.

    Args:
        tokenizer: :class:`mmaddp.models.VQGAN`; with an ``init_cfg`` it is trained further.
        commitment: Weight beta of the commitment loss.
        quantize_from: Iteration at which quantization begins. Early features drift faster than
            codes follow, and the commitment loss would collapse them to one point.
        perceptual: ``dict(weights=PATH)`` adds :class:`mmaddp.models.losses.PerceptualLoss`.
        perceptual_weight: Its weight relative to the reconstruction loss.
        discriminator: :class:`mmaddp.models.PatchDiscriminator`; None for no adversarial loss.
        adversarial_weight: Factor of the adaptive weight of equation 7.
        adversarial_start: Iteration at which discriminator and adversarial loss begin.
        codebook_usage: Arguments of :class:`CodebookUsage`.
        data_preprocessor: Must give images in [0, 1], RGB.
        init_cfg: As for any module of MMEngine.
    """

    def __init__(
        self,
        tokenizer: dict,
        commitment: float = 0.25,
        quantize_from: int = 0,
        perceptual: dict | None = None,
        perceptual_weight: float = 1.0,
        discriminator: dict | None = None,
        adversarial_weight: float = 0.8,
        adversarial_start: int = 0,
        codebook_usage: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or IMAGES_TO_UNIT_RANGE, init_cfg)
        self.commitment, self.perceptual_weight = commitment, perceptual_weight
        self.quantize_from, self.adversarial_weight = quantize_from, adversarial_weight
        self.adversarial_start = adversarial_start
        self.tokenizer = MODELS.build(tokenizer)
        self.usage = CodebookUsage(
            self.tokenizer.num_embeddings,
            **{'trained': self.tokenizer.init_cfg is not None, **(codebook_usage or {})},
        )
        self.discriminator = MODELS.build(discriminator) if discriminator else None
        self.perceptual = PerceptualLoss(**perceptual) if perceptual else None
        self.freeze(*(['perceptual'] if perceptual else []))
        # Checkpoints of one process and of several have the same names.
        self._register_state_dict_hook(_without_wrappers)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> Tensor:
        """Reconstruct images; training goes through :meth:`train_step` alone.

        Args:
            inputs: (B, 3, H, W) in [0, 1]; H and W multiples of 16.
            data_samples: Unused.
            mode: 'tensor'.

        Returns:
            (B, 3, H, W), about [0, 1], not clamped.

        Raises:
            UserError: Another mode, which MMEngine's default wrapper for several processes uses.
        """
        if mode != 'tensor':
            raise UserError(
                f"mode='{mode}': several processes train this model with "
                "model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel')"
            )
        return self.tokenizer(inputs).images

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Update the tokenizer, then the discriminator, both on the same reconstructions.

        Raises:
            UserError: The optimizer wrappers do not fit the model's parts.
        """
        # As in VQGAN's code, the tokenizer is updated first.
        wrappers = self.check_wrappers(optim_wrapper)
        with wrappers['tokenizer'].optim_context(self.tokenizer):
            images = self.data_preprocessor(data, True)['inputs']
            output = self.tokenizer(images, self.is_quantized())
            losses = self.tokenizer_losses(images, output)
        loss, logged = self.parse_losses(losses)
        wrappers['tokenizer'].update_params(loss)
        if self.is_adversarial():
            with wrappers['discriminator'].optim_context(self.discriminator):
                # Detached: the discriminator's loss must not reach the decoder.
                loss = self.discriminator_loss(images, output.images.detach())
            wrappers['discriminator'].update_params(loss)
            # 'loss' is what training logs as the total.
            logged.update(loss_discriminator=loss, loss=logged['loss'] + loss)
        if self.is_quantized():
            # Codes that nothing has used move to features of this batch.
            self.usage.revive(unwrapped(self.tokenizer).codebook, output.features)
            logged['codebook_perplexity'] = self.usage.count(output.ids)
        return logged

    def tokenizer_losses(self, images: Tensor, output: Autoencoded) -> dict[str, Tensor]:
        """Equation 4, and the decoder's share of the adversarial loss."""
        losses = dict(loss_reconstruction=reconstruction_loss(output.images, images))
        if self.perceptual is not None:
            perceptual = self.perceptual(output.images, images)
            losses['loss_perceptual'] = self.perceptual_weight * perceptual
        if self.is_adversarial():
            losses.update(self.adversarial_loss(output.images, sum(losses.values())))
        codebook, commitment = quantization_losses(output.features, output.codes, self.commitment)
        # Zero rather than absent: distributed training averages the gradient of every parameter.
        weight = float(self.is_quantized())
        losses.update(loss_codebook=weight * codebook, loss_commitment=weight * commitment)
        return losses

    def adversarial_loss(self, decoded: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        """The decoder's adversarial loss with its adaptive weight (equation 7)."""
        # The decoder learns from the scores, the discriminator does not.
        discriminator = unwrapped(self.discriminator)
        discriminator.requires_grad_(False)
        loss = hinge_generator_loss(discriminator(decoded))
        discriminator.requires_grad_(True)
        # lambda compares the two gradients at the decoder's last layer, G_L in equation 7.
        last_layer = unwrapped(self.tokenizer).decoder.conv_out.weight
        weight = self.adversarial_weight * adaptive_weight(reconstruction, loss, last_layer)
        return dict(loss_adversarial=weight * loss, adversarial_weight=weight)

    def discriminator_loss(self, images: Tensor, decoded: Tensor) -> Tensor:
        """The discriminator's loss, equation 5 with the hinge of VQGAN's code."""
        # One pass for both halves: (2B, 3, H, W) -> two maps of scores (B, 1, h, w).
        real, fake = self.discriminator(torch.cat([images, decoded.to(images)])).chunk(2)
        return hinge_discriminator_loss(real, fake)

    def is_adversarial(self) -> bool:
        """Whether there is a discriminator that has begun."""
        return self.discriminator is not None and iteration() >= self.adversarial_start

    def is_quantized(self) -> bool:
        """Whether quantization has begun."""
        return iteration() >= self.quantize_from

    def check_wrappers(self, optim_wrapper: OptimWrapper) -> Mapping[str, OptimWrapper]:
        """The optimizer wrapper of each part by name."""
        parts = ['tokenizer', *(['discriminator'] if self.discriminator is not None else [])]
        if not isinstance(optim_wrapper, OptimWrapperDict) and len(parts) == 1:
            return {'tokenizer': optim_wrapper}
        given = sorted(getattr(optim_wrapper, 'optim_wrappers', {}))
        if given != sorted(parts):
            raise UserError(
                f'optim_wrapper has the parts {given}, the model {sorted(parts)}: set '
                "constructor='mmaddp.PartsOptimWrapperConstructor' and one wrapper for each"
            )
        return optim_wrapper.optim_wrappers


def iteration() -> int:
    """The current iteration of the training, 0 outside one."""
    return MessageHub.get_current_instance().get_info('iter', 0)


def _without_wrappers(module: VQGANTrainer, state: dict, prefix: str, metadata: Any) -> None:
    """Leave the names of wrappers out of the names of weights."""
    for name, child in module.named_children():
        if is_model_wrapper(child):
            for key in [key for key in state if key.startswith(f'{prefix}{name}.module.')]:
                # Only the first occurrence is the wrapper's.
                state[key.replace(f'{name}.module.', f'{name}.', 1)] = state.pop(key)
