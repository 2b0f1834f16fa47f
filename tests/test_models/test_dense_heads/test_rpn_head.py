"""Proposals of a network in bfloat16 are those of float32 arithmetic."""

import pytest
import torch
from mmdet.models.dense_heads import RPNHead as MMDetRPNHead
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

from mmaddp.models import RPNHead

STRIDE, SIZE, RATIOS = 64, 1024, (0.5, 1.0, 2.0)
TEST_CFG = ConfigDict(nms_pre=-1, max_per_img=10_000, nms=dict(type='nms', iou_threshold=1.0))


def build(head: type = RPNHead) -> RPNHead:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    head = head(
        in_channels=8,
        feat_channels=8,
        num_classes=1,
        num_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[1], ratios=list(RATIOS), strides=[STRIDE]
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        test_cfg=TEST_CFG,
    )
    head.init_weights()
    return head.eval()


@pytest.fixture
def features() -> tuple[torch.Tensor]:
    torch.manual_seed(1)
    return (torch.randn(1, 8, SIZE // STRIDE, SIZE // STRIDE),)


def propose(head: RPNHead, features: tuple[torch.Tensor]) -> torch.Tensor:
    """Boxes in order of their score, (N, 4)."""
    sample = DetDataSample(metainfo=dict(img_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0)))
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        (result,) = head.predict(features, [sample])
    return result.bboxes


def anchors_in_closed_form() -> torch.Tensor:
    """Boxes of an area of 64 x 64 and of each height / width, centered on multiples of 64."""
    boxes = []
    for y in range(0, SIZE, STRIDE):
        for x in range(0, SIZE, STRIDE):
            for ratio in RATIOS:
                half_h, half_w = STRIDE * ratio**0.5 / 2, STRIDE / ratio**0.5 / 2
                boxes.append((x - half_w, y - half_h, x + half_w, y + half_h))
    return torch.tensor(boxes)


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """The furthest that a box of either set is from all of the other, in pixels of a coordinate."""
    pairs = torch.cdist(one, other, p=torch.inf)
    return max(pairs.amin(0).max().item(), pairs.amin(1).max().item())


def test_proposals_without_deltas_are_the_anchors(features):
    head = build()
    torch.nn.init.zeros_(head.rpn_reg.weight)
    proposals = propose(head, features)
    expected = anchors_in_closed_form().clamp(0, SIZE)
    assert len(proposals) == len(expected)
    assert distance(proposals, expected) < 1e-3


def test_scores_and_deltas_are_decoded_in_float32(features):
    head = build()
    torch.nn.init.normal_(head.rpn_reg.weight, std=0.1)
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        (scores,), (deltas,) = head(features)
    assert scores.dtype == deltas.dtype == torch.float32
    # They are computed in bfloat16 all the same.
    assert torch.equal(scores, scores.bfloat16().float())
    deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4)
    decoded = decode(anchors_in_closed_form(), deltas).clamp(0, SIZE)
    assert distance(propose(head, features), decoded) < 1e-2


def decode(anchors: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
    """Faster R-CNN's equations: the center moves by sizes, the size grows by exponents."""
    sizes = anchors[:, 2:] - anchors[:, :2]
    centers = (anchors[:, 2:] + anchors[:, :2]) / 2 + deltas[:, :2] * sizes
    sizes = sizes * deltas[:, 2:].exp()
    return torch.cat([centers - sizes / 2, centers + sizes / 2], dim=1)


def test_weights_have_mmdetections_names():
    ours, theirs = build().state_dict(), build(MMDetRPNHead).state_dict()
    assert {n: p.shape for n, p in ours.items()} == {n: p.shape for n, p in theirs.items()}
