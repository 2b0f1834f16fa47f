import numpy as np
from mmengine.registry import TRANSFORMS, init_default_scope

import mmaddp  # noqa: F401


def results(height=8, width=6):
    return dict(
        img=np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3),
        gt_depth_map=np.arange(height * width, dtype=np.float32).reshape(height, width),
        seg_fields=['gt_depth_map'],
        img_shape=(height, width),
        ori_shape=(height, width),
    )


def build(**config):
    init_default_scope('mmseg')
    return TRANSFORMS.build(config)


def test_a_box_becomes_the_image():
    before, after = results(), build(type='mmaddp.CropBox', box=(1, 2, 5, 7))(results())
    assert (after['img'] == before['img'][2:7, 1:5]).all()
    assert (after['gt_depth_map'] == before['gt_depth_map'][2:7, 1:5]).all()
    assert after['img_shape'] == after['ori_shape'] == (5, 4)


def test_colors_are_scaled_and_stay_in_range():
    np.random.seed(0)
    ranges = dict(gamma_range=(1, 1), brightness_range=(2, 2), color_range=(1, 1))
    image = results()['img'].astype(np.float32)
    after = build(type='mmaddp.ColorAugmentation', prob=1.0, **ranges)(results())
    np.testing.assert_allclose(after['img'], (2 * image).clip(0, 255))
    same = build(type='mmaddp.ColorAugmentation', prob=0.0)(results())
    assert (same['img'] == results()['img']).all()


def test_images_and_maps_are_scaled_by_their_own_size():
    after = build(type='mmaddp.RandomScale', ratio_range=(2, 2))(results())
    assert after['img'].shape == (16, 12, 3)
    assert after['gt_depth_map'].shape == (16, 12)
