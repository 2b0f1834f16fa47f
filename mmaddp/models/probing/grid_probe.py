"""Linear probing of all layers at all noise levels in one training (section 3.2 of DDAE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModel, ModuleDict
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F

from mmaddp.diffusion import ImageNoise
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from ..pretrainers.frozen import FrozenParts
from .encoders import ProbedEncoder, probed_encoder
from .linear_heads import LinearHeads

PIXELS = 'pixels'


class Cell(NamedTuple):
    """A place of the grid.

    Attributes:
        layer: Name of the layer, or 'pixels' for the image itself.
        level: Number of the noise level; None where there is no noise.
    """

    layer: str
    level: int | None

    def __str__(self) -> str:
        return self.layer if self.level is None else f'{self.layer}@{self.level}'


@MODELS.register_module()
class GridProbe(FrozenParts, BaseModel):
    """A linear classifier for each layer and noise level of a frozen encoder.

    Features of a batch are computed once for each noise level, in one pass that ends behind the
    last layer that is wanted; all classifiers learn from them. The loss is the sum of theirs, and
    nothing else joins them: with an optimizer that treats each number by itself, as Adam does,
    without gradient clipping, each ends as it would alone.

    An image has one draw of noise for all levels, so that levels differ by nothing else (our
    choice; the authors draw anew, and see no difference between the two). It is drawn at every
    step in training, and is always the same in evaluation.

    Neither the checkpoint nor what several processes average has anything of the encoder.

    Args:
        encoder: Config of the pre-trainer, :class:`ADDP`, :class:`DARL` or :class:`DDAE`.
        num_classes: Classes.
        layers: Names of layers; all of the encoder's when None.
        levels: Numbers of noise levels from 1; None for an encoder of clean images.
        checkpoint: The encoder's weights: a checkpoint of its pre-training, or any file that the
            backbone takes. None leaves them random.
        batch_norm: As :class:`LinearHeads` takes it.
        pixels: Side of the images; with it a classifier of the clean pixels is trained beside the
            others. None leaves it out.
        init_cfg: As for any module of MMEngine.

    Attributes:
        cells: Layer by layer, then the pixels.

    Raises:
        ValueError: A layer or a noise level does not exist, or one is named twice.
    """

    def __init__(
        self,
        encoder: dict,
        num_classes: int,
        layers: Sequence[str] | None = None,
        levels: Sequence[int] | None = None,
        checkpoint: str | None = None,
        batch_norm: bool = False,
        pixels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        pretrainer = MODELS.build(encoder)
        super().__init__(pretrainer.data_preprocessor, init_cfg)
        self.encoder = probed_encoder(pretrainer)
        self.layers = list(self.encoder.layers if layers is None else layers)
        self.levels = list(levels or [None])
        check_grid(self.encoder, self.layers, self.levels)
        self.checkpoint, self.pixels = checkpoint, pixels
        self.cells = [Cell(layer, level) for layer in self.layers for level in self.levels]
        self.cells += [Cell(PIXELS, None)] if pixels else []
        self.heads = ModuleDict(
            {
                str(width): LinearHeads(len(cells), width, num_classes, batch_norm)
                for width, cells in self.cells_by_width().items()
            }
        )
        self.freeze('encoder')

    def channels(self, cell: Cell) -> int:
        """How many numbers a cell's classifier sees of an image."""
        return 3 * self.pixels**2 if cell.layer == PIXELS else self.encoder.channels(cell.layer)

    def cells_by_width(self) -> dict[int, list[Cell]]:
        """The cells whose classifiers are of one size, by their channels."""
        widths = sorted({self.channels(cell) for cell in self.cells})
        return {w: [cell for cell in self.cells if self.channels(cell) == w] for w in widths}

    def init_weights(self) -> None:
        """Fill the encoder, at random where there is no checkpoint."""
        if self.is_init:
            return
        if self.checkpoint is None:
            self.encoder.backbone.init_weights()
        else:
            self.encoder.load(self.checkpoint)
        self._is_init = True

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[BaseDataElement] | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[BaseDataElement] | dict[Cell, Tensor]:
        """Loss ('loss'), predictions ('predict') or features ('tensor') of a batch.

        Args:
            inputs: (B, 3, H, W), as the encoder's data preprocessor gives them.
            data_samples: With ``gt_label``, and for 'predict' ``sample_idx``, as MMPretrain has
                them.
            mode: 'loss', 'predict' or 'tensor'.

        Raises:
            UserError: The images are not of the side ``pixels``, or are none that the encoder
                takes.
        """
        # A test loads the classifiers alone, and does not initialize the model.
        self.init_weights()
        images = [sample.sample_idx for sample in data_samples] if mode == 'predict' else None
        features = self.features(inputs, images)
        if mode == 'loss':
            return self.loss(features, data_samples)
        if mode == 'predict':
            return self.predict(features, data_samples)
        return features

    @torch.no_grad()
    def features(self, images: Tensor, indices: Sequence[int] | None = None) -> dict[Cell, Tensor]:
        """What the classifier of each cell sees, (B, C) float32.

        One pass is made for each noise level.

        Args:
            images: As in :meth:`forward`.
            indices: Numbers of the images in their data set, each of which has noise of its own,
                the same in every run; None draws it anew.
        """
        inputs = self.encoder.inputs(images)
        noise = self.sample_noise(inputs, indices) if self.encoder.num_levels else None
        by_level = {
            level: self.encoder.pooled(inputs, level, noise, self.layers) for level in self.levels
        }
        features = {
            cell: by_level[cell.level][cell.layer] for cell in self.cells if cell.layer != PIXELS
        }
        return features | ({Cell(PIXELS, None): self.flat(images)} if self.pixels else {})

    def sample_noise(self, inputs: Tensor, indices: Sequence[int] | None) -> Tensor:
        """Standard normal noise as ``inputs``; ``indices`` as :meth:`features` takes them."""
        if indices is None:
            return torch.randn_like(inputs)
        return ImageNoise(0, indices).normal(inputs)

    def flat(self, images: Tensor) -> Tensor:
        """Images as vectors, (B, 3 H W)."""
        if images.shape[-2:] != (self.pixels, self.pixels):
            height, width = images.shape[-2:]
            raise UserError(
                f'model.pixels={self.pixels}, and the images are {height} x {width}: set it to '
                'their side, or to None'
            )
        return images.float().flatten(1)

    def loss(
        self, features: dict[Cell, Tensor], data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """The sum over all cells of the cross entropy, each cell's the mean over the batch."""
        labels = torch.stack([sample.gt_label.reshape(()) for sample in data_samples])
        losses = [
            len(scores) * F.cross_entropy(scores.flatten(0, 1), labels.repeat(len(scores)))
            for scores in self.scores_by_width(features).values()
        ]
        return dict(loss=torch.stack(losses).sum())

    def predict(
        self, features: dict[Cell, Tensor], data_samples: list[BaseDataElement]
    ) -> list[BaseDataElement]:
        """The samples with ``pred_label_by_name``, the label of each cell's classifier."""
        labels: dict[Cell, Tensor] = {}
        for width, scores in self.scores_by_width(features).items():
            labels.update(zip(self.cells_by_width()[width], scores.argmax(2)))
        by_image = torch.stack([labels[cell] for cell in self.cells], dim=1).tolist()
        names = [str(cell) for cell in self.cells]
        for sample, predicted in zip(data_samples, by_image):
            sample.set_field(dict(zip(names, predicted)), 'pred_label_by_name')
        return data_samples

    def scores_by_width(self, features: dict[Cell, Tensor]) -> dict[int, Tensor]:
        """Scores (K, B, num_classes) of the K cells of each width."""
        return {
            width: self.heads[str(width)](torch.stack([features[cell] for cell in cells]))
            for width, cells in self.cells_by_width().items()
        }


def check_grid(encoder: ProbedEncoder, layers: list[str], levels: list[int | None]) -> None:
    """Refuse layers and noise levels that do not exist, or that are named twice.

    Raises:
        ValueError: Names the key and the remedy.
    """
    for key, values in (('layers', layers), ('levels', levels)):
        if len(set(values)) < len(values):
            raise ValueError(f'{key}={values}: name each of them once')
    if encoder.num_levels and levels == [None]:
        raise ValueError(
            f'levels=None: {encoder.method} is probed at noise levels; name some of 1 to '
            f'{encoder.num_levels}'
        )
    try:
        for level in levels:
            encoder.check(layers, level)
    except UserError as error:
        raise ValueError(str(error)) from None
