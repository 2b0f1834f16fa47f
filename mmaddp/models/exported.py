"""Exported files in place of a model's network, for tests and predictions."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor

from mmaddp.export.files import read_network
from mmaddp.registry import MODELS
from mmaddp.utils import UserError


@MODELS.register_module()
class ExportedModel(BaseModel):
    """A config's model whose network is a file of ``tools/export.py``.

    Data preprocessor, sliding windows, pasting of masks and scaling to the original size stay those
    of the model. Its weights are not used.

    Args:
        model: The config's model.
        file: The exported file.
        data_preprocessor: The config's, if it stands outside the model.
    """

    def __init__(self, model: dict, file: str, data_preprocessor: dict | None = None) -> None:
        super().__init__()
        self.run, self.info = read_network(file)
        model = copy.deepcopy(model)
        model.setdefault('data_preprocessor', data_preprocessor or {})
        given = model['data_preprocessor']
        self.in_rgb = given.get('bgr_to_rgb', False) or given.get('rgb_to_bgr', False)
        # The file takes RGB and normalizes, so the preprocessor only pads and orders the channels.
        # A segmentor's pads after it normalizes, so it stays: see `_replace_segmentor`.
        if self.info['task'] != 'segmentation':
            in_rgb = 'to_rgb' if self.info['task'] == 'classification' else 'bgr_to_rgb'
            given.update({'mean': None, 'std': None, in_rgb: True})
        self.model = MODELS.build(model)
        replace = dict(
            classification=self._replace_classifier,
            segmentation=self._replace_segmentor,
            detection=self._replace_detector,
        )
        replace[self.info['task']]()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the config's model."""
        return self.model(*args, **kwargs)

    def test_step(self, data: dict) -> list[BaseDataElement]:
        """Predict a batch."""
        return self.model.test_step(data)

    def network(self, images: Tensor, *others: Tensor) -> list[Tensor]:
        """The file's results for one image, on the image's device.

        Raises:
            UserError: The image has another size than the file.
        """
        size = tuple(images.shape[-2:])
        if size != tuple(self.info['size']):
            height, width = self.info['size']
            raise UserError(
                f'an image of {size[0]} x {size[1]} pixels for a file of {height} x {width}: '
                f'export with --size {size[0]} {size[1]}, or resize the images'
            )
        return [result.to(images.device) for result in self.run(images, *others)]

    def _replace_classifier(self) -> None:
        def predict(images: Tensor, samples: list, **kwargs: Any) -> list:
            for image, sample in zip(images, samples):
                scores = self.network(image[None])[0][0]
                sample.set_pred_score(scores).set_pred_label(scores.argmax())
            return samples

        # The model's own test_step prepares the images and then calls this.
        self.model.predict = predict

    def _replace_segmentor(self) -> None:
        def encode_decode(images: Tensor, metas: list) -> Tensor:
            images = self.raw_pixels(images)
            # An exported file takes one image.
            return torch.cat([self.network(image[None])[0] for image in images])

        self.model.encode_decode = encode_decode

    def raw_pixels(self, images: Tensor) -> Tensor:
        """Undo the data preprocessor's normalization: RGB in [0, 255], padded by the mean."""
        given = self.model.data_preprocessor
        images = images * getattr(given, 'std', 1.0) + getattr(given, 'mean', 0.0)
        return images if self.in_rgb else images.flip(1)

    def _replace_detector(self) -> None:
        def predict(images: Tensor, samples: list, rescale: bool = True) -> list:
            for image, sample in zip(images, samples):
                sample.pred_instances = self.detect(image[None], sample.metainfo, rescale)
            return samples

        self.model.predict = predict

    def detect(self, image: Tensor, meta: dict, rescale: bool) -> InstanceData:
        """Boxes and pasted masks of one image."""
        valid = torch.tensor(meta['img_shape'][:2], dtype=torch.float32)
        boxes, scores, labels, *masks = self.network(image, valid)
        # The file pads its results to a fixed number with scores of 0.
        found = scores > 0
        results = InstanceData(bboxes=boxes[found], scores=scores[found], labels=labels[found])
        if masks:
            head = self.model.roi_head.mask_head
            head = head[-1] if isinstance(head, torch.nn.ModuleList) else head
            head.class_agnostic = True  # the file has the mask of the label alone
            # Scales the boxes, too.
            return head.predict_by_feat(
                (masks[0][found][:, None],),
                [results],
                [meta],
                self.model.roi_head.test_cfg,
                rescale,
                activate_map=True,
            )[0]
        if rescale:
            # (w, h) -> (w, h, w, h), for both corners of a box.
            results.bboxes = results.bboxes / boxes.new_tensor(meta['scale_factor']).repeat(2)
        return results
