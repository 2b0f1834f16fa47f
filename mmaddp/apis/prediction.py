"""Predictions of detectors, segmentors and classifiers on images without labels."""

from __future__ import annotations

import copy
import glob
import importlib
import itertools
import logging
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import DATASETS, TRANSFORMS, VISUALIZERS, init_default_scope
from mmengine.structures import BaseDataElement

from mmaddp.engine.hooks.data_check_hook import find_head
from mmaddp.engine.runner.weights import load_trained
from mmaddp.engine.runs import clear_errors, load_config
from mmaddp.evaluation.generation_features import find_images
from mmaddp.utils import UserError, check_range, reason_of

from .prediction_files import ImageFile, Prediction, PredictionFolder, is_tiny

Path_ = Union[str, os.PathLike]
Paths = Union[Path_, Sequence[Path_]]
Item = TypeVar('Item')

# The inferencer and the visualizer of each OpenMMLab package, by the config's default_scope.
_LIBRARIES = {
    'mmdet': ('mmdet.apis.DetInferencer', 'mmdet.DetLocalVisualizer'),
    'mmseg': ('mmseg.apis.MMSegInferencer', 'mmseg.SegLocalVisualizer'),
    'mmpretrain': (
        'mmpretrain.apis.ImageClassificationInferencer',
        'mmpretrain.UniversalVisualizer',
    ),
}


def predict(
    config: str | Path | Config,
    checkpoint: str | Path,
    images: Paths,
    out_dir: str | Path | None = None,
    batch_size: int = 1,
    device: str | torch.device | None = None,
    score_thr: float = 0.3,
) -> list[BaseDataElement]:
    """Predict boxes and masks, semantic maps or classes, as the config's task is.

    Args:
        config: A detector's, segmentor's or classifier's config, or its path.
        checkpoint: Its weights.
        images: Files, folders and glob patterns, one or several.
        out_dir: Folder for images with their predictions, and for the predictions as COCO JSON,
            index PNGs or CSV, see :class:`PredictionFolder`; None writes nothing.
        batch_size: Images of one size that the network sees at once.
        device: Device of the model; the GPU if available when None.
        score_thr: Smallest score of a box to be drawn.

    Returns:
        A data sample of the library for each image that could be read, in the order given, with
        the file as ``img_path``.

    Raises:
        UserError: The config has no such task, the checkpoint does not fit it, or there is no
            image.
    """
    check_range('batch_size', batch_size, 1)
    predictor = Predictor(config, checkpoint, device)
    files = list_images(images)
    predictions = predictor(files, batch_size)
    if out_dir is not None:
        predictions = PredictionFolder(out_dir, predictor.visualizer, score_thr).record(predictions)
    return [prediction.sample for prediction in predictions]


class Predictor:
    """A model on its device that predicts image files through its config's test pipeline.

    Args:
        config: A detector's, segmentor's or classifier's config, or its path.
        checkpoint: Its weights.
        device: Device of the model; the GPU if available when None.

    Raises:
        UserError: The config has no such task, or the checkpoint does not fit it.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        device: str | torch.device | None = None,
    ) -> None:
        config = config if isinstance(config, Config) else load_config(config)
        with clear_errors(config):
            self.inferencer = build_inferencer(config, device)
            meta = load_trained(self.inferencer.model, checkpoint, config)
            self.load = TRANSFORMS.build(image_loader(config))
        self.visualizer = self.inferencer.visualizer
        self.visualizer.dataset_meta = class_names(self.inferencer.model, config, meta)

    def __call__(self, files: Iterable[ImageFile], batch_size: int = 1) -> Iterator[Prediction]:
        """Predict images in their order; an image that cannot be read is left out with a warning.

        A batch has images of one size only, so that no prediction depends on another image.
        """
        check_range('batch_size', batch_size, 1)
        read = ((file, self.read(file)) for file in files)
        readable = ((file, image) for file, image in read if image is not None)
        for _, group in itertools.groupby(readable, key=lambda pair: pair[1].shape):
            for batch in chunks(group, batch_size):
                names, images = zip(*batch)
                for file, image, sample in zip(names, images, self.try_forward(names, images)):
                    sample.set_metainfo(dict(img_path=str(file.path)))
                    yield Prediction(file, image, sample)

    def read(self, file: ImageFile) -> np.ndarray | None:
        """An image through the loader of the test pipeline; None if it cannot be read."""
        try:
            return self.load(dict(img_path=str(file.path)))['img']
        except Exception as error:  # Each loader and image format has its own errors.
            print_log(f'{file.path}: left out: {error}', 'current', level=logging.WARNING)
            return None

    def try_forward(
        self, files: Sequence[ImageFile], images: Sequence[np.ndarray]
    ) -> list[BaseDataElement]:
        """Data samples of a batch; none, with a warning, if the network cannot take its size."""
        try:
            return self.forward(list(images))
        except Exception as error:
            # Such as a pooling kernel larger than the map. Lack of memory would hit all images.
            of_size = isinstance(error, RuntimeError) and 'size' in str(error)
            if not (of_size or is_tiny(images[0])) or 'out of memory' in str(error).lower():
                raise
            for file in files:
                message = f'{file.path}: left out: {reason_of(error)}'
                print_log(message, 'current', level=logging.WARNING)
            return []

    def forward(self, images: list[np.ndarray]) -> list[BaseDataElement]:
        """Data samples of images of one size."""
        if not hasattr(self.inferencer, 'show_progress'):
            # MMPretrain's inferencer prints a progress bar for each call.
            batches = self.inferencer.preprocess(images, batch_size=len(images))
            return [sample.cpu() for data in batches for sample in self.inferencer.forward(data)]
        samples = self.inferencer(images, batch_size=len(images), return_datasamples=True)
        samples = samples['predictions'] if isinstance(samples, dict) else samples
        samples = samples if isinstance(samples, list) else [samples]
        return [sample.cpu() for sample in samples]


def list_images(images: Paths) -> list[ImageFile]:
    """Files of images from files, folders and glob patterns.

    Args:
        images: One or several. Folders are searched with their subfolders.

    Raises:
        UserError: A path or pattern has no image, or two images have one name.
    """
    given = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    files: dict[str, Path] = {}
    for path, name in (found for each in given for found in _images_of(Path(each).expanduser())):
        if files.setdefault(name, path).resolve() != path.resolve():
            raise UserError(
                f'{files[name]} and {path} have one name: give the folder that holds both'
            )
    stems = {name: str(PurePosixPath(name).with_suffix('')) for name in files}
    # 'a.jpg.png' must not be named like 'a.jpg', which keeps its ending beside 'a.png'.
    taken = Counter([*stems.values(), *files])
    return [
        ImageFile(path, name, stems[name] if taken[stems[name]] == 1 else name)
        for name, path in files.items()
    ]


def _images_of(path: Path) -> list[tuple[Path, str]]:
    if path.is_dir():
        return [(file, file.relative_to(path).as_posix()) for file in find_images(path, deep=True)]
    matches = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path), recursive=True)))
    if not matches:
        raise UserError(f'{path}: there is no such image')
    return [(match, match.name) for match in matches if match.is_file()]


def build_inferencer(config: Config, device: str | torch.device | None = None) -> BaseInferencer:
    """OpenMMLab's inferencer of a config's model, without weights.

    Raises:
        UserError: The config has no task that predicts.
    """
    scope = config.get('default_scope')
    if scope not in _LIBRARIES or not config.get('test_dataloader'):
        raise UserError(
            f'{config.filename}: default_scope={scope!r} without predictions: take a config of '
            'configs/det, configs/seg or configs/cls'
        )
    path, visualizer = _LIBRARIES[scope]
    module, name = path.rsplit('.', 1)
    config = copy.deepcopy(config)
    config.visualizer = dict(type=visualizer, vis_backends=[])
    init_default_scope(scope)
    weights = {'pretrained': False} if scope == 'mmpretrain' else {'weights': None}
    with warnings.catch_warnings():
        # It warns of random weights, which are loaded next.
        warnings.simplefilter('ignore')
        inferencer = getattr(importlib.import_module(module), name)(
            config, device=device, **weights
        )
    # MMPretrain's inferencer makes one only when it draws.
    if inferencer.visualizer is None:
        inferencer.visualizer = VISUALIZERS.build(
            {**config.visualizer, 'name': f'predictions-{time.time_ns()}'}
        )
    if hasattr(inferencer, 'show_progress'):
        inferencer.show_progress = False  # each call is one batch
    return inferencer


def image_loader(config: Config) -> dict:
    """The step of the test pipeline that reads an image.

    Raises:
        UserError: There is none.
    """
    dataset = config.test_dataloader.dataset
    for step in dataset.get('pipeline') or []:
        if step['type'].rpartition('.')[2].startswith('LoadImage'):
            return step
    raise UserError(f'{config.filename}: test_dataloader.dataset.pipeline reads no image')


def class_names(model: torch.nn.Module, config: Config, meta: dict[str, Any]) -> dict[str, Any]:
    """Names and colors of a model's classes.

    The checkpoint knows best, then the config's test set. Names that are not as many as the
    model's classes are another data set's; numbers take their place.
    """
    dataset = config.test_dataloader.dataset
    default = getattr(DATASETS.get(dataset.type), 'METAINFO', {})
    count = getattr(find_head(model), 'num_classes', 0)
    for known in (meta.get('dataset_meta') or {}, {**default, **dataset.get('metainfo', {})}):
        if count and len(known.get('classes') or ()) == count:
            return dict(known)
    print_log(
        f'{config.filename}: the names of the {count} classes are not known: set '
        'test_dataloader.dataset.metainfo.classes',
        'current',
        logging.WARNING,
    )
    return dict(classes=tuple(map(str, range(count))))


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items, the last one shorter."""
    items = iter(items)
    return iter(lambda: list(itertools.islice(items, size)), [])
