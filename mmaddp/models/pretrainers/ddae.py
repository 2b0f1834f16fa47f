"""DDAE's pre-training: a diffusion model of images, whose features are to be probed."""

from __future__ import annotations

from functools import partial

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmaddp.diffusion import ImageNoise, NonLeakingAugmentation
from mmaddp.diffusion.frameworks import Framework
from mmaddp.registry import MODELS, TASK_UTILS

from ..pixel_values import IMAGES_TO_SIGNED_RANGE


@MODELS.register_module()
class DDAE(BaseModel):
    """Denoising diffusion autoencoder: one network that generates and represents (section 3).

    The network predicts what its framework asks for, unconditionally. Its features are those of
    :meth:`block_features`, of images noised to a level (section 3.2).

    Args:
        network: :class:`mmaddp.models.DDAEUNet`. It has ``predict(x, time, augment)`` and
            ``block_features(x, time)``.
        framework: :class:`mmaddp.diffusion.DDPM` or :class:`mmaddp.diffusion.EDM`.
        augment: Probability of :class:`mmaddp.diffusion.NonLeakingAugmentation`, 0.12 in the
            paper's EDM on CIFAR-10; needs ``augment_dim=9`` of the network. None for none.
        img_size: Side of the images that are generated.
        data_preprocessor: Must give RGB images in [-1, 1].
        init_cfg: As for any module of MMEngine.

    Raises:
        ValueError: Options or parts do not fit each other.
    """

    timed_steps = ('augment', 'predict')

    def __init__(
        self,
        network: dict,
        framework: dict,
        augment: float | None = None,
        img_size: int = 32,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or IMAGES_TO_SIGNED_RANGE, init_cfg)
        self.img_size = img_size
        self.augmentation = None if augment is None else NonLeakingAugmentation(augment)
        self.framework = TASK_UTILS.build(framework)
        check_framework(self.framework)
        check_options(network, self.augmentation)
        self.network = MODELS.build(network)
        check_network(self.network)

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
            return self.denoise(inputs, self.framework.level(1))
        raise ValueError(f"mode '{mode}' is neither 'loss' nor 'tensor'")

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """The framework's objective, with a level and noise for each image; as :meth:`forward`."""
        x_0, labels = self.augment(images.float())
        level = self.framework.draw_levels(len(x_0), x_0.device)
        network = partial(self.predict, augment=labels)
        return dict(loss=self.framework.loss(network, x_0, level, torch.randn_like(x_0)))

    def augment(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (B, 3, H, W) moved, and labels (B, 9) of it; as they are and None without."""
        return (images, None) if self.augmentation is None else self.augmentation(images)

    def predict(self, x: Tensor, time: Tensor, augment: Tensor | None = None) -> Tensor:
        """What the network makes of its input.

        Args:
            x: (B, 3, H, W), scaled as the framework has it.
            time: (B,), the network's time input.
            augment: (B, 9), labels of the augmentation; None for images as they are.

        Returns:
            (B, 3, H, W), float32.
        """
        labels = () if augment is None else (augment,)
        return self.network.predict(x, time, *labels).float()

    def denoise(self, x_t: Tensor, level: Tensor | float) -> Tensor:
        """D(x_t, t), the predicted clean images of noised ones.

        Args:
            x_t: (B, 3, H, W).
            level: Timesteps of DDPM or sigmas of EDM: (B,), or one for all.
        """
        return self.framework.denoise(self.predict, x_t, level)

    def block_features(
        self, images: Tensor, number: int, noise: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Features of images at a noise level (section 3.2).

        Args:
            images: (B, 3, H, W) in [-1, 1], clean.
            number: The level as the authors count: t = 1 .. T of DDPM, 1 .. 18 of EDM.
            noise: As ``images``; drawn when None.

        Returns:
            The network's features by name, (B, C, h, w) each.

        Raises:
            UserError: The framework has no such level.
        """
        level = self.framework.level(number)
        noise = torch.randn_like(images) if noise is None else noise
        x_t = self.framework.perturb(images, level, noise)
        return self.network.block_features(*self.framework.network_input(x_t, level))

    def sample(self, noise: ImageNoise, sampler: object = None) -> Tensor:
        """Generate images; the model is to be in evaluation mode.

        Args:
            noise: That of the B images that are wanted.
            sampler: One of ``framework.samplers``; the usual one when None.

        Returns:
            (B, 3, H, W), about [-1, 1].

        Raises:
            UserError: The sampler does not fit the framework.
        """
        return self.framework.sample(self.predict, self.like(len(noise.generators)), noise, sampler)

    def like(self, count: int) -> Tensor:
        """Zeros of the shape and device of ``count`` generated images."""
        device = next(self.network.parameters()).device
        return torch.zeros(count, 3, self.img_size, self.img_size, device=device)

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Undo the data preprocessor's normalisation: [-1, 1] to [0, 1], not clamped."""
        return (images + 1) / 2


def check_framework(framework: object) -> None:
    """Refuse what is no diffusion framework.

    Raises:
        ValueError: Names the key and the remedy.
    """
    if not isinstance(framework, Framework):
        raise ValueError(
            f"framework.type='{type(framework).__name__}': set it to 'mmaddp.DDPM' or 'mmaddp.EDM'"
        )


def check_options(network: dict, augmentation: NonLeakingAugmentation | None) -> None:
    """Refuse a network that is cut, or that is told of more or fewer moves than there are.

    Raises:
        ValueError: Names the key and the remedy.
    """
    if network.get('out_blocks') is not None:
        raise ValueError('network.out_blocks: a truncated network does not denoise; leave it out')
    dims = network.get('augment_dim', 0)
    if augmentation is None and dims:
        raise ValueError(
            f'network.augment_dim={dims} without augmentation: set augment=0.12, or augment_dim=0'
        )
    if augmentation is not None and dims != augmentation.label_dims:
        raise ValueError(
            f'network.augment_dim={dims}: the augmentation has {augmentation.label_dims} labels; '
            f'set network.augment_dim={augmentation.label_dims}, or augment=None'
        )


def check_network(network: nn.Module) -> None:
    """Refuse a network that is no denoiser.

    Raises:
        ValueError: Names the key and the remedy.
    """
    if not hasattr(network, 'predict'):
        raise ValueError(f"network.type='{type(network).__name__}': set it to 'mmaddp.DDAEUNet'")
