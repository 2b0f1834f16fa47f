"""Models as functions of raw pixels to raw results, normalization included."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmaddp.utils import UserError, check_range


class ExportedNetwork(nn.Module):
    """A model from RGB pixels to tensors.

    Args:
        model: OpenMMLab's model in evaluation mode.
        size: Height and width of the images.

    Attributes:
        inputs: Names of the arguments.
        outputs: Names of the results.
        task: 'detection', 'segmentation' or 'classification'.
    """

    inputs: tuple[str, ...] = ('image',)
    outputs: tuple[str, ...]
    task: str

    def __init__(self, model: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.size = model.eval().requires_grad_(False), size
        given = model.data_preprocessor
        # MMPretrain's name, then that of MMDetection and MMSegmentation.
        self.in_rgb = getattr(given, 'to_rgb', False) or getattr(
            given, '_channel_conversion', False
        )
        self.register_buffer('mean', getattr(given, 'mean', torch.zeros(3, 1, 1)).clone())
        self.register_buffer('std', getattr(given, 'std', torch.ones(3, 1, 1)).clone())

    def normalize(self, image: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in [0, 255] -> what the network was trained with."""
        image = image if self.in_rgb else image.flip(1)
        return (image - self.mean) / self.std

    def examples(self) -> tuple[Tensor, ...]:
        """Inputs to trace with."""
        return (torch.rand(1, 3, *self.size) * 255,)


class ClassifierNetwork(ExportedNetwork):
    """MMPretrain's classifier: image -> probabilities (1, K) of the classes."""

    outputs, task = ('scores',), 'classification'

    def forward(self, image: Tensor) -> Tensor:
        """RGB (1, 3, H, W) in [0, 255] -> (1, K)."""
        features = self.model.extract_feat(self.normalize(image))
        return self.model.head(features).softmax(-1)


class SegmentorNetwork(ExportedNetwork):
    """MMSegmentation's segmentor on one crop: image -> logits (1, K, H, W) of the classes."""

    outputs, task = ('logits',), 'segmentation'

    def forward(self, image: Tensor) -> Tensor:
        """RGB (1, 3, H, W) in [0, 255] -> (1, K, H, W)."""
        meta = dict(img_shape=self.size, ori_shape=self.size, pad_shape=self.size)
        return self.model.encode_decode(self.normalize(image), [meta])


class DetectorNetwork(ExportedNetwork):
    """A two-stage detector: image and its size without padding -> boxes, scores, labels, masks."""

    inputs, task = ('image', 'valid'), 'detection'

    def __init__(self, model: nn.Module, size: tuple[int, int]) -> None:
        from .two_stage import TwoStageDetector

        super().__init__(model, size)
        self.detector = TwoStageDetector(model)
        self.outputs = self.detector.outputs

    def forward(self, image: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
        """See :class:`TwoStageDetector`; ``image`` is RGB in [0, 255] with any padding."""
        height, width = self.size
        rows = torch.arange(height, device=image.device) < valid[0]
        columns = torch.arange(width, device=image.device) < valid[1]
        inside = rows[:, None] & columns
        return self.detector(torch.where(inside, self.normalize(image), 0.0), valid)

    def examples(self) -> tuple[Tensor, ...]:
        """Inputs to trace with."""
        return *super().examples(), torch.tensor(self.size, dtype=torch.float32)


def build_network(
    model: nn.Module, config: Config, size: tuple[int, int] | None
) -> ExportedNetwork:
    """The network of a config's model.

    Args:
        model: The model with its weights.
        config: Its config.
        size: Height and width of the images; those of the config's test when None.

    Raises:
        UserError: The model has no such form, or the config tests images of various sizes.
    """
    if hasattr(model, 'rpn_head') and hasattr(model, 'roi_head'):
        network: type[ExportedNetwork] = DetectorNetwork
    # Mask2Former's deformable attention calls kernels that torch.export does not trace.
    elif hasattr(model, 'encode_decode') and not hasattr(model.decode_head, 'pixel_decoder'):
        network = SegmentorNetwork
    elif config.default_scope == 'mmpretrain' and hasattr(model, 'head'):
        network = ClassifierNetwork
    else:
        raise UserError(
            f'{config.filename}: export takes two-stage detectors, segmentors other than '
            f'Mask2Former, and classifiers, not model.type={config.model.type!r}'
        )
    for side in size or ():
        check_range('size', side, 1)
    return network(model, size or default_size(config))


def default_size(config: Config) -> tuple[int, int]:
    """Height and width of the images that the config tests with, padding included.

    Raises:
        UserError: They vary.
    """
    preprocessor = {
        **(config.get('data_preprocessor') or {}),
        **config.model.get('data_preprocessor', {}),
    }
    size: Any = preprocessor.get('pad_size_divisor')
    if config.default_scope == 'mmseg':
        size = config.model.get('test_cfg', {}).get('crop_size')
    if config.default_scope == 'mmpretrain':
        steps = config.test_dataloader.dataset.pipeline
        sizes = [step.get('crop_size', step.get('scale')) for step in steps]
        size = next((given for given in reversed(sizes) if given), None)
    if not size or size == 1:
        raise UserError(
            f'{config.filename}: tests images of various sizes: give --size HEIGHT WIDTH'
        )
    return (size, size) if isinstance(size, int) else tuple(size)
