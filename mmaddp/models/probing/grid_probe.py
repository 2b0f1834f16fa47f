"""Linear probing of all layers at all noise levels in one training (section 3.2 of DDAE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModel, BaseModule, ModuleDict
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.diffusion import ImageNoise
from mmaddp.registry import MODELS

from ..backbones import BaseEncoder
from ..pretrainers.frozen import FrozenParts
from .plain_encoder import PlainEncoder

PIXELS = 'pixels'


class Cell(NamedTuple):
    """A cell of the grid.

    Attributes:
        layer: Name of the layer, or 'pixels' for the image itself.
        level: Number of the noise level; None where there is no noise.
    """

    layer: str
    level: int | None

    def __str__(self) -> str:
        return self.layer if self.level is None else f'{self.layer}@{self.level}'


class LinearHead(BaseModule):
    """A linear classifier, optionally after a BatchNorm.

    Its initial weights depend only on the seed of the training, so a head starts the same in every
    grid. The constructor leaves PyTorch's random state alone.

    Args:
        channels: C of the features.
        num_classes: Number of scores.
        batch_norm: Normalize features by batch statistics, without scale and shift, as in MAE's
            linear probing.
        init_std: Std of the truncated normal distribution of the initial weights; 0 for zeros.
    """

    def __init__(
        self, channels: int, num_classes: int, batch_norm: bool = False, init_std: float = 0.0
    ) -> None:
        super().__init__()
        self.norm = (
            # MAE's main_linprobe.py: no scale and shift, which the linear layer would repeat.
            nn.BatchNorm1d(channels, affine=False, eps=1e-6) if batch_norm else nn.Identity()
        )
        self.weight = nn.Parameter(torch.zeros(num_classes, channels))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        # The problem is convex: zeros are as good a start.
        if init_std:
            # A generator of its own: the number of heads must not move the global state.
            generator = torch.Generator().manual_seed(torch.initial_seed())
            weight = torch.empty(num_classes, channels, device='cpu')
            nn.init.trunc_normal_(weight, std=init_std, generator=generator)
            self.weight.data.copy_(weight)

    def forward(self, features: Tensor) -> Tensor:
        """Scores (B, num_classes) of features (B, C)."""
        return F.linear(self.norm(features), self.weight, self.bias)


@MODELS.register_module()
class GridProbe(FrozenParts, BaseModel):
    """A linear classifier for each layer and noise level of a frozen encoder.

    Each noise level costs one pass of the encoder, which ends behind the last of ``layers``. A
    layer's map is averaged over all positions. The heads share only these features: with Adam or
    LARS, and without gradient clipping, each ends as if trained alone, to the bit.

    All levels of an image share one noise sample (our choice; the authors sample anew, and see no
    difference). Training samples it at every step; in evaluation it depends only on the image.

    The checkpoint holds only the heads.

    Args:
        encoder: Config of a :class:`Pretrainer`, or of a :class:`BaseEncoder` for clean images.
        num_classes: Number of classes.
        layers: Names of layers; all when None.
        levels: Numbers of noise levels, from 1; None for an encoder of clean images.
        checkpoint: The encoder's weights: a checkpoint of its pre-training, or any file that the
            encoder loads. None leaves them to its ``init_cfg``, or random.
        batch_norm: As for :class:`LinearHead`.
        init_std: As for :class:`LinearHead`.
        label_smoothing: Share of the target that is spread over all classes.
        pixels: Side of the images, to train a control on the clean pixels; None for no control.
        data_preprocessor: The encoder's own when None.
        init_cfg: As for any module of MMEngine.

    Attributes:
        cells: Layer by layer, then the pixels.
        encoder_name: Type of the encoder, such as 'DDAE' or 'DARLViT'.

    Raises:
        UserError: A layer or a noise level does not exist.
    """

    def __init__(
        self,
        encoder: dict,
        num_classes: int,
        layers: Sequence[str] | None = None,
        levels: Sequence[int] | None = None,
        checkpoint: str | None = None,
        batch_norm: bool = False,
        init_std: float = 0.0,
        label_smoothing: float = 0.0,
        pixels: int | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        model = MODELS.build(encoder)
        name = type(model).__name__
        model = PlainEncoder(model) if isinstance(model, BaseEncoder) else model
        super().__init__(data_preprocessor or model.data_preprocessor, init_cfg)
        self.encoder, self.encoder_name = model, name
        # Without repetitions.
        self.layers = list(dict.fromkeys(model.layers if layers is None else layers))
        self.levels = list(dict.fromkeys(levels or [None]))
        self.check_grid()
        self.num_classes = num_classes
        self.checkpoint, self.pixels, self.label_smoothing = checkpoint, pixels, label_smoothing
        self.cells = [Cell(layer, level) for layer in self.layers for level in self.levels]
        self.cells += [Cell(PIXELS, None)] if pixels else []
        self.heads = ModuleDict(
            {
                str(cell): LinearHead(self.channels(cell), num_classes, batch_norm, init_std)
                for cell in self.cells
            }
        )
        self.freeze('encoder')

    def check_grid(self) -> None:
        """Refuse layers and noise levels that do not exist."""
        self.encoder.encoder_module.last_of(self.layers)
        for level in self.levels:
            self.encoder.check_level(level)

    def channels(self, cell: Cell) -> int:
        """Length of a cell's feature vector."""
        return 3 * self.pixels**2 if cell.layer == PIXELS else self.encoder.channels(cell.layer)

    def init_weights(self) -> None:
        """Fill the encoder, and the frozen parts that make its input.

        Raises:
            UserError: The weights cannot be loaded, or such a part would stay random.
        """
        if self.is_init:
            return
        if self.checkpoint is None:
            self.encoder.encoder_module.init_weights()
        else:
            # One of our checkpoints, or a published file; judged as for fine-tuning.
            self.encoder.encoder_module.load(self.checkpoint)
        for name in self.encoder.input_parts:
            self.encoder.get_submodule(name).init_weights()
        if self.encoder.input_parts:
            self.encoder.check_parts(self.encoder.input_parts, 'model.encoder')
        self._is_init = True

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[BaseDataElement] | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[BaseDataElement] | dict[Cell, Tensor]:
        """Loss ('loss'), predictions ('predict') or features ('tensor') of a batch.

        Args:
            inputs: (B, 3, H, W), as the data preprocessor gives them.
            data_samples: MMPretrain's, with ``gt_label``, and for 'predict' ``sample_idx``.
            mode: 'loss', 'predict' or 'tensor'.
        """
        # A test loads only the heads, and does not initialize the model.
        self.init_weights()
        if mode == 'loss':
            return self.loss(self.features(inputs), data_samples)
        if mode == 'predict':
            indices = [sample.sample_idx for sample in data_samples]
            return self.predict(self.features(inputs, indices), data_samples)
        return self.features(inputs)

    @torch.no_grad()
    def features(self, images: Tensor, indices: Sequence[int] | None = None) -> dict[Cell, Tensor]:
        """Features (B, C) of each cell, float32.

        Args:
            images: As in :meth:`forward`.
            indices: Indices of the images in their data set, which determine their noise; None
                samples it anew.
        """
        # The clean input is the same for all levels: an autoencoder runs once.
        x = self.encoder.encoder_inputs(images)
        noise = self.sample_noise(x, indices) if self.encoder.num_levels else None
        features = {}
        for level in self.levels:
            # One pass of the encoder for all layers.
            maps = self.encoder.forward_intermediates(x, self.layers, level, noise)
            features.update({Cell(layer, level): average(maps[layer]) for layer in self.layers})
        return features | ({Cell(PIXELS, None): self.flat(images)} if self.pixels else {})

    def sample_noise(self, x: Tensor, indices: Sequence[int] | None) -> Tensor:
        """Standard normal noise of the shape of ``x``; ``indices`` as in :meth:`features`."""
        # In evaluation the noise is a function of the image's index.
        return torch.randn_like(x) if indices is None else ImageNoise(0, indices).normal(x)

    def flat(self, images: Tensor) -> Tensor:
        """Images as vectors, (B, 3 H W)."""
        return images.float().flatten(1)

    def loss(
        self, features: dict[Cell, Tensor], data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """The cross entropy, averaged over the batch and summed over all cells."""
        # (B,)
        labels = torch.cat([sample.gt_label for sample in data_samples])
        losses = [
            F.cross_entropy(scores, labels, label_smoothing=self.label_smoothing)
            for scores in self.scores(features).values()
        ]
        # A sum, since heads share no parameters: each gets the gradient of its own loss.
        return dict(loss=torch.stack(losses).sum())

    def predict(
        self, features: dict[Cell, Tensor], data_samples: list[BaseDataElement]
    ) -> list[BaseDataElement]:
        """The samples with ``pred_label_by_name``, the label of each cell's head."""
        scores = self.scores(features)
        # (B, cells), read back from the device at once
        labels = torch.stack([one.argmax(1) for one in scores.values()], dim=1).tolist()
        for sample, predicted in zip(data_samples, labels):
            sample.set_field(dict(zip(map(str, scores), predicted)), 'pred_label_by_name')
        return data_samples

    def scores(self, features: dict[Cell, Tensor]) -> dict[Cell, Tensor]:
        """Scores (B, num_classes) of each cell's head."""
        return {cell: self.heads[str(cell)](features[cell]) for cell in self.cells}


def average(maps: Tensor) -> Tensor:
    """Average over all positions: (B, C, h, w) -> (B, C), float32."""
    return maps.float().mean((2, 3))
