"""Drawn rooms have exact depths and classes, the same at every call."""

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope

from mmaddp.datasets.drawn_shapes import CLASSES, draw_scene, surface_depth
from mmaddp.engine.data import make_resumable


def test_the_same_arguments_give_the_same_bytes():
    one, again, other = draw_scene(32, 0, 3), draw_scene(32, 0, 3), draw_scene(32, 1, 3)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, again))
    assert one.image.tobytes() != other.image.tobytes()
    assert (one.image.dtype, one.labels.dtype, one.depth.dtype) == (np.uint8, np.uint8, np.float32)


def test_wall_and_floor_have_their_depths():
    scene = draw_scene(64, 0, 0)
    assert (scene.depth[scene.labels == CLASSES.index('wall')] == 9).all()
    # The floor is y = 1 below the camera: z = 1 / v at the pixel's center.
    rows, _ = np.nonzero(scene.labels == CLASSES.index('floor'))
    depths = scene.depth[scene.labels == CLASSES.index('floor')]
    np.testing.assert_allclose(depths, 1 / ((rows + 0.5) / 32 - 1), rtol=1e-5)
    assert set(np.unique(draw_scene(64, 0, 1).labels)) >= {0, 1}


def test_a_sphere_is_nearest_in_its_middle():
    u = np.array([[0.0, 0.1, 0.5]])
    center = np.array([0.0, 0.0, 5.0])
    depth = surface_depth('sphere', u, np.zeros_like(u), center, 1.0, np.random.default_rng(0))
    assert depth[0, 0] == pytest.approx(4)
    # |t (0.1, 0, 1) - (0, 0, 5)|^2 = 1
    t = depth[0, 1]
    assert (0.1 * t) ** 2 + (t - 5) ** 2 == pytest.approx(1)
    assert np.isinf(depth[0, 2])
    plate = surface_depth('disc', u, np.zeros_like(u), center, 1.0, np.random.default_rng(0))
    assert plate.tolist() == [[5, 5, np.inf]]


def test_the_data_set_gives_what_segmentors_and_depth_estimators_read():
    init_default_scope('mmseg')
    pipeline = [dict(type='mmaddp.LoadDrawnShapes'), dict(type='PackSegInputs')]
    data = DATASETS.build(dict(type='mmaddp.DrawnShapes', count=2, size=32, pipeline=pipeline))
    assert (len(data), data.metainfo['classes']) == (2, CLASSES)
    sample = data[1]['data_samples']
    assert data[1]['inputs'].shape == (3, 32, 32)
    assert sample.gt_sem_seg.data.shape == sample.gt_depth_map.data.shape == (1, 32, 32)
    scene = draw_scene(32, 0, 1)
    assert (sample.gt_depth_map.data[0].numpy() == scene.depth).all()


def test_a_part_of_the_labels_keeps_every_class():
    dataset = dict(type='mmaddp.DrawnShapes', count=60, size=32, pipeline=[])
    loader = dict(batch_size=1, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=True))
    parts = [
        DATASETS.build(make_resumable(loader, 0, labels=labels)['dataset']) for labels in (0.1, 0.5)
    ]
    fewer, more = ({part.get_data_info(i)['index'] for i in range(len(part))} for part in parts)
    assert (len(fewer), len(more)) == (6, 30)
    assert fewer < more
    seen = {label for index in fewer for label in np.unique(draw_scene(32, 0, index).labels)}
    assert seen == set(range(len(CLASSES)))
