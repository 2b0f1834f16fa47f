"""Pictures of features: components as colors, similarity to the center."""

import numpy as np
import torch
from mmengine.config import Config
from tiny_dense import VIT

from mmaddp.experiments.example_images import draw_map, principal_colors, similarity
from mmaddp.experiments.robustness import build_trained
from mmaddp.registry import MODELS


def test_the_strongest_direction_is_the_first_color():
    """Left and right halves differ along one direction, top and bottom along a weaker one."""
    maps = torch.zeros(8, 6, 6)
    maps[2, :, 3:], maps[5, 3:] = 10, 3
    (colors,) = principal_colors([maps])
    # Without noise there are four colors, and the first channel tells left from right.
    assert len(np.unique(colors.reshape(-1, 3), axis=0)) == 4
    red = colors[..., 0]
    assert {red[0, 0], red[0, 5]} == {0, 255}
    assert (red[:, :3] == red[0, 0]).all()
    np.testing.assert_array_equal(principal_colors([maps])[0], colors)


def test_one_basis_for_all_images():
    maps = torch.randn(4, 5, 5, generator=torch.Generator().manual_seed(0))
    first, second = principal_colors([maps, maps.flip(2)])
    np.testing.assert_array_equal(first[:, ::-1], second)


def test_similarity_is_highest_at_the_center_and_its_like():
    maps = torch.randn(16, 5, 5, generator=torch.Generator().manual_seed(0))
    maps[:, 0, 0] = maps[:, 2, 2]
    shown = similarity(maps)
    # Viridis ends in yellow, whose green is the brightest.
    assert (shown[..., 1] == shown[2, 2, 1]).sum() == 2
    assert shown[0, 0].tolist() == shown[2, 2].tolist()
    assert shown[..., 1].max() == shown[2, 2, 1]
    corner = similarity(maps, (0.9, 0.0))
    assert corner[..., 1].argmax() == 4 * 5


def test_ignored_pixels_keep_their_color():
    image, labels = np.full((2, 2, 3), 100, np.uint8), np.array([[0, 255], [1, 1]])
    drawn = draw_map(image, labels, np.array([[0, 0, 0], [255, 255, 255]]))
    assert drawn[0, 1].tolist() == [100, 100, 100]
    assert drawn[0, 0, 0] == 35
    assert drawn[1, 0, 0] == int(0.35 * 100 + 0.65 * 255)


def test_a_trained_head_is_read_with_its_encoder_of_any_kind(tmp_path):
    """The file also looks like one of DARL's encoder alone."""
    arguments = {key: value for key, value in VIT.items() if key != 'type'}
    model = dict(
        type='mmseg.EncoderDecoder',
        backbone=dict(type='mmaddp.Encoder', model='mmaddp:DARLViT', arguments=arguments),
        decode_head=dict(type='mmaddp.LinearHead', in_channels=16, num_classes=3),
    )
    trained = MODELS.build(model)
    torch.save({'meta': {}, 'state_dict': trained.state_dict()}, tmp_path / 'iter_1.pth')
    read = build_trained(Config(dict(model=model)), tmp_path / 'iter_1.pth')
    wanted = trained.state_dict()
    assert all(torch.equal(one, wanted[name]) for name, one in read.state_dict().items())
