"""A data set in parts: train, val and test, and those that are used together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

# Which image falls into which share depends on this alone.
_SHARE_SEED = 0


@DATASETS.register_module()
class DatasetParts(BaseDataset):
    """Some of the named parts of a data set, one after the other, behind one pipeline.

    A part is a data set's config. With the key ``share``, (start, stop) in [0, 1], it is that
    share of the data set in an order that is random but always the same, so that equal data
    sets with shares that do not overlap have no image in common.

    A sweep trains on 'train' and validates on 'val'; for the final run ``use=('train', 'val')``
    trains on both (DARL, appendix A.4).

    Args:
        parts: The config of each part by its name, without a pipeline.
        use: Names of the parts that are given.
        **kwargs: As for :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UserError: ``use`` names no part, or a share is none.
    """

    def __init__(self, parts: dict[str, dict], use: Sequence[str], **kwargs: Any) -> None:
        self.parts, self.use = parts, tuple(use)
        unknown = set(self.use) - set(parts)
        if unknown or not self.use:
            raise UserError(
                f'DatasetParts: use={self.use} must name some of the parts {", ".join(parts)}'
            )
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        """Open the parts; an entry for each image says where it is."""
        self.opened = [open_part(name, self.parts[name]) for name in self.use]
        self._metainfo.update(self.opened[0][0].metainfo)
        return [
            {'part': part, 'place': int(place)}
            for part, (_, places) in enumerate(self.opened)
            for place in places
        ]

    def get_data_info(self, idx: int) -> dict:
        """What the part says about an image."""
        info = super().get_data_info(idx)
        dataset, _ = self.opened[info['part']]
        return {**dataset.get_data_info(info['place']), 'sample_idx': info['sample_idx']}


def open_part(name: str, config: dict) -> tuple[Any, np.ndarray]:
    """A part's data set, and the places in it that belong to the part.

    Raises:
        UserError: The share is none, or the data set's files are at fault.
    """
    config = dict(config)
    start, stop = config.pop('share', (0.0, 1.0))
    if not 0 <= start < stop <= 1:
        raise UserError(f'DatasetParts: share {(start, stop)} of {name!r} is not in [0, 1]')
    guarded = {'type': 'mmaddp.GuardedDataset', 'dataset': config, 'source': f'parts.{name}'}
    dataset = DATASETS.build(guarded)
    count = len(dataset)
    if (start, stop) == (0, 1):
        return dataset, np.arange(count)
    order = np.random.default_rng(_SHARE_SEED).permutation(count)
    return dataset, np.sort(order[round(start * count) : round(stop * count)])
