"""Two-stage detectors as one function of an image, without Python's branches on what is found."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torchvision
from torch import Tensor, nn

from mmaddp.utils import check_choice

# Reaches no score, so that it loses against every box.
_NO_BOX = -1.0


class TwoStageDetector(nn.Module):
    """MMDetection's Faster, Mask and Cascade R-CNN for one image, non-maximum suppression included.

    The boxes are those of the detector's ``predict`` for that image. Counts that depend on the
    image are filled up to fixed ones: the proposals by boxes without a score, the detections by
    zeros.

    Args:
        detector: The detector in evaluation mode.
    """

    outputs = ('boxes', 'scores', 'labels', 'masks')

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector, self.roi_head = detector, detector.roi_head
        heads, extractors = self.roi_head.bbox_head, self.roi_head.bbox_roi_extractor
        cascade = isinstance(heads, nn.ModuleList)
        self.box_heads = list(heads) if cascade else [heads]
        self.box_extractors = list(extractors) if cascade else [extractors]
        if not self.roi_head.with_mask:
            self.outputs = self.outputs[:3]
        for name, nms in (('rpn', self.rpn_cfg.nms), ('rcnn', self.rcnn_cfg.nms)):
            check_choice(f'test_cfg.{name}.nms.type', nms.get('type', 'nms'), ('nms',))

    @property
    def rpn_cfg(self) -> dict:
        """Settings of the proposals."""
        return self.detector.rpn_head.test_cfg

    @property
    def rcnn_cfg(self) -> dict:
        """Settings of the detections."""
        return self.roi_head.test_cfg

    def forward(self, image: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
        """Detect.

        Args:
            image: (1, 3, H, W), normalized, zero where it is padded.
            valid: (2,) float, height and width without padding.

        Returns:
            N = ``max_per_img`` boxes (N, 4) as x1, y1, x2, y2 in pixels, scores (N,) falling, 0
            where there is no box, labels (N,) int64, and with masks their probabilities
            (N, 28, 28) within the boxes.
        """
        maps = self.detector.extract_feat(image)
        proposals, is_proposal = self.proposals(maps, valid)
        boxes, scores = self.refined(maps, proposals, valid)
        scores = torch.where(is_proposal[:, None], scores, 0)
        boxes, scores, labels = self.detections(boxes, scores)
        if not self.roi_head.with_mask:
            return boxes, scores, labels
        return boxes, scores, labels, self.masks(maps, boxes, labels)

    def proposals(self, maps: Sequence[Tensor], valid: Tensor) -> tuple[Tensor, Tensor]:
        """Proposals of the RPN, (P, 4), and whether each is one or fills up, (P,)."""
        head, cfg = self.detector.rpn_head, self.rpn_cfg
        priors = head.prior_generator.grid_priors(
            [x.shape[-2:] for x in maps], device=maps[0].device
        )
        boxes, scores, levels = [], [], []
        for level, (logits, deltas, anchors) in enumerate(zip(*head(maps), priors)):
            deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4)  # (4A, h, w) -> (hwA, 4)
            score = logits[0].permute(1, 2, 0).flatten().sigmoid()
            score, best = highest(score, min(cfg.nms_pre, len(anchors)))
            boxes.append(clip(head.bbox_coder.decode(anchors[best], deltas[best]), valid))
            scores.append(score)
            levels.append(torch.full_like(best, level))
        boxes, scores = torch.cat(boxes), torch.cat(scores)
        sides = boxes[:, 2:] - boxes[:, :2]
        too_small = (sides <= cfg.min_bbox_size).any(1)
        scores = torch.where(too_small, _NO_BOX, scores)
        scores = suppress(boxes, scores, torch.cat(levels), cfg.nms.iou_threshold)
        scores, best = highest(scores, min(cfg.max_per_img, len(scores)))
        return boxes[best], scores >= 0

    def refined(
        self, maps: Sequence[Tensor], boxes: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Boxes (P, K or 1, 4) and scores (P, K) of the classes after all stages."""
        scores = []
        for stage, (head, extractor) in enumerate(zip(self.box_heads, self.box_extractors)):
            logits, deltas = head(pooled(extractor, maps, boxes))
            scores.append(logits)
            last = stage == len(self.box_heads) - 1
            deltas = deltas.reshape(len(boxes), -1, 4)
            count = deltas.shape[1]
            if not last and count > 1:  # a stage passes on the box of its best class
                best = logits[:, :-1].argmax(1)[:, None, None].expand(-1, 1, 4)
                deltas, count = deltas.gather(1, best), 1
            repeated = boxes[:, None].expand(-1, count, 4).reshape(-1, 4)
            decoded = clip(head.bbox_coder.decode(repeated, deltas.reshape(-1, 4)), valid)
            boxes = decoded.reshape(-1, count, 4) if last else decoded
        # A cascade averages the logits of its stages.
        mean = torch.stack(scores).mean(0)
        return boxes, mean.softmax(-1)[:, :-1]

    def detections(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best boxes of all classes after suppression."""
        cfg, classes = self.rcnn_cfg, scores.shape[1]
        found = (scores > cfg.score_thr).flatten().nonzero()[:, 0]
        boxes = boxes.expand(-1, classes, 4).reshape(-1, 4)[found]
        scores, labels = scores.flatten()[found], found % classes
        # Empty boxes behind them, so that there are enough in any image.
        count = cfg.max_per_img
        boxes = torch.cat([boxes, boxes.new_zeros(count, 4)])
        scores = torch.cat([scores, scores.new_zeros(count)])
        labels = torch.cat([labels, labels.new_zeros(count)])
        scores = suppress(boxes, scores, labels, cfg.nms.iou_threshold)
        scores, best = highest(scores, count)
        return boxes[best], scores.clamp(min=0), labels[best]

    def masks(self, maps: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Probabilities (N, 28, 28) of the masks of the boxes' classes, averaged over stages."""
        heads, extractors = self.roi_head.mask_head, self.roi_head.mask_roi_extractor
        if not isinstance(heads, nn.ModuleList):
            heads, extractors = [heads], [extractors]
        stages = []
        for head, extractor in zip(heads, extractors):
            masks = head(pooled(extractor, maps, boxes)).sigmoid()
            index = torch.zeros_like(labels) if head.class_agnostic else labels
            stages.append(masks[torch.arange(len(boxes)), index])
        return torch.stack(stages).mean(0)


def clip(boxes: Tensor, valid: Tensor) -> Tensor:
    """Boxes (N, 4) within an image of ``valid`` height and width."""
    return boxes.clamp(min=0).minimum(valid.flip(0).repeat(2))


def highest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest scores, falling, and their indices; of equal ones the first, as MMDetection."""
    scores, order = scores.sort(descending=True)
    return scores[:count], order[:count]


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Scores after non-maximum suppression within each group: those of suppressed boxes are -1."""
    # Boxes of different groups are moved apart, as MMCV does.
    shifted = boxes + (groups * (boxes.max() + 1))[:, None]
    # Ranks, since runtimes break ties of scores in different ways.
    order = scores.sort(descending=True)[1]
    ranks = torch.arange(order.shape[0], 0, -1, dtype=torch.float32, device=boxes.device)
    kept = order[torchvision.ops.nms(shifted[order], ranks, iou)]
    mask = torch.zeros_like(scores, dtype=torch.bool).index_fill(0, kept, True)
    return torch.where(mask, scores, _NO_BOX)


def pooled(extractor: nn.Module, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Features (N, C, s, s) of boxes from the level of their size.

    All levels are pooled and one is taken, since which boxes a level has depends on the image.
    """
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
    levels = extractor.map_roi_levels(rois, len(extractor.roi_layers))
    features = [
        torchvision.ops.roi_align(
            x, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned
        )
        for layer, x in zip(extractor.roi_layers, maps)
    ]
    return sum(
        torch.where((levels == level)[:, None, None, None], x, 0.0)
        for level, x in enumerate(features)
    )
