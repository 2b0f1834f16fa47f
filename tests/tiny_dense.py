"""Dense probes of a second or two: tiny encoders, and encoders that carry the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmaddp.models.backbones import BaseEncoder
from mmaddp.models.pixel_values import IMAGES_TO_UNIT_RANGE
from mmaddp.models.pretrainers import Pretrainer
from mmaddp.registry import MODELS

VIT = dict(
    type='mmaddp.DARLViT',
    arch=dict(embed_dims=16, num_layers=3, num_heads=2),
    img_size=16,
    patch_size=4,
)
CLASSES = 3


def labels_of(images: Tensor) -> Tensor:
    """Three classes by the red channel, (B, H, W)."""
    return (images[:, 0] * CLASSES).long().clamp(0, CLASSES - 1)


def depths_of(images: Tensor) -> Tensor:
    """Depths of 1 to 9 meters by the red channel, (B, H, W)."""
    return 1 + 8 * images[:, 0]


def blocky_images(count: int, side: int = 16, block: int = 4, seed: int = 0) -> Tensor:
    """Images (B, 3, side, side) in [0, 1], constant in each block."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, side // block, side // block, generator=generator)
    return coarse.repeat_interleave(block, 2).repeat_interleave(block, 3)


def samples_of(images: Tensor, start: int = 0) -> list[SegDataSample]:
    """Samples with labels and depths; a class for the whole image too."""
    samples = []
    for number, (labels, depth) in enumerate(zip(labels_of(images), depths_of(images)), start):
        sample = SegDataSample(
            metainfo=dict(sample_idx=number, ori_shape=images.shape[-2:]),
            gt_sem_seg=PixelData(data=labels[None]),
            gt_depth_map=PixelData(data=depth[None]),
        )
        sample.set_field(labels.flatten().mode().values[None], 'gt_label')
        samples.append(sample)
    return samples


def dense_probe(head: dict, encoder: dict = VIT, seed: int = 0, **settings: Any) -> Any:
    """A probe whose encoder's weights depend on the seed alone, in training mode."""
    torch.manual_seed(seed)
    model = MODELS.build(dict(type='mmaddp.GridProbe', encoder=encoder, head=head, **settings))
    model._is_init = True  # as drawn
    return model.train()


def train_dense(
    model: Any, images: Tensor, steps: int = 4, lr: float = 1e-2, clip: float | None = None
) -> Any:
    """Train the heads as a runner would; random numbers depend on the step alone."""
    from mmengine.optim import build_optim_wrapper

    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='Adam', lr=lr),
            constructor='mmaddp.ProbeOptimWrapperConstructor',
            clip_grad=None if clip is None else dict(max_norm=clip),
        ),
    )
    for step in range(steps):
        torch.manual_seed(step)
        wrapper.update_params(model(images, samples_of(images), mode='loss')['loss'])
    return model


class Planted(Pretrainer):
    """An encoder of three layers and three levels that shows the image in one cell alone.

    Everywhere else its maps are noise that depends on the image, so they can be memorized but tell
    nothing of other images.
    """

    num_levels = 3
    cell = ('block_2', 2)

    def __init__(self) -> None:
        super().__init__(IMAGES_TO_UNIT_RANGE)
        self.network = PlantedLayers()

    @property
    def encoder_module(self) -> BaseEncoder:
        return self.network

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        return dict(loss=inputs.mean())

    def time(self, level: int | None) -> float | None:
        return float(level)

    def forward_intermediates(
        self,
        x: Tensor,
        layers: Sequence[str] | None = None,
        level: int | None = None,
        noise: Tensor | None = None,
    ) -> dict[str, Tensor]:
        maps = {}
        for layer in layers:
            generator = torch.Generator().manual_seed(int(1e6 * x.double().mean()) % 2**31)
            hidden = torch.randn(len(x), 8, x.shape[2] // 4, x.shape[3] // 4, generator=generator)
            red = nn.functional.avg_pool2d(x[:, :1], 4)
            if (layer, level) == self.cell:
                # Bumps along the red channel, from which a linear layer reads any function.
                centers = torch.linspace(0, 1, 8).view(1, 8, 1, 1)
                hidden = (-((red - centers) ** 2) / 0.02).exp()
            maps[layer] = hidden
        return maps


class PlantedLayers(BaseEncoder, nn.Module):
    """The layers by name."""

    layers = ['block_1', 'block_2', 'block_3']
    takes_time = True

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.weight = nn.Parameter(torch.zeros(1))

    @property
    def out_layers(self) -> Sequence[str]:
        return self.layers[-1:]

    def channels(self, layer: str) -> int:
        return 8

    def layer_outputs(self, x: Tensor, time: Tensor | None) -> Iterator[Tensor]:
        yield from ()

    def layer_settings(self, layer: str, time: float | None = None) -> dict[str, Any]:
        return dict(out_indices=[self.layers.index(layer)], time=time)
