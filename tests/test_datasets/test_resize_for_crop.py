"""A resize that waits for its crop gives what MMDetection's resize and crop give."""

import numpy as np
import pytest
from mmdet.datasets.transforms import RandomCrop, Resize
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.registry import TRANSFORMS, init_default_scope

from mmaddp.datasets import ResizeForCrop
from mmaddp.utils import UserError

HEIGHT, WIDTH = 75, 100
BOXES = np.array([[10, 5, 40, 60], [50, 20, 95, 70]], np.float32)


def image_with_masks(bitmaps=True):
    random = np.random.default_rng(0)
    masks = BitmapMasks(random.integers(0, 2, (2, HEIGHT, WIDTH), np.uint8), HEIGHT, WIDTH)
    if not bitmaps:
        polygons = [[np.array([x0, y0, x1, y0, x1, y1, x0, y1])] for x0, y0, x1, y1 in BOXES]
        masks = PolygonMasks(polygons, HEIGHT, WIDTH)
    return dict(
        img=random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
        img_shape=(HEIGHT, WIDTH),
        gt_bboxes=HorizontalBoxes(BOXES.copy()),
        gt_bboxes_labels=np.array([0, 1]),
        gt_ignore_flags=np.array([False, False]),
        gt_masks=masks,
    )


def jittered(resize_type, scale, bitmaps=True, seed=0):
    resize = resize_type(scale=(scale, scale), keep_ratio=True, backend='pillow')
    crop = RandomCrop((64, 64), 'absolute', recompute_bbox=True, allow_negative_crop=True)
    np.random.seed(seed)
    return crop(resize(image_with_masks(bitmaps)))


@pytest.mark.parametrize('scale', [20, 57, 64, 75, 100, 131, 200])
@pytest.mark.parametrize('bitmaps', [True, False])
def test_it_equals_resizing_the_whole(scale, bitmaps):
    whole, part = (jittered(kind, scale, bitmaps, scale) for kind in (Resize, ResizeForCrop))
    assert part['img'].shape == whole['img'].shape
    assert np.abs(part['img'].astype(int) - whole['img']).max() <= 1
    assert np.array_equal(part['gt_masks'].to_ndarray(), whole['gt_masks'].to_ndarray())
    assert part['gt_bboxes'].tensor.equal(whole['gt_bboxes'].tensor)
    for key in ('img_shape', 'scale_factor', 'keep_ratio', 'gt_bboxes_labels'):
        assert np.array_equal(part[key], whole[key])


def test_an_image_without_objects():
    results = image_with_masks()
    results.update(
        gt_bboxes=HorizontalBoxes(BOXES[:0]),
        gt_bboxes_labels=np.zeros(0, int),
        gt_ignore_flags=np.zeros(0, bool),
        gt_masks=BitmapMasks(np.zeros((0, HEIGHT, WIDTH), np.uint8), HEIGHT, WIDTH),
    )
    crop = RandomCrop((64, 64), 'absolute', allow_negative_crop=True)
    cropped = crop(ResizeForCrop(scale=(200, 200))(results))
    assert cropped['gt_masks'].masks.shape == (0, 64, 64)


def test_the_config_of_a_random_resize_names_it():
    init_default_scope('mmdet')
    settings = dict(type='RandomResize', resize_type='mmaddp.ResizeForCrop', scale=(64, 64))
    transform = TRANSFORMS.build(dict(settings, ratio_range=(0.5, 2.0)))
    assert isinstance(transform.resize, ResizeForCrop)


def test_other_resizing_is_refused():
    with pytest.raises(UserError, match="backend='pillow'"):
        ResizeForCrop(scale=(8, 8), backend='cv2')
