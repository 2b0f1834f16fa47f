"""Probing of all layers at all noise levels in one training (section 3.2 of DDAE)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModel, ModuleDict
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F

from mmaddp import __version__
from mmaddp.diffusion import ImageNoise
from mmaddp.registry import MODELS
from mmaddp.utils import UserError, check_choice

from ..backbones import BaseEncoder
from ..pretrainers.frozen import FrozenParts
from .bank import FeatureBank, content_key
from .heads import ProbeHead
from .plain_encoder import PlainEncoder

PIXELS = 'pixels'
JOIN = '+'


class Cell(NamedTuple):
    """A cell of the grid.

    Attributes:
        layer: Name of the layer, several joined by '+', or 'pixels' for the image itself.
        level: Number of the noise level; None where there is no noise.
        lr: Learning rate of the head; None for the optimizer's.
    """

    layer: str
    level: int | None
    lr: float | None = None

    @property
    def layers(self) -> list[str]:
        """The layers whose features are concatenated."""
        return self.layer.split(JOIN)

    @property
    def key(self) -> str:
        """Name of the head as a module, which cannot contain a dot."""
        return str(self).replace('.', '_')

    def __str__(self) -> str:
        level = '' if self.level is None else f'@{self.level}'
        lr = '' if self.lr is None else f':{self.lr:g}'
        return f'{self.layer}{level}{lr}'


class Window(NamedTuple):
    """A part of a test image that the encoder sees: its corner and size, and whether flipped."""

    top: int
    left: int
    size: tuple[int, int]
    flip: bool

    def crop(self, images: Tensor) -> Tensor:
        """The part of images (B, C, H, W), mirrored if asked."""
        height, width = self.size
        part = images[..., self.top : self.top + height, self.left : self.left + width]
        return part.flip(3) if self.flip else part

    def place(self, part: Tensor, size: Sequence[int]) -> Tensor:
        """The part among zeros, where it stands in an image of a size (H, W)."""
        bottom, right = size[0] - self.top - self.size[0], size[1] - self.left - self.size[1]
        return F.pad(part, (self.left, right, self.top, bottom))


@MODELS.register_module()
class GridProbe(FrozenParts, BaseModel):
    """A head for each layer, noise level and learning rate of a frozen encoder.

    Each noise level costs one pass of the encoder, which ends behind the last of ``layers``. The
    heads share only its features: with Adam, SGD or LARS, and without clipping of their common
    gradient, each ends as if trained alone, to the bit.

    All levels of an image share one noise sample (our choice; the authors sample anew, and see no
    difference). Training samples it at every step; in evaluation it depends only on the image.

    The checkpoint holds only the heads.

    Args:
        encoder: Config of a :class:`Pretrainer`, or of a :class:`BaseEncoder` for clean images.
        head: Config of a :class:`ProbeHead`, without ``channels``: the task.
        layers: Names of layers, several of them joined by '+' to concatenate their features; each
            by itself when None.
        levels: Numbers of noise levels, from 1; None for an encoder of clean images.
        lrs: Learning rates; each has a head of its own, see
            :class:`mmaddp.engine.ProbeOptimWrapperConstructor`. None for the optimizer's.
        checkpoint: The encoder's weights: a checkpoint of its pre-training, or any file that the
            encoder loads. None leaves them to its ``init_cfg``, or random.
        pixels: Side of the images, to train a control on the clean pixels; None for no control.
        test_cfg: How a dense head sees a test image: ``mode`` is 'whole' or 'slide' (``crop_size``
            and ``stride``); ``flip`` averages with the mirrored image; ``softmax`` averages
            probabilities instead of logits where windows overlap.
        fixed_noise: In training too, the noise of an image depends on its pixels alone.
        bank: Arguments of :class:`FeatureBank`, to keep features on disk; None for no bank. Implies
            ``fixed_noise``.
        data_preprocessor: The encoder's own when None. Without ``mean`` it gets the encoder's.
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
        head: dict,
        layers: Sequence[str] | None = None,
        levels: Sequence[int] | None = None,
        lrs: Sequence[float] | None = None,
        checkpoint: str | None = None,
        pixels: int | None = None,
        test_cfg: dict | None = None,
        fixed_noise: bool = False,
        bank: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        model = MODELS.build(encoder)
        name = type(model).__name__
        model = PlainEncoder(model) if isinstance(model, BaseEncoder) else model
        super().__init__(fit_preprocessor(data_preprocessor, model.data_preprocessor), init_cfg)
        self.encoder, self.encoder_name = model, name
        # Without repetitions.
        self.layers = list(dict.fromkeys(model.layers if layers is None else layers))
        self.levels = list(dict.fromkeys(levels or [None]))
        self.lrs = list(dict.fromkeys(lrs or [None]))
        self.check_grid()
        # What the check of the data reads.
        self.num_classes = head.get('num_classes')
        self.ignore_index = head.get('ignore_index', 255)
        self.checkpoint, self.pixels, self.test_cfg = checkpoint, pixels, dict(test_cfg or {})
        check_choice('test_cfg.mode', self.test_cfg.setdefault('mode', 'whole'), ('whole', 'slide'))
        places = [(layer, level) for layer in self.layers for level in self.levels]
        places += [(PIXELS, None)] if pixels else []
        self.cells = [Cell(*place, lr) for place in places for lr in self.lrs]
        kind = MODELS.get(head['type'])
        self.heads = ModuleDict(
            {
                cell.key: MODELS.build(dict(head, channels=self.channels(cell, kind)))
                for cell in self.cells
            }
        )
        self.freeze('encoder')
        self.fixed_noise = fixed_noise or bank is not None
        self.bank = FeatureBank(**bank) if bank else None
        self.bank_how: tuple | None = None
        # Pixels of a position of each layer's map, once the encoder has run.
        self.strides: dict[str, int] = {}
        self.encoder_config = encoder
        if bank and getattr(getattr(model, 'autoencoder', None), 'sample', False):
            raise UserError(
                'model.bank: the autoencoder draws new latents each time: set '
                'model.encoder.autoencoder.sample=False'
            )

    @property
    def task(self) -> ProbeHead:
        """The first head, for what all heads have in common."""
        return next(iter(self.heads.values()))

    @property
    def single_layers(self) -> list[str]:
        """The layers that the encoder must give, each once."""
        return list(dict.fromkeys(one for layer in self.layers for one in layer.split(JOIN)))

    def check_grid(self) -> None:
        """Refuse layers and noise levels that do not exist."""
        self.encoder.encoder_module.last_of(self.single_layers)
        for level in self.levels:
            self.encoder.check_level(level)

    def channels(self, cell: Cell, head: type[ProbeHead] | None = None) -> int:
        """Channels of a cell's features."""
        if cell.layer == PIXELS:
            return (head or self.task).pixel_channels(self.pixels)
        return sum(map(self.encoder.channels, cell.layers))

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
            data_samples: Samples with the labels of the task, and for 'predict' ``sample_idx`` if
                images are noised.
            mode: 'loss', 'predict' or 'tensor'.
        """
        # A test loads only the heads, and does not initialize the model.
        self.init_weights()
        if mode == 'loss':
            return self.loss(self.features(inputs), data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.features(inputs)

    @torch.no_grad()
    def features(self, images: Tensor, indices: Sequence[int] | None = None) -> dict[Cell, Tensor]:
        """Features of each layer at each level, as the heads need them: see ``ProbeHead.reduce``.

        Args:
            images: As in :meth:`forward`.
            indices: Indices of the images in their data set, which determine their noise; None
                samples it anew.
        """
        if self.bank is not None:
            return self.banked_features(images)
        if self.fixed_noise:
            indices = [noise_index(content_key(image)) for image in images]
        return self.encode(images, indices)

    def encode(self, images: Tensor, indices: Sequence[int] | None) -> dict[Cell, Tensor]:
        """:meth:`features` by the encoder."""
        # The clean input is the same for all levels: an autoencoder runs once.
        x = self.encoder.encoder_inputs(images)
        noise = self.sample_noise(x, indices) if self.encoder.num_levels else None
        layers, features = self.single_layers, {}
        for level in self.levels:
            # One pass of the encoder for all layers.
            maps = self.encoder.forward_intermediates(x, layers, level, noise)
            self.note_strides(images, maps)
            features.update({Cell(layer, level): self.task.reduce(maps[layer]) for layer in layers})
        if self.pixels:
            features[Cell(PIXELS, None)] = self.task.pixel_features(images)
        return features

    def note_strides(self, images: Tensor, maps: dict[str, Tensor]) -> None:
        """Remember how many pixels a position of each layer's map covers."""
        for layer in set(maps) - {PIXELS}:
            self.strides[layer] = round(images.shape[-1] / maps[layer].shape[-1])

    def banked_features(self, images: Tensor) -> dict[Cell, Tensor]:
        """:meth:`features` from the bank; the encoder fills what is missing."""
        keys = [content_key(image) for image in images]
        found = self.read_bank(keys)
        if found is None:
            # The whole batch: its size may change the last bit.
            encoded = self.encode(images, [noise_index(key) for key in keys])
            self.write_bank(keys, encoded)
            found = {cell: self.bank.stored(one).to(one) for cell, one in encoded.items()}
        features = {cell: one.to(images.device) for cell, one in found.items()}
        if self.task.dense:
            self.note_strides(images, {cell.layer: one for cell, one in features.items()})
        if self.pixels:
            features[Cell(PIXELS, None)] = self.task.pixel_features(images)
        return features

    def read_bank(self, keys: Sequence[str]) -> dict[Cell, Tensor] | None:
        """The features of a batch; None if some are missing."""
        self.open_bank()
        features = {}
        for level in self.levels:
            parts = [self.bank.read(key, level, self.single_layers) for key in keys]
            if None in parts:
                return None
            for layer in self.single_layers:
                features[Cell(layer, level)] = torch.cat([part[layer] for part in parts])
        return features

    def open_bank(self) -> None:
        """Find the bank of this encoder, and of how it runs."""
        device = next(self.encoder.parameters()).device
        # Autocast computes other features. It is on in training, and off in tests.
        one = torch.ones(1, 1, device=device)
        how = device.type, str((one @ one).dtype)
        if how != self.bank_how:
            settings = {k: value for k, value in self.encoder_config.items() if k != 'init_cfg'}
            kind = self.task.reduce.__qualname__
            self.bank.open(self.encoder, settings, kind, *how, __version__)
            self.bank_how = how

    def write_bank(self, keys: Sequence[str], features: dict[Cell, Tensor]) -> None:
        """Keep the features of a batch."""
        for level in self.levels:
            for number, key in enumerate(keys):
                one = slice(number, number + 1)
                layers = {layer: features[Cell(layer, level)][one] for layer in self.single_layers}
                self.bank.write(key, level, layers)

    @torch.no_grad()
    def bank_bytes(self, images: Tensor) -> int:
        """What the features of a batch take in the bank; it is opened, and nothing is written."""
        self.init_weights()
        self.open_bank()
        windows = self.windows(images.shape[-2:])
        size = torch.finfo(self.bank.dtype).bits // 8
        indices = [0] * len(images)
        return sum(
            size * one.numel()
            for window in windows
            for cell, one in self.encode(window.crop(images), indices).items()
            if cell.layer != PIXELS
        )

    def sample_noise(self, x: Tensor, indices: Sequence[int] | None) -> Tensor:
        """Standard normal noise of the shape of ``x``; ``indices`` as in :meth:`features`."""
        # In evaluation the noise is a function of the image's index.
        return torch.randn_like(x) if indices is None else ImageNoise(0, indices).normal(x)

    def inputs_of(self, cell: Cell, features: dict[Cell, Tensor]) -> Tensor:
        """The input of a cell's head."""
        parts = [features[Cell(layer, cell.level)] for layer in cell.layers]
        return parts[0] if len(parts) == 1 else self.task.concatenate(parts)

    def outputs(self, features: dict[Cell, Tensor]) -> Iterator[tuple[Cell, ProbeHead, Tensor]]:
        """Each cell with its head and the head's output, one after the other."""
        for cell in self.cells:
            head = self.heads[cell.key]
            yield cell, head, head(self.inputs_of(cell, features))

    def loss(
        self, features: dict[Cell, Tensor], data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """The losses of all heads, summed."""
        targets = self.task.prepare(self.task.targets(data_samples))
        losses = [head.loss(output, targets) for _, head, output in self.outputs(features)]
        # A sum, since heads share no parameters: each gets the gradient of its own loss.
        return dict(loss=torch.stack(losses).sum())

    @torch.no_grad()
    def predict(self, images: Tensor, data_samples: list[BaseDataElement]) -> list[BaseDataElement]:
        """The samples with the predictions of each cell's head, see ``ProbeHead.prediction``."""
        indices = None
        if self.encoder.num_levels:
            indices = list(map(index_of, data_samples))
        windows = list(self.windows(images.shape[-2:]))
        features = [self.features(window.crop(images), indices) for window in windows]
        predicted: list[dict[str, Any]] = [{} for _ in data_samples]
        # Cell by cell: maps of all cells at the size of the image would fill the memory.
        for cell in self.cells:
            head = self.heads[cell.key]
            outputs = [head(self.inputs_of(cell, each)) for each in features]
            output = self.stitch(head, outputs, windows, images) if head.dense else outputs[0]
            for by_name, one in zip(predicted, head.predict(output, data_samples)):
                by_name[str(cell)] = one
        for sample, by_name in zip(data_samples, predicted):
            sample.set_field(by_name, self.task.prediction)
        return data_samples

    def windows(self, size: Sequence[int]) -> Iterator[Window]:
        """The parts of a test image of a size (H, W) that the encoder sees."""
        crop = stride = tuple(size)
        if self.task.dense and self.test_cfg['mode'] == 'slide':
            crop = tuple(map(min, self.test_cfg['crop_size'], size))
            stride = self.test_cfg['stride']
        flips = (False, True) if self.test_cfg.get('flip') else (False,)
        for top in starts(size[0], crop[0], stride[0]):
            for left in starts(size[1], crop[1], stride[1]):
                yield from (Window(top, left, crop, flip) for flip in flips)

    def stitch(
        self, head: ProbeHead, outputs: list[Tensor], windows: list[Window], images: Tensor
    ) -> Tensor:
        """Average what a head makes of windows of these images: (B, K, H, W)."""
        total = count = 0.0
        for output, window in zip(outputs, windows):
            part = head.at_size(output.float(), window.size)
            part = part.softmax(1) if self.test_cfg.get('softmax') else part
            part = part.flip(3) if window.flip else part
            total = total + window.place(part, images.shape[-2:])
            count = count + window.place(torch.ones_like(part[:1, :1]), images.shape[-2:])
        return total / count

    @torch.no_grad()
    def collect(self, batches: Iterable[dict]) -> None:
        """Have heads without training remember the training set."""
        self.init_weights()
        self.eval()
        for batch in batches:
            data = self.data_preprocessor(batch, True)
            features = self.features(data['inputs'])
            targets = self.task.targets(data['data_samples'])
            for cell in self.cells:
                self.heads[cell.key].remember(self.inputs_of(cell, features), targets)
        for head in self.heads.values():
            head.finish()


def noise_index(key: str) -> int:
    """The index of an image's noise, from its :func:`content_key`."""
    return int(key[:8], 16)


def index_of(sample: BaseDataElement) -> int:
    """A number that identifies an image of a data set.

    MMSegmentation's samples keep no index, but the name of the file.
    """
    index = sample.metainfo.get('sample_idx')
    return zlib.crc32(Path(sample.img_path).name.encode()) if index is None else index


def starts(length: int, crop: int, stride: int) -> list[int]:
    """Where sliding windows start; the last one ends at the border."""
    count = max(length - crop + stride - 1, 0) // stride + 1
    return [min(number * stride, length - crop) for number in range(count)]


def fit_preprocessor(config: dict | None, own: torch.nn.Module) -> torch.nn.Module | dict:
    """A data preprocessor with the pixel values of the encoder's own, unless it says otherwise."""
    if config is None or config.get('mean') is not None:
        return config or own
    built = MODELS.build(dict(config, mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True))
    built.mean, built.std = own.mean, own.std
    return built
