"""A data set in parts (train, val, test), and the parts that are used together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmaddp.registry import DATASETS
from mmaddp.utils import check_range

# Seed of the fixed order that shares are cut from.
_SHARE_SEED = 0


@DATASETS.register_module()
class DatasetParts(BaseDataset):
    """Concatenation of some named parts of a data set, with one pipeline.

    A part is a data set's config. Its key ``share``, (start, stop) in [0, 1], takes that share in a
    fixed random order; shares that do not overlap have no image in common. A sweep trains on
    'train' and validates on 'val'; the final run uses both (DARL, appendix A.4).

    Args:
        parts: The config of each part by its name, without a pipeline.
        use: Names of the parts to read.
        **kwargs: As for :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UserError: A share is not in [0, 1].
    """

    def __init__(self, parts: dict[str, dict], use: Sequence[str], **kwargs: Any) -> None:
        self.parts, self.use = parts, tuple(use)
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        """Open the parts; each image's entry has its part and its index there."""
        self.opened = [open_part(name, self.parts[name]) for name in self.use]
        self._metainfo.update(self.opened[0][0].metainfo)
        return [
            {'part': part, 'index': int(index)}
            for part, (_, indices) in enumerate(self.opened)
            for index in indices
        ]

    def get_data_info(self, idx: int) -> dict:
        """The part's own entry of an image."""
        info = super().get_data_info(idx)
        dataset, _ = self.opened[info['part']]
        return {**dataset.get_data_info(info['index']), 'sample_idx': info['sample_idx']}


def open_part(name: str, config: dict) -> tuple[Any, np.ndarray]:
    """A part's data set, and the indices of the images in its share."""
    config = dict(config)
    start, stop = config.pop('share', (0.0, 1.0))
    check_range(f'parts.{name}.share[0]', start, 0, stop)
    check_range(f'parts.{name}.share[1]', stop, start, 1)
    guarded = {'type': 'mmaddp.GuardedDataset', 'dataset': config, 'source': f'parts.{name}'}
    dataset = DATASETS.build(guarded)
    count = len(dataset)
    if (start, stop) == (0, 1):
        return dataset, np.arange(count)
    # Folders are sorted by class: a share of the first images would lack classes.
    order = np.random.default_rng(_SHARE_SEED).permutation(count)
    # Rounded alike at both ends, adjoining shares neither overlap nor leave out.
    return dataset, np.sort(order[round(start * count) : round(stop * count)])
