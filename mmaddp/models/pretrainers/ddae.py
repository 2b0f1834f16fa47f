"""DDAE's pre-training: a diffusion model of images, whose features are to be probed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmaddp.diffusion import Denoised, ImageNoise, NonLeakingAugmentation, samplers_of
from mmaddp.registry import MODELS, TASK_UTILS
from mmaddp.utils import UserError

from ..pixel_values import IMAGES_TO_SIGNED_RANGE
from .ddae_checks import AUTOENCODER, check_network, check_options, check_process
from .frozen import FrozenParts


@MODELS.register_module()
class DDAE(FrozenParts, BaseModel):
    """Denoising diffusion autoencoder: one network that generates and represents (section 3).

    The network predicts what its process asks for, unconditionally. Its features are those of
    :meth:`block_features`, of images noised to a level (section 3.2). With an autoencoder all of
    this happens to latents (section 4.2), and images are what goes in and comes out.

    Args:
        network: :class:`mmaddp.models.DDAEUNet`, :class:`mmaddp.models.DDAEDiT` or
            :class:`mmaddp.models.DiffusersUNet`. It has ``predict(x, time)`` and
            ``block_features(x, time, names=names)``. What it predicts beyond the channels of its
            input, such as DiT's variance, is not looked at.
        process: :class:`mmaddp.diffusion.DDPM` or :class:`mmaddp.diffusion.EDM`.
        augment: Probability of :class:`mmaddp.diffusion.NonLeakingAugmentation`, 0.12 in the
            paper's EDM on CIFAR-10; needs ``augment_dim=9`` of the network. None for none.
        img_size: Side of the images that are generated, in pixels.
        autoencoder: :class:`mmaddp.models.KLAutoencoder`, frozen, for a network of latents.
        data_preprocessor: Must give RGB images in [-1, 1].
        init_cfg: As for any module of MMEngine.

    Raises:
        ValueError: Options or parts do not fit each other.
    """

    timed_steps = ('encode', 'augment', 'predict')

    def __init__(
        self,
        network: dict,
        process: dict,
        augment: float | None = None,
        img_size: int = 32,
        autoencoder: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or IMAGES_TO_SIGNED_RANGE, init_cfg)
        self.img_size = img_size
        self.augmentation = None if augment is None else NonLeakingAugmentation(augment)
        self.process = TASK_UTILS.build(process)
        check_process(self.process)
        check_options(network, self.augmentation, autoencoder)
        self.network = MODELS.build(network)
        self.autoencoder = None if autoencoder is None else MODELS.build(autoencoder)
        check_network(self.network, self.process, self.autoencoder)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | Tensor:
        """Loss of a batch ('loss'), or the predicted clean images ('tensor').

        Args:
            inputs: (B, 3, H, W) in [-1, 1].
            data_samples: Not looked at.
            mode: 'loss', or 'tensor', where the images are taken as they are for ones of the least
                noise: (B, 3, H, W).
        """
        if mode == 'loss':
            return self.loss(inputs)
        if mode == 'tensor':
            return self.decode(self.denoise(self.encode(inputs), self.process.level(1)))
        raise ValueError(f"mode '{mode}' is neither 'loss' nor 'tensor'")

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """The process's objective, with a level and noise for each image; as :meth:`forward`."""
        x_0, labels = self.augment(self.encode(images.float()))
        level = self.process.sample_levels(len(x_0), x_0.device)
        network = partial(self.predict, augment=labels)
        return dict(loss=self.process.loss(network, x_0, level, torch.randn_like(x_0)))

    def encode(self, images: Tensor) -> Tensor:
        """What the network denoises, x_0: images (B, 3, H, W) as they are, or their latents.

        Returns:
            (B, C, h, w), C the ``in_channels`` of the network.

        Raises:
            UserError: There is an autoencoder, and its latents have other channels.
        """
        x_0 = images if self.autoencoder is None else self.autoencoder.encode(images)
        if x_0.shape[1] != self.network.in_channels:
            raise UserError(
                f'network.in_channels={self.network.in_channels}: x_0 has {x_0.shape[1]} channels; '
                f'set network.in_channels={x_0.shape[1]}, or another autoencoder={AUTOENCODER}'
            )
        return x_0

    def decode(self, x_0: Tensor) -> Tensor:
        """Images (B, 3, H, W), about [-1, 1], of what :meth:`encode` gives."""
        return x_0 if self.autoencoder is None else self.autoencoder.decode(x_0)

    def augment(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (B, 3, H, W) moved, and labels (B, 9) of it; as they are and None without."""
        return (images, None) if self.augmentation is None else self.augmentation(images)

    def predict(self, x: Tensor, time: Tensor, augment: Tensor | None = None) -> Tensor:
        """What the network makes of its input.

        Args:
            x: (B, C, h, w), scaled as the process has it.
            time: (B,), the network's time input.
            augment: (B, 9), labels of the augmentation; None for images as they are.

        Returns:
            (B, C, h, w), float32.
        """
        labels = () if augment is None else (augment,)
        return self.network.predict(x, time, *labels)[:, : x.shape[1]].float()

    def denoise(self, x_t: Tensor, level: Tensor | float) -> Tensor:
        """D(x_t, t), the predicted clean images or latents of noised ones.

        Args:
            x_t: (B, C, h, w).
            level: Timesteps of DDPM or sigmas of EDM: (B,), or one for all.
        """
        return self.process.denoise(self.predict, x_t, level)

    def block_features(
        self,
        images: Tensor,
        number: int,
        noise: Tensor | None = None,
        names: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Features of images at a noise level (section 3.2).

        Args:
            images: (B, 3, H, W) in [-1, 1], clean.
            number: The level as the authors count: t = 1 .. T of DDPM, 1 .. 18 of EDM. What they
                probe DiT with counts from 0 and is one less.
            noise: As :meth:`encode` gives the images; drawn when None.
            names: The blocks, behind the last of which the pass ends; all of them when None.

        Returns:
            The network's features by name: (B, C, h, w) each, or tokens (B, N, C) of DiT.

        Raises:
            UserError: The process has no such level.
            ValueError: There is no such block.
        """
        return self.noised_features(self.encode(images), number, noise, names)

    def noised_features(
        self,
        x_0: Tensor,
        number: int,
        noise: Tensor | None = None,
        names: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """:meth:`block_features` of images that :meth:`encode` has seen."""
        level = self.process.level(number)
        noise = torch.randn_like(x_0) if noise is None else noise
        x_t = self.process.perturb(x_0, level, noise)
        return self.network.block_features(*self.process.network_input(x_t, level), names=names)

    def sample(self, noise: ImageNoise, sampler: Any = None) -> Tensor:
        """Generate images; the model is to be in evaluation mode.

        Args:
            noise: That of the B images that are wanted.
            sampler: One of the process's; the default one when None.

        Returns:
            (B, 3, H, W), about [-1, 1].

        Raises:
            UserError: The sampler does not fit the model.
        """
        sampler = self.default_sampler() if sampler is None else sampler
        self.check_sampler(sampler)
        like = self.like(len(noise.generators))
        return self.decode(sampler.sample(self.process, self.predict, like, noise))

    @torch.no_grad()
    def sampling_steps(self, noise: ImageNoise, sampler: Any) -> Iterator[Denoised]:
        """As :meth:`sample`: what each step ends with, which :meth:`decode` makes images of."""
        self.check_sampler(sampler)
        yield from sampler(self.process, self.denoise, self.like(len(noise.generators)), noise)

    def default_sampler(self) -> Any:
        """The process's usual sampler; latents are not clipped to the range of pixels."""
        default = next(iter(samplers_of(self.process).values()))
        return replace(default, clip=self.autoencoder is None)

    def check_sampler(self, sampler: Any) -> None:
        """Refuse a sampler of another process, and one that would cut latents off.

        Raises:
            UserError: Names the setting and the remedy.
        """
        sampler.check_process(self.process)
        if sampler.clip and self.autoencoder is not None:
            raise UserError('clip=True: latents are no pixels in [-1, 1]; set clip=False')

    def like(self, count: int) -> Tensor:
        """Zeros of the shape and device of what is generated for ``count`` images.

        Raises:
            UserError: The autoencoder has no latents for images of this size.
        """
        stride = 1 if self.autoencoder is None else self.autoencoder.stride
        side, rest = divmod(self.img_size, stride)
        if rest:
            raise UserError(f'img_size={self.img_size}: set a multiple of {stride} pixels')
        device = next(self.network.parameters()).device
        return torch.zeros(count, self.network.in_channels, side, side, device=device)

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Undo the data preprocessor's normalization: [-1, 1] to [0, 1], not clamped."""
        return (images + 1) / 2
