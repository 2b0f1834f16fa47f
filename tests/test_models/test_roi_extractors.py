"""Features of regions of a network in bfloat16 are those of float32 arithmetic."""

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor as MMDetSingleRoIExtractor
from mmengine.registry import init_default_scope

from mmaddp.models import SingleRoIExtractor

SIZE, STRIDES = 1024, (32, 64)


def pooled(extractor: type, maps: list[torch.Tensor], regions: torch.Tensor) -> torch.Tensor:
    """Features of the regions, (N, 2, 2, 2), under autocast."""
    init_default_scope('mmdet')
    layer = dict(type='RoIAlign', output_size=2, sampling_ratio=2)
    module = extractor(layer, 2, list(STRIDES))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        return module(maps, regions)


@pytest.fixture
def maps() -> list[torch.Tensor]:
    """On each level, the x and y of each position in pixels over 1024, which bfloat16 can tell."""
    levels = []
    for stride in STRIDES:
        centers = (torch.arange(SIZE // stride) + 0.5) * stride / SIZE
        levels.append(torch.stack(torch.meshgrid(centers, centers, indexing='xy'))[None])
    return [level.bfloat16() for level in levels]


@pytest.fixture
def regions() -> torch.Tensor:
    """A region for each level: image, x1, y1, x2, y2. bfloat16 has none of these numbers."""
    return torch.tensor([[0, 513.0, 601.0, 573.0, 677.0], [0, 517.0, 523.0, 901.0, 847.0]])


def test_bfloat16_maps_are_pooled_where_the_regions_are(maps, regions):
    found = SIZE * pooled(SingleRoIExtractor, maps, regions)
    # Bilinear interpolation of a linear ramp is exact: each bin has the mean of its positions.
    corners, far = regions[:, 1:3], regions[:, 3:]
    for bin_y, bin_x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (torch.tensor([bin_x, bin_y]) + 0.5) / 2
        expected = corners + share * (far - corners)
        torch.testing.assert_close(found[:, :, bin_y, bin_x], expected, atol=0.1, rtol=0)


def test_the_gradient_reaches_the_maps_in_their_dtype(maps, regions):
    maps = [level.requires_grad_() for level in maps]
    pooled(SingleRoIExtractor, maps, regions).sum().backward()
    assert all(level.grad.dtype == torch.bfloat16 for level in maps)
    assert all(level.grad.abs().sum() > 0 for level in maps)


def test_float32_maps_give_what_mmdetection_gives(maps, regions):
    maps = [level.float() for level in maps]
    ours, theirs = (
        pooled(kind, maps, regions) for kind in (SingleRoIExtractor, MMDetSingleRoIExtractor)
    )
    assert torch.equal(ours, theirs)
