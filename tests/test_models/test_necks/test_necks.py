import pytest
import torch
from mmcv.ops import roi_align as mmcv_roi_align
from torchvision.ops import roi_align as torchvision_roi_align

from mmaddp.models import ADDPViT, LastTokenNeck, PoolNormNeck, SimpleFeaturePyramid


def test_pyramid_has_strides_4_to_64():
    neck = SimpleFeaturePyramid(in_channels=16, out_channels=8, num_outs=5)
    levels = neck((torch.randn(1, 16, 4, 6), torch.randn(1, 16, 8, 12)))
    image = (8 * 16, 12 * 16)
    for level, stride in zip(levels, (4, 8, 16, 32, 64)):
        assert level.shape == (1, 8, image[0] // stride, image[1] // stride)


def test_roi_align_reads_the_maps_as_torchvision_does():
    torch.manual_seed(0)
    backbone = ADDPViT(
        dict(embed_dims=16, num_layers=1, num_heads=2),
        img_size=64,
        with_cls_token=False,
        embed_norm=False,
    )
    maps = backbone(torch.randn(2, 3, 64, 64))
    boxes = torch.tensor([[0, 3.0, 5.0, 40.0, 30.0], [1, 8.0, 2.0, 60.0, 61.0]])
    for level in (*maps, *SimpleFeaturePyramid(16, 8)(maps)):
        stride = 64 // level.shape[-1]
        ours = mmcv_roi_align(level, boxes, (7, 7), 1 / stride, 2, 'avg', True)
        expected = torchvision_roi_align(level, boxes, (7, 7), 1 / stride, 2, aligned=True)
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_pyramid_size_at_vit_base_is_vitdets():
    neck = SimpleFeaturePyramid(in_channels=768, out_channels=256)
    deconvolutions = (768 * 384 * 4 + 384) + 2 * 384 + (384 * 192 * 4 + 192) + (768 * 384 * 4 + 384)
    laterals = (192 + 384 + 768 + 768) * 256 + 4 * 2 * 256
    outputs = 4 * (256 * 256 * 9 + 2 * 256)
    expected = deconvolutions + laterals + outputs
    assert sum(parameter.numel() for parameter in neck.parameters()) == expected


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(scale_factors=(3,)), 'scale_factors=3 is none of 4, 2, 1'),
        (dict(num_outs=2), 'num_outs=2 and in_indices'),
        (dict(in_indices=(0, 1)), r'in_indices=\(0, 1\) do not fit 4 scale_factors'),
    ],
)
def test_pyramid_refuses_what_it_cannot_build(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SimpleFeaturePyramid(16, 8, **kwargs)


def test_each_level_of_a_pyramid_over_depths_reads_its_own_map():
    neck = SimpleFeaturePyramid(in_channels=16, out_channels=8, in_indices=(0, 1, 1, 2))
    maps = [torch.randn(1, 16, 8, 8) for _ in range(3)]
    before = neck(tuple(maps))
    for changed, levels in ((0, {0}), (1, {1, 2}), (2, {3, 4})):
        others = [m + 1 if i == changed else m for i, m in enumerate(maps)]
        after = neck(tuple(others))
        assert {i for i in range(5) if not torch.equal(before[i], after[i])} == levels


def test_the_last_token_is_the_bottom_right_one():
    features = (torch.zeros(2, 4, 3, 5), torch.randn(2, 4, 3, 5))
    (vectors,) = LastTokenNeck()(features)
    assert torch.equal(vectors, features[1].flatten(2)[..., 14])


def test_pooling_averages_then_normalizes():
    features = (None, torch.randn(4, 6, 3, 5, generator=torch.Generator().manual_seed(0)))
    neck = PoolNormNeck(6, dict(type='BN1d', affine=False, eps=1e-6))
    (vectors,) = neck(features)
    assert not list(neck.parameters())
    torch.testing.assert_close(vectors.mean(0), torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(vectors.var(0, unbiased=False), torch.ones(6), atol=1e-3, rtol=0)
