"""Parts of the labels: nested, of exact size, seeded, with every class, in all libraries."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import RUNNERS
from PIL import Image
from tiny_runs import classifier, write_images

from mmaddp.datasets import subset_indices
from mmaddp.engine.data import make_resumable
from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

FRACTIONS = (0.01, 0.05, 0.1, 0.5, 1.0)
SEEDS = st.integers(0, 2**32 - 1)
one_class = st.integers(1, 4).flatmap(
    lambda count: st.lists(st.integers(0, count - 1), min_size=1, max_size=300)
)
many_classes = st.lists(st.frozensets(st.integers(0, 5)), min_size=1, max_size=300)


def subsets(classes, seed):
    """The subset of each fraction that can show all classes."""
    found = {}
    for fraction in FRACTIONS:
        try:
            found[fraction] = subset_indices(classes, fraction, seed)
        except UserError:
            continue
    return found


@settings(max_examples=60, deadline=None)
@given(many_classes, SEEDS)
def test_nested_exact_with_every_class(classes, seed):
    found = subsets(classes, seed)
    assert found[1.0] == list(range(len(classes)))
    for smaller, larger in zip(found.values(), list(found.values())[1:]):
        assert set(smaller) <= set(larger)
    for fraction, images in found.items():
        assert len(set(images)) == len(images) == round(fraction * len(classes))
        assert frozenset().union(*(classes[i] for i in images)) == frozenset().union(*classes)
        assert subset_indices(classes, fraction, seed) == images


@settings(max_examples=60, deadline=None)
@given(one_class, SEEDS, st.floats(0.2, 1))
def test_one_class_each_is_stratified(labels, seed, fraction):
    classes = [frozenset([label]) for label in labels]
    totals = Counter(labels)
    try:
        images = subset_indices(classes, fraction, seed)
    except UserError:
        assert round(fraction * len(labels)) < len(totals)
        return
    kept = Counter(labels[i] for i in images)
    shares = {label: kept[label] / count for label, count in totals.items()}
    # One image more or less is what rounding may do.
    for label, count in totals.items():
        assert kept[label] >= 1
        assert all(shares[label] - shares[other] <= 1 / count + 1e-9 for other in totals)


def test_another_seed_gives_other_images():
    classes = [frozenset([i % 2]) for i in range(100)]
    assert subset_indices(classes, 0.1, 0) != subset_indices(classes, 0.1, 1)


def test_too_few_images_are_refused_with_the_least_fraction():
    classes = [frozenset([i % 10]) for i in range(100)]
    message = r'keeps 5 of 100 images, too few to show all 10 classes: give labels=0.1 or more'
    with pytest.raises(UserError, match=message):
        subset_indices(classes, 0.05, 0)
    assert len(subset_indices(classes, 0.1, 0)) == 10


def build(dataset, labels=0.5, seed=0):
    loader = dict(batch_size=1, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=True))
    return DATASETS.build(make_resumable(loader, seed, labels=labels)['dataset'])


def coco(folder, boxes):
    """Ten images; ``boxes`` gives the categories of each."""
    images = [dict(id=i, file_name=f'{i}.jpg', width=40, height=30) for i in range(len(boxes))]
    annotations = [
        dict(image_id=i, category_id=label, bbox=[1, 1, 9, 9], area=81, iscrowd=0)
        for i, labels in enumerate(boxes)
        for label in labels
    ]
    annotations = [dict(one, id=number) for number, one in enumerate(annotations, start=1)]
    categories = [dict(id=0, name='cat'), dict(id=1, name='dog')]
    (folder / 'images').mkdir(exist_ok=True)
    for image in images:
        Image.new('RGB', (40, 30)).save(folder / 'images' / image['file_name'])
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'train.json').write_text(json.dumps(content))
    return dict(
        type='mmaddp.CocoDataset',
        data_root=str(folder),
        metainfo=dict(classes=('cat', 'dog')),
        ann_file='train.json',
        data_prefix=dict(img='images'),
        pipeline=[],
    )


def test_detection(tmp_path):
    boxes = [[0]] * 9 + [[0, 1]]
    for seed in range(5):
        dataset = build(coco(tmp_path, boxes), 0.2, seed)
        assert len(dataset) == 2
        # The one dog is kept.
        assert {i['bbox_label'] for k in (0, 1) for i in dataset.get_data_info(k)['instances']} == {
            0,
            1,
        }


def test_wrappers_mix_no_other_images_in(tmp_path):
    """Mosaic would otherwise draw its other three images from all."""
    wrapped = dict(
        type='mmdet.MultiImageMixDataset', dataset=coco(tmp_path, [[0, 1]] * 10), pipeline=[]
    )
    assert len(build(wrapped, 0.3).dataset.dataset) == 3


def test_segmentation(tmp_path):
    for kind in ('images', 'maps'):
        (tmp_path / kind).mkdir()
    for number in range(10):
        Image.new('RGB', (8, 8)).save(tmp_path / f'images/{number}.jpg')
        # Value 2, class 1 of the reduced labels, is in one map.
        seg_map = np.full((8, 8), 2 if number == 7 else 1, np.uint8)
        Image.fromarray(seg_map).save(tmp_path / f'maps/{number}.png')
    dataset = dict(
        type='mmseg.BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='maps'),
        metainfo=dict(classes=('road', 'car')),
        reduce_zero_label=True,
        pipeline=[],
    )
    for seed in range(5):
        kept = build(dataset, 0.2, seed)
        names = [kept.get_data_info(i)['img_path'][-5:] for i in range(len(kept))]
        assert len(names) == 2
        assert '7.jpg' in names


def test_a_run_trains_on_its_part(tmp_path):
    images = write_images(tmp_path / 'images', per_class=5)
    runner = RUNNERS.build(classifier(images, tmp_path / 'run', labels=0.4))
    dataset = runner.build_train_loop(runner.cfg.train_cfg).dataloader.dataset
    labels = Counter(dataset.get_data_info(i)['gt_label'] for i in range(len(dataset)))
    assert labels == {0: 2, 1: 2, 2: 2}


def test_images_without_labels_are_refused(tmp_path):
    images = write_images(tmp_path / 'images')
    dataset = dict(type='mmaddp.ImageFolder', data_root=str(images), with_label=False)
    with pytest.raises(UserError, match='ImageFolder has no labels to take a part of'):
        build({**dataset, 'pipeline': []})
