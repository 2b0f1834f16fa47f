"""Images to look at: what a trained model predicts, and what its encoder's features show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib import colormaps
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor
from torch.nn import functional as F

from mmaddp.registry import DATASETS

from .robustness import build_trained

EXAMPLES = 'examples'
COUNT, SIDE, SCORE = 4, 256, 0.3
CENTER = (0.5, 0.5)
Sample = dict[str, Any]


def write_examples(
    config: Config, checkpoint: str | Path, mark: tuple[float, float] = CENTER
) -> None:
    """Write pictures of a few validation images into the folder ``examples`` of a work folder.

    ``N_input``, ``N_truth``, ``N_prediction`` of the checkpoint, and, of the encoder as it was
    before the training, ``N_features`` and ``N_similarity`` to the position ``mark``, fractions of
    height and width.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    samples, classes, palette = example_samples(config)
    folder = Path(config.work_dir) / EXAMPLES
    folder.mkdir(exist_ok=True)
    model = build_trained(config, checkpoint).to(get_device())
    features = encoder_maps(config, model, samples)
    colors = principal_colors(features)
    similarities = [similarity(one, mark) for one in features]
    for number, sample in enumerate(samples):
        with torch.no_grad():
            predicted = model.test_step(pseudo_collate([sample]))[0]
        image = read_image(sample, is_dense='pred_label' not in predicted)
        pictures = {
            'input': image,
            **drawn(image, predicted, classes, palette),
            'features': enlarge(colors[number], image),
            'similarity': draw_mark(enlarge(similarities[number], image), mark),
        }
        for name, picture in pictures.items():
            write_picture(folder / f'{number}_{name}.jpg', picture)


def example_samples(config: Config) -> tuple[list[Sample], tuple, np.ndarray]:
    """Evenly spaced validation images, the names of the classes, and a color (BGR) of each."""
    source = 'val_dataloader.dataset'
    settings = {'type': 'mmaddp.GuardedDataset', 'dataset': config.val_dataloader.dataset}
    dataset = DATASETS.build({**settings, 'source': source})
    indices = np.linspace(0, len(dataset) - 1, min(COUNT, len(dataset))).round().astype(int)
    classes = tuple(dataset.metainfo.get('classes') or ())
    palette = dataset.metainfo.get('palette')
    if not isinstance(palette, (list, tuple)) or len(palette) < len(classes):
        palette = 255 * colormaps['hsv'](np.linspace(0, 1, len(classes) + 1))[:, :3]
    return [dataset[int(i)] for i in indices], classes, np.asarray(palette)[:, ::-1]


def read_image(sample: Sample, is_dense: bool) -> np.ndarray:
    """The image of a sample, uint8 (H, W, 3) in BGR, at the size that predictions have."""
    image = sample['inputs'].permute(1, 2, 0).numpy().astype(np.uint8)
    if not is_dense:
        return image
    size = sample['data_samples'].metainfo['ori_shape']
    return cv2.resize(image, size[1::-1], interpolation=cv2.INTER_AREA)


def drawn(
    image: np.ndarray, predicted: Any, classes: tuple, palette: np.ndarray
) -> dict[str, np.ndarray]:
    """Truth and prediction of a segmentor, a detector, a depth estimator or a classifier."""
    if 'pred_sem_seg' in predicted:
        maps = {'truth': predicted.gt_sem_seg, 'prediction': predicted.pred_sem_seg}
        return {
            k: draw_map(image, v.data.squeeze().cpu().numpy(), palette) for k, v in maps.items()
        }
    if 'pred_depth_map' in predicted:
        maps = {'truth': predicted.gt_depth_map, 'prediction': predicted.pred_depth_map}
        depths = {name: one.data.squeeze().cpu().numpy() for name, one in maps.items()}
        farthest = max(float(depths['truth'].max()), 1e-6)
        return {name: draw_depth(depth / farthest) for name, depth in depths.items()}
    if 'pred_instances' in predicted:
        found = predicted.pred_instances
        return {'prediction': draw_objects(image, found[found.scores > SCORE], classes, palette)}
    labels = {'truth': predicted.gt_label, 'prediction': predicted.pred_label}
    return {k: draw_label(image, int(v), classes) for k, v in labels.items()}


def draw_map(image: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Class colors over an image; ignored pixels keep their own."""
    shown = labels < len(palette)
    blended = image.astype(float)
    blended[shown] = 0.35 * blended[shown] + 0.65 * palette[labels[shown]]
    return blended.astype(np.uint8)


def draw_depth(depth: np.ndarray) -> np.ndarray:
    """Depth in [0, 1] as colors, far ones bright."""
    return (255 * colormaps['viridis'](np.clip(depth, 0, 1))[..., 2::-1]).astype(np.uint8)


def draw_objects(image: np.ndarray, found: Any, classes: tuple, palette: np.ndarray) -> np.ndarray:
    """Masks, boxes, names and scores."""
    image = image.copy()
    for i in range(len(found)):
        label, box = int(found.labels[i]), found.bboxes[i].round().int().tolist()
        color = palette[label].astype(int).tolist()
        if 'masks' in found:
            mask = found.masks[i].cpu().numpy().astype(bool)
            image[mask] = (0.5 * image[mask] + 0.5 * np.array(color)).astype(np.uint8)
        cv2.rectangle(image, tuple(box[:2]), tuple(box[2:]), color, 2)
        text = f'{classes[label]} {float(found.scores[i]):.2f}'
        cv2.putText(image, text, (box[0], box[1] + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1)
    return image


def draw_label(image: np.ndarray, label: int, classes: tuple) -> np.ndarray:
    """The name of a class under an image."""
    name = classes[label] if label < len(classes) else str(label)
    scale = SIDE / image.shape[1]
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    strip = np.full((28, image.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, name, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1)
    return np.concatenate([image, strip])


@torch.no_grad()
def encoder_maps(config: Config, model: Any, samples: list[Sample]) -> list[Tensor]:
    """The last map (C, h, w) of the encoder for each image, before the training changed it."""
    encoder = MODELS.build(config.model.backbone).eval()
    if hasattr(encoder, 'init_weights'):
        encoder.init_weights()
    encoder.to(get_device())
    maps = []
    for sample in samples:
        inputs = model.data_preprocessor(pseudo_collate([sample]))['inputs']
        maps.append(encoder(inputs)[-1][0].float().cpu())
    return maps


def principal_colors(maps: list[Tensor]) -> list[np.ndarray]:
    """The first three principal components of all images' features as colors, uint8 (h, w, 3)."""
    # (positions of all images, channels); one basis, so that colors mean the same everywhere.
    features = torch.cat([one.flatten(1).T for one in maps])
    features = features - features.mean(dim=0)
    # Eigenvalues ascend: the last three directions vary most.
    basis = torch.linalg.eigh(features.T @ features)[1][:, -3:].flip(1)
    scores = F.pad(features @ basis, (0, 3 - basis.shape[1]))
    # The outermost hundredths would leave little contrast for the others.
    low, high = (torch.quantile(scores, q, dim=0) for q in (0.01, 0.99))
    scores = ((scores - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    parts = scores.split([one[0].numel() for one in maps])
    return [
        (255 * part).reshape(*one.shape[1:], 3).numpy().astype(np.uint8)
        for part, one in zip(parts, maps)
    ]


def similarity(features: Tensor, mark: tuple[float, float] = CENTER) -> np.ndarray:
    """Cosine similarity to the position at ``mark``, as colors from -1 (dark) to 1."""
    sides = features.shape[1:]
    row, column = (min(int(share * side), side - 1) for share, side in zip(mark, sides))
    unit = F.normalize(features - features.mean(dim=(1, 2), keepdim=True), dim=0)
    cosine = torch.einsum('chw,c->hw', unit, unit[:, row, column])
    colors = colormaps['viridis']((cosine.numpy() + 1) / 2)[..., 2::-1]
    return (255 * colors).astype(np.uint8)


def enlarge(picture: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A picture of features at the size of their image, its positions as squares."""
    return cv2.resize(picture, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def draw_mark(picture: np.ndarray, mark: tuple[float, float]) -> np.ndarray:
    """Draw a circle around the position that the others are compared with."""
    height, width = picture.shape[:2]
    center = int(mark[1] * width), int(mark[0] * height)
    return cv2.circle(picture.copy(), center, max(3, min(height, width) // 20), (0, 0, 255), 2)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture, its longer side ``SIDE``."""
    scale = SIDE / max(picture.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    cv2.imwrite(str(path), cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method))
