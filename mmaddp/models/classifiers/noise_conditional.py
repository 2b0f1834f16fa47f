"""A classifier of noised images on a denoiser's features: DDAE's section 4.1.3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.diffusion import ClassifierGuidance, Denoised, ImageNoise
from mmaddp.registry import MODELS
from mmaddp.utils import UserError, check_range

from ..layers.unet import sinusoids
from ..pixel_values import IMAGES_TO_SIGNED_RANGE
from ..pretrainers import ImageGenerator, Start

if TYPE_CHECKING:
    from mmengine.structures import BaseDataElement

EVAL_LEVELS = 20


class NoiseConditionalHead(nn.Module):
    """g(y | f + tau(t)), equation 5: two layers on features plus an embedding of the level.

    As in the authors' code tau is the head's own embedding: sinusoids of C / 4 channels, then a
    two-layer MLP. It takes the number of the level, 1 .. T for DDPM and 1 .. 18 for EDM, not the
    network's time input.

    Args:
        channels: C of the features, a multiple of 8 and at least 16.
        num_classes: Number of classes.
        hidden_dims: Channels between the two layers; the authors' 2 C when None.
    """

    def __init__(self, channels: int, num_classes: int, hidden_dims: int | None = None) -> None:
        super().__init__()
        # The authors' width of the hidden layer.
        hidden_dims = hidden_dims or 2 * channels
        self.time_dims, self.num_classes = channels // 4, num_classes
        self.time_embed = nn.Sequential(
            nn.Linear(self.time_dims, channels), nn.SiLU(), nn.Linear(channels, channels)
        )
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden_dims), nn.SiLU(), nn.Linear(hidden_dims, num_classes)
        )

    def forward(self, features: Tensor, numbers: Tensor) -> Tensor:
        """Features (B, C) and the numbers of their levels (B,) -> logits (B, num_classes)."""
        # f + tau(t)
        return self.mlp(features + self.time_embed(sinusoids(numbers, self.time_dims)))


@dataclass(frozen=True)
class GuidedSampler:
    """A sampler of the process with the class that guides it.

    Args:
        sampler: The sampler.
        label: The class of all images, or (B,) one for each.
        guidance: s of :class:`mmaddp.diffusion.ClassifierGuidance`.
    """

    sampler: Any
    label: Any
    guidance: float = 1.0


@MODELS.register_module()
class NoiseConditionalClassifier(ImageGenerator):
    """p_t(y | x_t) by equation 5, and classifier-guided generation with the same network.

    A :class:`NoiseConditionalHead` reads the average of a block's map. In training each image has
    its own level, with a uniform number as in the authors' code, for EDM too. In testing each image
    is classified at all of ``eval_levels`` with the same noise, which depends only on ``seed`` and
    the image's index. A checkpoint holds all weights, the denoiser's included.

    Args:
        pretrainer: Config of :class:`mmaddp.DDAE`, whose ``network`` has the ``init_cfg``.
        layer: The block whose map is read, such as 'out_6'.
        num_classes: Number of classes.
        frozen: Train only the head. Otherwise the network is truncated behind the block and
            trained too, as a supervised control that cannot generate.
        hidden_dims: See :class:`NoiseConditionalHead`.
        eval_levels: Numbers of the levels in testing. None takes the authors': every T / 20-th from
            1 on, for EDM all 18.
        seed: Seed of the noise in testing.
        data_preprocessor: Must give RGB images in [-1, 1].
        init_cfg: As for any module of MMEngine.

    Raises:
        UserError: The layer or one of ``eval_levels`` does not exist.
    """

    checkpoint_prefixes = ('pretrainer.', 'head.')

    def __init__(
        self,
        pretrainer: dict,
        layer: str,
        num_classes: int = 10,
        frozen: bool = True,
        hidden_dims: int | None = None,
        eval_levels: Sequence[int] | None = None,
        seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or IMAGES_TO_SIGNED_RANGE, init_cfg)
        # Frozen, the denoiser can still generate; trained, it is a supervised control.
        network = dict(pretrainer['network'], frozen=frozen)
        self.pretrainer = MODELS.build(dict(pretrainer, network=network))
        self.process = self.pretrainer.process
        self.network.last_of([layer])  # raises for an unknown layer
        self.head = NoiseConditionalHead(self.network.channels(layer), num_classes, hidden_dims)
        self.layer, self.frozen, self.seed = layer, frozen, seed
        if not frozen:
            self.network.truncate(layer)
        numbers = range(1, self.process.num_levels + 1)
        self.eval_levels = eval_levels or numbers[:: max(1, len(numbers) // EVAL_LEVELS)]
        for number in self.eval_levels:
            self.process.level(number)  # raises for an unknown level
        # EDM's sigmas by number, to be indexed by sampled numbers; a timestep is its own number.
        levels = torch.tensor([self.process.level(number) for number in numbers])
        self.register_buffer('levels', levels, persistent=False)

    @property
    def network(self) -> nn.Module:
        """The denoising network."""
        return self.pretrainer.network

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[BaseDataElement] | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[BaseDataElement] | Tensor:
        """Loss ('loss'), labels at all levels ('predict') or logits ('tensor') of a batch.

        Args:
            inputs: (B, 3, H, W) in [-1, 1], clean.
            data_samples: MMPretrain's, with ``gt_label``, and in testing ``sample_idx``.
            mode: 'loss', 'predict', or 'tensor' for logits (B, num_classes) of the clean images
                at the lowest level.
        """
        images = inputs.float()
        if mode == 'loss':
            return self.loss(images, data_samples)
        if mode == 'predict':
            return self.predict(images, data_samples)
        # Level 1 has almost no noise, so it fits clean images.
        return self.classify(self.pretrainer.encode(images), self.process.level(1))

    def loss(self, images: Tensor, data_samples: list[BaseDataElement]) -> dict[str, Tensor]:
        """Cross entropy; each image has its own level and noise."""
        labels = torch.cat([sample.gt_label for sample in data_samples])
        x_0 = self.pretrainer.encode(images)
        # The number of the level is uniform, as in the authors' code.
        level = self.levels[torch.randint(len(self.levels), (len(x_0),), device=x_0.device)]
        # Equation 1.
        x_t = self.process.perturb(x_0, level, torch.randn_like(x_0))
        return dict(loss=F.cross_entropy(self.classify(x_t, level), labels))

    def predict(self, images: Tensor, data_samples: list[BaseDataElement]) -> list[BaseDataElement]:
        """Samples with ``pred_label_by_name``, the label at each level: 'level_1' and so on."""
        indices = [sample.sample_idx for sample in data_samples]
        x_0 = self.pretrainer.encode(images)
        # One noise for all levels of an image: accuracies differ by the level alone.
        noise = ImageNoise(self.seed, indices).normal(x_0)
        by_level = []
        for number in self.eval_levels:
            level = self.process.level(number)
            x_t = self.process.perturb(x_0, level, noise)
            by_level.append(self.classify(x_t, level).argmax(1).tolist())
        names = [f'level_{number}' for number in self.eval_levels]
        for sample, labels in zip(data_samples, zip(*by_level)):
            sample.set_field(dict(zip(names, labels)), 'pred_label_by_name')
        return data_samples

    def classify(self, x_t: Tensor, level: Tensor | float) -> Tensor:
        """Logits (B, num_classes) of noised images, from a pass that ends behind the block.

        Args:
            x_t: (B, C, h, w), images or latents.
            level: Timesteps of DDPM or sigmas of EDM: (B,), or one for all.
        """
        inputs = self.process.network_input(x_t, level)
        features = self.network.forward_intermediates(inputs[0], [self.layer], inputs[1])
        return self.read(features[self.layer], level)

    def read(self, features: Tensor, level: Tensor | float) -> Tensor:
        """Logits (B, num_classes) of a block's map (B, C, h, w)."""
        # The head counts levels, whatever unit of time the network takes.
        numbers = self.process.number(level).to(features.device).expand(len(features))
        # (B, C, h, w) -> (B, C), averaged over the positions
        return self.head(features.float().mean((2, 3)), numbers)

    def denoise_and_classify(self, x_t: Tensor, level: Tensor | float) -> tuple[Tensor, Tensor]:
        """D(x_t, t) and logits from one pass through the network.

        Args:
            x_t: (B, C, h, w), images or latents.
            level: As for :meth:`classify`.

        Returns:
            As ``x_t``, and (B, num_classes).
        """
        features = {}

        def network(x: Tensor, time: Tensor) -> Tensor:
            prediction, maps = self.network.predict_with_features(x, time, [self.layer])
            features.update(maps)
            # Further channels are DiT's variance.
            return prediction[:, : x.shape[1]].float()

        x_0 = self.process.denoise(network, x_t, level)
        return x_0, self.read(features[self.layer], level)

    def guidance(self, labels: Tensor | int, scale: float, count: int) -> ClassifierGuidance:
        """The denoiser guided to labels, for a batch of ``count`` images.

        Args:
            labels: (B,), or one for all.
            scale: s of the guidance; 0 is the unconditional prediction.
            count: B.

        Raises:
            UserError: A label is not a class.
        """
        labels = torch.as_tensor(labels, device=self.levels.device).expand(count)
        for label in labels.unique().tolist():
            check_range('label', label, 0, self.head.num_classes - 1)
        return ClassifierGuidance(self.process, self.denoise_and_classify, labels, scale)

    @property
    def grid(self) -> tuple[int, int]:
        """A single position, the whole image."""
        return self.pretrainer.grid

    @property
    def stride(self) -> int:
        """Pixels of the image."""
        return self.pretrainer.stride

    @property
    def samplers(self) -> dict[str, Any]:
        """The pre-trainer's, which :meth:`sampler` wraps."""
        return self.pretrainer.samplers

    @property
    def setting_types(self) -> dict[str, type]:
        """The pre-trainer's settings, and those of the guidance."""
        return {**self.pretrainer.setting_types, 'label': int, 'guidance': float}

    def sampler(
        self, label: int | None = None, guidance: float = 1.0, **settings: Any
    ) -> GuidedSampler:
        """A sampler guided to a class.

        Raises:
            UserError: There is no such class, or a setting does not fit.
        """
        if label is None:
            raise UserError(f'label: give a class, 0 to {self.head.num_classes - 1}')
        self.guidance(label, guidance, 1)
        return GuidedSampler(self.pretrainer.sampler(**settings), label, guidance)

    @torch.no_grad()
    def sample_steps(
        self, sampler: GuidedSampler, start: Start, noise: ImageNoise
    ) -> Iterator[Denoised]:
        """As the pre-trainer's, with the guided denoiser."""
        guided = self.guidance(sampler.label, sampler.guidance, len(start.masked))
        like = self.pretrainer.like(noise)
        steps = sampler.sampler(self.process, guided, like, noise)
        return self.pretrainer.some(steps, sampler.sampler)

    def check_start(self, sampler: GuidedSampler, masked: Tensor) -> None:
        """Refuse a sampler that does not fit the pre-trainer."""
        self.pretrainer.check_start(sampler.sampler, masked)

    def step_images(self, step: Denoised) -> Tensor:
        """As the pre-trainer's."""
        return self.pretrainer.step_images(step)

    def step_views(self, step: Denoised) -> Tensor:
        """As the pre-trainer's."""
        return self.pretrainer.step_views(step)

    def blank(self) -> Start:
        """As the pre-trainer's."""
        return self.pretrainer.blank()

    def reconstruct(self, images: Tensor, noise: ImageNoise, level: int | None = None) -> Tensor:
        """As the pre-trainer's."""
        return self.pretrainer.reconstruct(images, noise, level)
