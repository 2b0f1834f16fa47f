"""Images of training samples after their pipeline, with their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.utils import track_iter_progress

from mmaddp.utils import check_choice

_VISUALIZERS = {
    'mmdet': 'mmdet.DetLocalVisualizer',
    'mmseg': 'mmseg.SegLocalVisualizer',
    'mmpretrain': 'mmpretrain.UniversalVisualizer',
}


def visualize_dataset(
    config: Config, folder: str | Path, count: int = 20, seed: int = 0
) -> list[Path]:
    """Write the first samples of the training dataset after its pipeline, as PNG files.

    Args:
        config: A config of a detector, segmentor or classifier.
        folder: Folder of the images.
        count: Maximal number of images.
        seed: Seed of crops and flips.

    Returns:
        The files, in the dataset's order.
    """
    scope = config.get('default_scope')
    check_choice('default_scope', scope, _VISUALIZERS)
    init_default_scope(scope)
    dataset = DATASETS.build(
        {
            'type': 'mmaddp.SeededDataset',
            'dataset': config.train_dataloader.dataset,
            'seed': seed,
            'source': 'train_dataloader.dataset',
            'skip_corrupt': bool(config.get('skip_corrupt_images')),
        }
    )
    visualizer = VISUALIZERS.build({'type': _VISUALIZERS[scope], 'name': f'browse_{scope}'})
    visualizer.dataset_meta = dataset.metainfo
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in track_iter_progress(list(range(min(count, len(dataset))))):
        sample = dataset[index]
        name = Path(sample['data_samples'].get('img_path') or str(index)).stem
        paths.append(folder / f'{index:05d}_{name}.png')
        _draw(visualizer, scope, sample, str(paths[-1]))
    return paths


def _draw(visualizer: Any, scope: str, sample: dict, path: str) -> None:
    image = sample['inputs'].permute(1, 2, 0).numpy().astype(np.uint8)
    image = np.ascontiguousarray(image[..., ::-1])  # OpenMMLab's pipelines load BGR
    data_sample = sample['data_samples']
    if scope == 'mmpretrain':
        factor = max(1.0, 224 / min(image.shape[:2]))
        visualizer.visualize_cls(
            image, data_sample, draw_pred=False, rescale_factor=factor, out_file=path
        )
        return
    if scope == 'mmdet':
        instances = data_sample.gt_instances
        if not isinstance(instances.bboxes, torch.Tensor):
            instances.bboxes = instances.bboxes.tensor
    visualizer.add_datasample(Path(path).stem, image, data_sample, draw_pred=False, out_file=path)
