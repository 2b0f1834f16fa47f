"""DDAE: a diffusion model, its features at noise levels, its visualization and its sampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.diffusion import Denoised, ImageNoise, NonLeakingAugmentation, samplers_of
from mmaddp.registry import MODELS, TASK_UTILS
from mmaddp.utils import check_multiples, refuse_if

from ..backbones import BaseEncoder
from ..pixel_values import IMAGES_TO_SIGNED_RANGE
from .base import Pretrainer, Start, rows_of

MAX_VIEWS = 16


@MODELS.register_module()
class DDAE(Pretrainer):
    """Denoising diffusion autoencoder: one network that generates and represents (section 3).

    The network learns the unconditional objective of its process. Features are those of noised
    images (section 3.2). With an autoencoder the network sees latents (section 4.2); inputs and
    outputs of this class stay images.

    Args:
        network: :class:`mmaddp.models.DDAEUNet`, :class:`mmaddp.models.DDAEDiT` or
            :class:`mmaddp.models.DiffusersUNet`, or another :class:`BaseEncoder` with
            ``predict(x, time)``. Output channels beyond the input's, such as DiT's variance, are
            ignored.
        process: :class:`mmaddp.diffusion.DDPM` or :class:`mmaddp.diffusion.EDM`.
        augment: Probability of :class:`mmaddp.diffusion.NonLeakingAugmentation`, 0.12 in the
            paper's EDM on CIFAR-10; the network needs ``augment_dim=9``.
        img_size: Side of the generated images in pixels.
        autoencoder: :class:`mmaddp.models.KLAutoencoder`, frozen, for a network of latents.
        data_preprocessor: Must give RGB images in [-1, 1].
        init_cfg: As for any module of MMEngine.

    Raises:
        UserError: Options or parts do not fit each other.
    """

    timed_steps = ('encode', 'augment', 'predict')
    checkpoint_prefixes = ('network.',)
    grid = (1, 1)  # an image is generated as a whole

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
        self.network = MODELS.build(network)
        # `layer_settings` names the process, which scales the images of a backbone.
        self.network.process = self.process
        self.autoencoder = None if autoencoder is None else MODELS.build(autoencoder)
        self.check_options(network.get('augment_dim', 0))

    def check_options(self, augment_dim: int) -> None:
        """Refuse options and parts that contradict each other."""
        network, augmentation = self.network, self.augmentation
        fraction = getattr(self.process, 'time_input', None) == 'fraction'
        # EDM's augmentation has nine labels (EDM, appendix F.2).
        label_dims = 0 if augmentation is None else augmentation.label_dims
        refuse_if(
            (
                augmentation is not None and self.autoencoder is not None,
                'augment: transforms images, but the network sees latents: remove it',
            ),
            (
                augment_dim != label_dims,
                f'network.augment_dim={augment_dim}: must be {label_dims} with augment='
                f'{augmentation and augmentation.probability}',
            ),
            (
                self.autoencoder is None and network.in_channels != 3,
                f'network.in_channels={network.in_channels}: a latent model sees images through '
                "an autoencoder: set autoencoder=dict(type='mmaddp.KLAutoencoder', …)",
            ),
            (
                fraction and getattr(network, 'counts_timesteps', False),
                f"process.time_input='fraction': {type(network).__name__} counts timesteps from "
                "0: set it to 'index'",
            ),
        )

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """The process's objective for images in [-1, 1], each with its own level and noise."""
        x_0, labels = self.augment(self.encode(images.float()))
        level = self.process.sample_levels(len(x_0), x_0.device)
        # The network sees the labels, so the augmentation does not leak into samples.
        network = partial(self.predict, augment=labels)
        return dict(loss=self.process.loss(network, x_0, level, torch.randn_like(x_0)))

    def encode(self, images: Tensor) -> Tensor:
        """x_0: the images (B, 3, H, W) themselves, or their latents (B, C, h, w)."""
        return images if self.autoencoder is None else self.autoencoder.encode(images)

    def decode(self, x_0: Tensor) -> Tensor:
        """Undo :meth:`encode`: images (B, 3, H, W), about [-1, 1]."""
        return x_0 if self.autoencoder is None else self.autoencoder.decode(x_0)

    def augment(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Augmented images (B, 3, H, W) and their labels (B, 9), or the images and None."""
        return (images, None) if self.augmentation is None else self.augmentation(images)

    def predict(self, x: Tensor, time: Tensor, augment: Tensor | None = None) -> Tensor:
        """The network's prediction.

        Args:
            x: (B, C, h, w), scaled by the process.
            time: (B,), the network's time input.
            augment: (B, 9), labels of the augmentation; None for images without one.

        Returns:
            (B, C, h, w), float32.
        """
        labels = () if augment is None else (augment,)
        # DiT predicts a variance in further channels.
        return self.network.predict(x, time, *labels)[:, : x.shape[1]].float()

    def denoise(self, x_t: Tensor, level: Tensor | float) -> Tensor:
        """D(x_t, t), the predicted clean images or latents of noised ones.

        Args:
            x_t: (B, C, h, w).
            level: Timesteps of DDPM or sigmas of EDM: (B,), or one for all.
        """
        return self.process.denoise(self.predict, x_t, level)

    @property
    def encoder_module(self) -> BaseEncoder:
        """The network."""
        return self.network

    @property
    def num_levels(self) -> int:
        """The levels of the process, as the authors count them in probing."""
        return self.process.num_levels

    def represent(self, images: Tensor) -> Tensor:
        """The predicted clean images of images (B, 3, H, W) that have the least noise."""
        return self.decode(self.denoise(self.encode(images), self.process.level(1)))

    def time(self, level: int | None) -> float | None:
        """Time input of the network at a level."""
        return float(self.process.time(self.process.level(level)))

    def encoder_inputs(self, images: Tensor) -> Tensor:
        """Images, or their latents with an autoencoder."""
        return self.encode(images)

    def forward_intermediates(
        self,
        x: Tensor,
        layers: Sequence[str] | None = None,
        level: int | None = None,
        noise: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Maps of images or latents noised to a level (section 3.2).

        Levels are t = 1 .. T for DDPM and 1 .. 18 for EDM. The authors count DiT's from 0.
        """
        level = self.process.level(level)
        noise = torch.randn_like(x) if noise is None else noise
        # x_t = alpha_t x_0 + sigma_t epsilon, scaled and timed as in training.
        x, time = self.process.network_input(self.process.perturb(x, level, noise), level)
        return self.network.forward_intermediates(x, layers, time)

    def convert_weights(self, checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
        """Any file or folder of a whole network that converts to the target 'backbone'."""
        network = convert_checkpoint(checkpoint, target='backbone')
        return {f'network.{name}': tensor for name, tensor in network.items()}

    @property
    def stride(self) -> int:
        """Pixels of the image."""
        return self.img_size

    @property
    def samplers(self) -> dict[str, Any]:
        """The samplers of the process; they clip images, but not latents."""
        clip = self.autoencoder is None
        return {name: replace(one, clip=clip) for name, one in samplers_of(self.process).items()}

    def check_sampler(self, sampler: Any) -> None:
        """Refuse a sampler of another process, one that clips latents, and too many steps."""
        sampler.check_process(self.process)
        message = 'clip=True: latents are not bounded to [-1, 1]; set clip=False'
        refuse_if((sampler.clip and self.autoencoder is not None, message))
        if hasattr(sampler, 'timesteps'):
            sampler.timesteps(self.process.num_levels)

    @torch.no_grad()
    def sample_steps(self, sampler: Any, start: Start, noise: ImageNoise) -> Iterator[Denoised]:
        """About :data:`MAX_VIEWS` steps, evenly spaced, and the last."""
        return self.some(sampler(self.process, self.denoise, self.like(noise), noise), sampler)

    def some(self, steps: Iterator[Denoised], sampler: Any) -> Iterator[Denoised]:
        """The steps of a sampler that are worth showing."""
        # Ancestral sampling has no `steps`: it takes one for each level.
        count = getattr(sampler, 'steps', self.num_levels)
        every = -(-count // MAX_VIEWS)  # rounded up
        for number, step in enumerate(steps, start=1):
            if number % every == 0 or number == count:
                yield step

    def like(self, noise: ImageNoise) -> Tensor:
        """Zeros (B, C, h, w) with the shape and device of the generated images or latents.

        Raises:
            UserError: ``img_size`` is not a multiple of the autoencoder's stride.
        """
        stride = 1 if self.autoencoder is None else self.autoencoder.stride
        check_multiples((self.img_size, self.img_size), stride)
        side = self.img_size // stride
        # The autoencoder may still be on the CPU: it moves at first use.
        device = next(self.network.parameters()).device
        shape = len(noise.generators), self.network.in_channels, side, side
        return torch.zeros(shape, device=device)

    def step_images(self, step: Denoised) -> Tensor:
        """x_t."""
        return self.to_images(step.x_t)

    def step_views(self, step: Denoised) -> Tensor:
        """x_t, and the prediction of x_0 it came from."""
        return torch.stack([self.to_images(step.x_t), self.to_images(step.x_0)], dim=1)

    def to_images(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W), about [0, 1], from x_0 or x_t."""
        return self.to_unit_range(self.decode(x.float()))

    def blank(self) -> Start:
        """A single position, whose known value is ignored."""
        return Start(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool))

    def check_start(self, sampler: Any, masked: Tensor) -> None:
        """Refuse a sampler that does not fit the model."""
        self.check_sampler(sampler)

    def reconstruct(self, images: Tensor, noise: ImageNoise, level: int | None = None) -> Tensor:
        """D(x_t, t) for images noised to a level: one pass of the network."""
        x_0 = self.encode(self.from_unit_range(images))
        # The middle level by default.
        level = self.process.level(self.default_level if level is None else level)
        x_t = self.process.perturb(x_0, level, noise.normal(x_0))
        return self.to_images(self.denoise(x_t, level))

    @torch.no_grad()
    def visualize(
        self,
        inputs: Tensor,
        seed: int = 0,
        levels: Sequence[float] = (0.25, 0.5, 0.75),
        num_samples: int = 8,
        sample_steps: int = 20,
    ) -> Iterator[tuple[str, Tensor, int]]:
        """Predictions and samples.

        'predictions' shows from left to right: the image, the autoencoder's reconstruction if
        there is one, then x_t and D(x_t, t) for each level. 'samples' shows images generated by
        the default sampler.

        Args:
            inputs: (B, 3, H, W) in [-1, 1].
            seed: Seed of noise and samples.
            levels: Noise levels as fractions of ``num_levels``, in (0, 1].
            num_samples: Images to generate.
            sample_steps: Steps of the sampler, at most its default.
        """
        views = self.prediction_views(inputs, seed, levels)
        yield 'predictions', *rows_of([self.to_unit_range(view) for view in views])
        if num_samples:
            steps = min(sample_steps, self.sampler().steps)
            samples = self.sample(ImageNoise(seed, range(num_samples)), self.sampler(steps=steps))
            yield 'samples', samples, 4

    def prediction_views(
        self, images: Tensor, seed: int, levels: Sequence[float]
    ) -> Iterator[Tensor]:
        """The columns, (B, 3, H, W) in about [-1, 1] each, with the same noise at all levels."""
        yield images
        x_0 = self.encode(images)
        if self.autoencoder is not None:
            yield self.decode(x_0)
        # The same noise at each level, so that columns can be compared.
        noise = ImageNoise(seed, range(len(x_0))).normal(x_0)
        for share in levels:
            # Levels count from 1.
            level = self.process.level(max(1, round(share * self.num_levels)))
            x_t = self.process.perturb(x_0, level, noise)
            yield self.decode(x_t)
            yield self.decode(self.denoise(x_t, level))
