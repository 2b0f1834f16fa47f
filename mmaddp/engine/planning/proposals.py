"""Proposals of a trained detector, for a network that is not trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def give_proposals(model: nn.Module, samples: list) -> None:
    """Let a two-stage detector's RPN propose boxes of which its samplers get all that they take.

    Half of an image's proposals overlap its objects by 0.8 and more, the others lie anywhere.
    Without this an untrained network proposes hardly any object, and the heads of boxes and masks
    need less memory than they will.

    Args:
        model: Any model; one without ``rpn_head`` and ``roi_head`` is left alone.
        samples: The batch's data samples.
    """
    if not (hasattr(model, 'rpn_head') and hasattr(model, 'roi_head')):
        return
    predict = model.rpn_head.predict_by_feat

    def predict_by_feat(*args: Any, cfg: Any = None, **kwargs: Any) -> list:
        predict(*args, cfg=cfg, **kwargs)
        count = (cfg or model.rpn_head.test_cfg).max_per_img
        return [_proposals(sample, count) for sample in samples]

    model.rpn_head.predict_by_feat = predict_by_feat
    heads = model.roi_head.bbox_head
    for head in heads if isinstance(heads, nn.ModuleList) else ():
        _keep_boxes(head)


def _proposals(sample: Any, count: int) -> Any:
    from mmengine.structures import InstanceData

    generator = torch.Generator().manual_seed(0)
    height, width = sample.img_shape
    near = _near(sample.gt_instances.bboxes.tensor, count // 2, generator)
    corners = torch.rand(count - len(near), 2, generator=generator) * 0.7
    extents = 0.05 + torch.rand(len(corners), 2, generator=generator) * 0.25
    far = torch.cat([corners, corners + extents], 1) * torch.tensor([width, height] * 2)
    boxes = torch.cat([near, far])
    scores = torch.rand(len(boxes), generator=generator)
    return InstanceData(bboxes=boxes, scores=scores, labels=torch.zeros(len(boxes)).long())


def _near(objects: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Boxes (count, 4) moved from those of the objects by at most 2 % of their sides."""
    boxes = objects.float().repeat(-(-count // max(len(objects), 1)), 1)[:count]
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + sides * 0.04 * (torch.rand(boxes.shape, generator=generator) - 0.5)


def _keep_boxes(head: nn.Module) -> None:
    """Let a stage of a cascade return the boxes that it was given."""
    refine = head.refine_bboxes

    def refine_bboxes(sampling_results: list, *args: Any) -> list:
        refined = refine(sampling_results, *args)
        for boxes, sampled in zip(refined or (), sampling_results):
            boxes.bboxes = sampled.priors[-len(boxes) :]
        return refined

    head.refine_bboxes = refine_bboxes
