"""The same head at every depth of an encoder, for linear evaluation in one run."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule, ModuleList
from mmpretrain.structures import DataSample
from torch import Tensor

from mmaddp.registry import MODELS
from mmaddp.utils import UserError


@MODELS.register_module()
class AllDepthsHead(BaseModule):
    """A neck and a classification head for each map of a frozen encoder, each for itself.

    DARL's best features lie in the middle of the encoder (appendix B.1, figure 8b), so all depths
    are evaluated. They share nothing but the encoder's forward pass: with an optimizer that
    treats each parameter by itself, as LARS does, every head ends as it would alone.

    Args:
        num_depths: How many maps the backbone gives, ``out_indices=range(num_layers)`` of it.
        neck: Config of what stands before each head, such as :class:`mmaddp.PoolNormNeck`.
        head: Config of each head, such as :class:`mmpretrain.LinearClsHead`.
        init_cfg: MMEngine's.
    """

    def __init__(
        self, num_depths: int, neck: dict, head: dict, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.necks = ModuleList(MODELS.build(neck) for _ in range(num_depths))
        self.heads = ModuleList(MODELS.build(head) for _ in range(num_depths))

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        """Scores (B, num_classes) of each depth, given its map (B, C, h, w)."""
        inputs = self._read_out(maps)
        return [head(features) for head, features in zip(self.heads, inputs)]

    def loss(self, maps: tuple[Tensor, ...], data_samples: list[DataSample]) -> dict[str, Tensor]:
        """The loss of each depth, counted from 1; MMEngine trains their sum."""
        heads = enumerate(zip(self.heads, self._read_out(maps)), start=1)
        return {
            f'depth_{depth}_loss': head.loss(features, data_samples)['loss']
            for depth, (head, features) in heads
        }

    def predict(
        self, maps: tuple[Tensor, ...], data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Samples with ``pred_label_by_name``, the label at each depth: 'depth_1' and so on."""
        labels = torch.stack([scores.argmax(dim=1) for scores in self(maps)], dim=1).tolist()
        data_samples = data_samples or [DataSample() for _ in labels]
        names = [f'depth_{depth}' for depth in range(1, len(self.heads) + 1)]
        for sample, predicted in zip(data_samples, labels):
            sample.set_field(dict(zip(names, predicted)), 'pred_label_by_name')
        return data_samples

    def _read_out(self, maps: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
        if len(maps) != len(self.necks):
            raise UserError(
                f'AllDepthsHead: the backbone gives {len(maps)} maps: set '
                f'model.head.num_depths={len(maps)}, or model.backbone.out_indices to '
                f'{len(self.necks)} blocks'
            )
        return [neck((feature_map,)) for neck, feature_map in zip(self.necks, maps)]
