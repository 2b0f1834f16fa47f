"""Files of exporters that leave COCO's format, as dataset and metric read them."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from mmengine.fileio import BaseStorageBackend, register_backend
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, METRICS, init_default_scope
from PIL import Image

import mmaddp  # noqa: F401
from mmaddp.datasets.coco_format import read_coco
from mmaddp.datasets.image_files import CorruptImageError
from mmaddp.engine.data import GuardedDataset
from mmaddp.utils import UserError

WIDTH, HEIGHT = 200, 150
RED, BLUE = (200, 60, 60), (60, 60, 200)


def write_coco(root, edit=None, names=('cat', 'dog'), split='train', count=2, exif=None):
    """A red cat and a blue dog in each image; ``edit`` changes the content of the file."""
    (root / split).mkdir(parents=True)
    ids = {name: i + 1 for i, name in enumerate(names)}
    images, annotations = [], []
    for i in range(count):
        pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for name, color, x in (('cat', RED, 20), ('dog', BLUE, 110)):
            y, w, h = 30 + 5 * i, 60, 50
            pixels[y : y + h, x : x + w] = color
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': i + 1,
                    'category_id': ids[name],
                    'bbox': [x, y, w, h],
                    'area': w * h,
                    'iscrowd': 0,
                    'segmentation': [[x, y, x + w, y, x + w, y + h, x, y + h]],
                }
            )
        tags = Image.Exif()
        if exif:
            tags[0x0112] = exif
        Image.fromarray(pixels).save(root / split / f'{i}.jpg', quality=95, exif=tags.tobytes())
        images.append({'id': i + 1, 'file_name': f'{i}.jpg', 'width': WIDTH, 'height': HEIGHT})
    categories = [{'id': i, 'name': name} for name, i in ids.items()]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    content = (edit(content) if edit else None) or content
    (root / f'{split}.json').write_text(json.dumps(content))
    return root


def each(**values):
    """An edit that sets keys of all annotations; a function gets the annotation; ... removes."""

    def edit(content):
        for one in content['annotations']:
            for key, value in values.items():
                if value is ...:
                    one.pop(key, None)
                else:
                    one[key] = value(one) if callable(value) else value

    return edit


def load(root, split='train', masks=True, classes=('cat', 'dog'), pipeline=None, **settings):
    config = {
        'type': 'mmaddp.CocoDataset',
        'data_root': str(root),
        'metainfo': {'classes': classes},
        'ann_file': f'{split}.json',
        'data_prefix': {'img': f'{split}/'},
        'test_mode': split == 'val',
        'filter_cfg': {'filter_empty_gt': True},
        'pipeline': pipeline
        or [
            {'type': 'LoadImageFromFile'},
            {'type': 'mmdet.LoadAnnotations', 'with_bbox': True, 'with_mask': masks},
            {'type': 'mmdet.PackDetInputs'},
        ],
    }
    return DATASETS.build({**config, **settings})


def labels(dataset):
    """The class of each box by its image and its left edge."""
    names = dataset.metainfo['classes']
    return {
        (info['img_id'], int(one['bbox'][0])): names[one['bbox_label']]
        for info in (dataset.get_data_info(i) for i in range(len(dataset)))
        for one in info['instances']
        if not one['ignore_flag']
    }


RIGHT = {(1, 20): 'cat', (1, 110): 'dog', (2, 20): 'cat', (2, 110): 'dog'}


def evaluate(root, metrics=('bbox', 'segm'), classes=('cat', 'dog'), split='val', **settings):
    """Scores of predictions that are the objects themselves."""
    metric = METRICS.build(
        {
            'type': 'mmaddp.CocoMetric',
            'ann_file': str(root / f'{split}.json'),
            'metric': list(metrics),
            **settings,
        }
    )
    metric.dataset_meta = {'classes': classes}
    for i in range(2):
        x, y = torch.tensor([20.0, 110.0]), 30.0 + 5 * i
        boxes = torch.stack([x, torch.full((2,), y), x + 60, torch.full((2,), y + 50)], dim=1)
        masks = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist()):
            mask[top:bottom, left:right] = True
        predicted = {
            'bboxes': boxes,
            'scores': torch.ones(2),
            'labels': torch.tensor([classes.index('cat'), classes.index('dog')]),
            'masks': masks,
        }
        sample = {'img_id': i + 1, 'ori_shape': (HEIGHT, WIDTH), 'pred_instances': predicted}
        metric.process({}, [sample])
    return {key.split('/')[-1]: value for key, value in metric.evaluate(size=2).items()}


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


@pytest.fixture
def told(monkeypatch):
    """Warnings as they are logged."""
    lines = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(
        logger, 'handle', lambda one: one.levelno >= logging.WARNING and lines.append(one.msg)
    )
    return lines


class TestClasses:
    @pytest.mark.parametrize('names', [('cat', 'dog'), ('dog', 'cat')])
    @pytest.mark.parametrize('split', ['train', 'val'])
    def test_labels_follow_the_names(self, tmp_path, names, split, told):
        root = write_coco(tmp_path, names=names, split=split)
        assert labels(load(root, split)) == RIGHT
        assert not told

    @pytest.mark.parametrize('names', [('cat', 'dog'), ('dog', 'cat')])
    def test_evaluation_follows_the_names(self, tmp_path, names):
        scores = evaluate(write_coco(tmp_path, names=names, split='val'))
        assert scores['bbox_mAP'] == scores['segm_mAP'] == 1

    def test_unknown_class(self, tmp_path):
        root = write_coco(tmp_path, split='val')
        for read in (load, evaluate):
            with pytest.raises(UserError, match=r"val\.json: .*'cat', 'dog'.*\('Cat'\)"):
                read(root, split='val', classes=('Cat', 'dog'))

    def test_class_named_twice(self, tmp_path):
        with pytest.raises(UserError, match=r"\('cat'\) twice"):
            load(write_coco(tmp_path), classes=('cat', 'cat'))

    def test_a_class_that_is_left_out_is_told(self, tmp_path, told):
        assert set(labels(load(write_coco(tmp_path), classes=('dog',))).values()) == {'dog'}
        assert '2 of 4 annotations unused: 2 of a category that is not in meta' in told[0]

    def test_unused_category_of_the_same_name(self, tmp_path, told):
        """As Roboflow exports it."""

        def edit(content):
            content['categories'].insert(0, {'id': 0, 'name': 'cat', 'supercategory': 'none'})

        root = write_coco(tmp_path, edit, split='val')
        assert labels(load(root, 'val')) == RIGHT
        assert evaluate(root)['bbox_mAP'] == 1

    def test_two_used_categories_of_one_name(self, tmp_path):
        def edit(content):
            content['categories'].append({'id': 9, 'name': 'cat'})
            content['annotations'][0]['category_id'] = 9

        root = write_coco(tmp_path, edit, split='val')
        assert labels(load(root, 'val')) == RIGHT
        assert evaluate(root)['bbox_mAP'] == 1

    def test_two_categories_of_one_id(self, tmp_path):
        def edit(content):
            content['categories'][1]['id'] = 1

        with pytest.raises(UserError, match="'cat' and 'dog' have the same id 1"):
            load(write_coco(tmp_path, edit))

    def test_no_categories(self, tmp_path):
        root = write_coco(tmp_path, lambda content: content.pop('categories') and None, split='val')
        for read in (load, evaluate):
            with pytest.raises(UserError, match=r"val\.json: no 'categories'.*add \"categories"):
                read(root, split='val')

    def test_no_categories_but_one_class(self, tmp_path):
        def edit(content):
            del content['categories']
            content['annotations'] = content['annotations'][::2]

        root = write_coco(tmp_path, edit, split='val')
        assert set(labels(load(root, 'val', classes=('pet',))).values()) == {'pet'}


class TestKeysLeftOut:
    @pytest.mark.parametrize(
        'edit',
        [
            each(area=...),
            each(area=0),
            each(area=None),
            each(iscrowd=...),
            each(iscrowd=None),
            each(iscrowd=False),
            each(id=...),
            each(id=7),
            each(id=0),
            each(bbox=...),
            each(image_id=lambda one: str(one['image_id'])),
            each(segmentation=lambda one: one['segmentation'][0]),
            each(segmentation=lambda one: np.reshape(one['segmentation'], (-1, 2)).tolist()),
            each(segmentation=lambda one: [np.reshape(one['segmentation'], (-1, 2)).tolist()]),
            each(segmentation=lambda one: [*one['segmentation'], one['bbox'], []]),
        ],
        ids=[
            'no area',
            'area 0',
            'area null',
            'no iscrowd',
            'iscrowd null',
            'iscrowd false',
            'no id',
            'one id',
            'id 0',
            'no bbox',
            'ids as strings',
            'flat polygon',
            'points',
            'polygons of points',
            'broken polygons beside',
        ],
    )
    def test_nothing_is_lost(self, tmp_path, edit):
        root = write_coco(tmp_path, edit, split='val')
        dataset = load(root, 'val')
        assert labels(dataset) == RIGHT
        instances = dataset[0]['data_samples'].gt_instances
        assert instances.masks.masks.sum(axis=(1, 2)).tolist() == [3000, 3000]
        scores = evaluate(root)
        assert scores['bbox_mAP'] == scores['segm_mAP'] == 1
        # 3,000 square pixels are of medium size.
        assert scores['bbox_mAP_m'] == scores['segm_mAP_m'] == 1

    def test_computed_areas_are_told(self, tmp_path, told):
        load(write_coco(tmp_path, each(area=0)))
        assert told == [f'{tmp_path}/train.json: 4 areas computed']

    def test_annotations_that_stand_there_twice(self, tmp_path):
        def edit(content):
            content['annotations'] *= 2

        root = write_coco(tmp_path, edit, split='val')
        assert evaluate(root)['bbox_mAP'] == 1

    def test_boxes_that_stand_there_twice_are_told(self, tmp_path, told):
        def edit(content):
            again = [dict(one, id=100 + one['id']) for one in content['annotations'][:3]]
            content['annotations'] += again

        load(write_coco(tmp_path, edit))
        assert told == [
            f'{tmp_path}/train.json: 3 boxes are repeated, and each counts as an object'
        ]

    def test_a_thin_object_is_to_be_found(self, tmp_path):
        """COCO's evaluation counts it. Trainings leave it out."""
        root = write_coco(tmp_path, each(bbox=[20, 30, 0.9, 50], segmentation=...), split='val')
        found = read_coco(f'{root}/val.json', ('cat', 'dog'))
        assert len(found.annotations) == 4
        assert labels(load(root, 'val', masks=False)) == {}

    def test_boxes_by_their_corners_are_told(self, tmp_path, told):
        def corners(one):
            x, y, w, h = one['bbox']
            return [x, y, x + w, y + h]

        load(write_coco(tmp_path, each(bbox=corners)))
        assert '2 boxes reach beyond their image (bbox is x, y, width, height)' in told[0]

    def test_a_class_without_annotations_is_told(self, tmp_path, told):
        def edit(content):
            content['annotations'] = content['annotations'][::2]

        load(write_coco(tmp_path, edit))
        assert told == [f'{tmp_path}/train.json: no annotation of dog']

    def test_area_of_the_mask(self, tmp_path):
        triangle = each(area=..., segmentation=[[0, 0, 10, 0, 0, 10]], bbox=[0, 0, 10, 10])
        found = read_coco(str(write_coco(tmp_path, triangle) / 'train.json'), ('cat', 'dog'))
        assert [one['area'] for one in found.annotations] == [50] * 4

    def test_byte_order_mark(self, tmp_path):
        root = write_coco(tmp_path, split='val')
        path = root / 'val.json'
        path.write_text(path.read_text(), encoding='utf-8-sig')
        assert labels(load(root, 'val')) == RIGHT
        assert evaluate(root)['bbox_mAP'] == 1

    @pytest.mark.parametrize('content', ['[]', '{}', '{"images": [1]}', '{"images"'])
    def test_no_coco_file(self, tmp_path, content):
        root = write_coco(tmp_path)
        (root / 'train.json').write_text(content)
        with pytest.raises(UserError, match=r'train\.json: not '):
            load(root)

    def test_two_images_of_one_id(self, tmp_path):
        def edit(content):
            content['images'][1]['id'] = 1

        with pytest.raises(UserError, match=r'0\.jpg and 1\.jpg have the same id 1'):
            load(write_coco(tmp_path, edit))

    def test_spaces_around_names_do_not_count(self, tmp_path):
        def edit(content):
            for one in content['categories']:
                one['name'] = f' {one["name"]} '

        assert labels(load(write_coco(tmp_path, edit))) == RIGHT

    def test_image_without_a_name(self, tmp_path):
        with pytest.raises(UserError, match=r"train\.json: the image .* needs 'id' and 'file_name"):
            load(
                write_coco(tmp_path, lambda content: content['images'][0].pop('file_name') and None)
            )


class TestLostInstances:
    @pytest.mark.parametrize(
        ('values', 'reason'),
        [
            ({'iscrowd': 1}, 'iscrowd=1'),
            ({'ignore': 1}, 'iscrowd=1'),
            ({'category_id': 77}, 'unknown category_id (such as 77)'),
            ({'image_id': 77}, 'unknown image_id (such as 77)'),
            ({'image_id': ...}, 'unknown image_id (such as None)'),
            ({'bbox': [0.1, 0.2, 0.3, 0.3]}, 'bbox in 0..1'),
            ({'bbox': [20, 30, 0, 50]}, 'bbox without a size'),
            ({'bbox': [500, 30, 60, 50]}, 'bbox outside the image'),
            ({'bbox': [1, 2, 3]}, 'bbox is not four finite numbers'),
            ({'bbox': [1, 2, 3, float('nan')]}, 'bbox is not four finite numbers'),
            ({'segmentation': [[20, 30, 60, 50]]}, 'broken segmentation'),
            ({'segmentation': [[1, 2, 3, 4, 5, 6, 7]]}, 'broken segmentation'),
            ({'segmentation': 'mask.png'}, 'broken segmentation'),
            ({'segmentation': [[0.1, 0.1, 0.3, 0.1, 0.3, 0.4]]}, 'broken segmentation'),
            ({'segmentation': {'size': [150, 200], 'counts': 'garbage'}}, 'broken segmentation'),
            ({'segmentation': {'size': [10, 10], 'counts': [0, 100]}}, 'broken segmentation'),
            (
                {'segmentation': [[150, 100, 160, 100, 160, 110]]},
                'segmentation outside its bbox',
            ),
            ({'segmentation': []}, "no 'segmentation'"),
            ({'segmentation': ...}, "no 'segmentation'"),
        ],
    )
    def test_all_or_some(self, tmp_path, values, reason, told):
        every = write_coco(tmp_path / 'every', each(**values), split='val')
        for read in (load, evaluate):
            with pytest.raises(UserError) as raised:
                read(every, split='val')
            assert f'none of its 4 annotations can be used: 4 {reason}' in str(raised.value)
            assert '\n' not in str(raised.value)

        def first(content):
            each(**values)({'annotations': content['annotations'][:1]})

        some = write_coco(tmp_path / 'some', first, split='val')
        assert labels(load(some, 'val')) == {k: v for k, v in RIGHT.items() if k != (1, 20)}
        if reason == 'iscrowd=1':
            assert not told
        else:
            assert f'1 of 4 annotations unused: 1 {reason}' in told[0]
            assert len(told) == 1
        evaluate(some)

    def test_masks_are_asked_of_mask_heads_alone(self, tmp_path, told):
        root = write_coco(tmp_path, each(segmentation=...), split='val')
        assert labels(load(root, 'val', masks=False)) == RIGHT
        assert evaluate(root, metrics=['bbox'])['bbox_mAP'] == 1
        assert not told
        with pytest.raises(UserError, match=r'faster-rcnn_'):
            load(root, 'val')

    def test_run_lengths(self, tmp_path):
        counts = {'size': [HEIGHT, WIDTH], 'counts': [0, 3000, HEIGHT * WIDTH - 3000]}
        root = write_coco(tmp_path, each(segmentation=counts, area=...), split='val')
        assert load(root, 'val')[0]['data_samples'].gt_instances.masks.masks.sum() == 6000

    def test_no_annotations(self, tmp_path):
        def edit(content):
            content['annotations'] = []

        root = write_coco(tmp_path / 'a', edit, split='val')
        assert len(load(root, 'val')) == 2
        with pytest.raises(UserError, match=r'val\.json: has no annotations to evaluate with'):
            evaluate(root)
        with pytest.raises(UserError, match='no annotations to train on'):
            load(write_coco(tmp_path / 'b', edit))

    def test_results_of_a_test_set_can_be_written(self, tmp_path):
        root = write_coco(tmp_path, lambda content: content.pop('annotations') and None)
        prefix = str(tmp_path / 'results')
        evaluate(root, split='train', format_only=True, outfile_prefix=prefix)
        results = json.loads((tmp_path / 'results.bbox.json').read_text())
        assert [one['category_id'] for one in results] == [1, 2, 1, 2]


class TestSizes:
    def test_missing(self, tmp_path):
        def edit(content):
            for one in content['images']:
                del one['width'], one['height']

        root = write_coco(tmp_path, edit, split='val')
        dataset = load(root, 'val')
        assert labels(dataset) == RIGHT
        assert dataset.get_data_info(0)['width'] == WIDTH
        assert evaluate(root)['segm_mAP'] == 1

    def test_missing_and_no_image(self, tmp_path):
        root = write_coco(tmp_path, lambda content: content['images'][0].pop('width') and None)
        (root / 'train' / '0.jpg').unlink()
        with pytest.raises(UserError, match=r"0\.jpg has no 'width' and 'height', and the image"):
            load(root)

    @pytest.mark.parametrize('size', [(10, 10), (400, 300), (HEIGHT, WIDTH)])
    def test_wrong(self, tmp_path, size):
        def edit(content):
            for one in content['images']:
                one['width'], one['height'] = size

        with pytest.raises(
            UserError, match=r'0\.jpg is .* there, the image itself is 200 x 150, as'
        ):
            load(write_coco(tmp_path, edit))

    def test_wrong_when_read(self, tmp_path):
        dataset = load(write_coco(tmp_path))
        Image.new('RGB', (100, 75)).save(tmp_path / 'train' / '1.jpg')
        dataset[0]
        with pytest.raises(UserError, match=r'1\.jpg: is 100 x 75, and its annotations say 200'):
            dataset[1]


@pytest.mark.parametrize('tag', [6, 8])
@pytest.mark.parametrize('sized', [True, False])
def test_turned_photographs_that_were_annotated_as_stored(tmp_path, tag, sized):
    def edit(content):
        # Boxes that fit the turned image too tell nothing.
        for one in content['images'] if not sized else ():
            del one['width'], one['height']

    sample = load(write_coco(tmp_path, edit, exif=tag))[0]
    image, instances = sample['inputs'], sample['data_samples'].gt_instances
    assert image.shape == (3, HEIGHT, WIDTH)
    for box, color in zip(instances.bboxes.tensor.int().tolist(), (RED, BLUE)):
        left, top, right, bottom = box
        inside = image[::-1] if isinstance(image, np.ndarray) else image.flip(0)
        mean = inside[:, top:bottom, left:right].float().mean(dim=(1, 2))
        assert mean.tolist() == pytest.approx(color, abs=10)


def test_turned_photographs_that_were_annotated_turned(tmp_path):
    def edit(content):
        for one in content['images']:
            one['width'], one['height'] = HEIGHT, WIDTH
        each(bbox=[10, 20, 30, 40])(content)

    sample = load(write_coco(tmp_path, edit, exif=6))[0]
    assert sample['inputs'].shape == (3, WIDTH, HEIGHT)


@register_backend('coco_case', force=True)
class MemoryBackend(BaseStorageBackend):
    """Files by name, as of a server."""

    files: dict[str, bytes] = {}

    def get(self, filepath):
        return self.files[str(filepath)]

    def get_text(self, filepath, encoding='utf-8'):
        return self.get(filepath).decode(encoding)


def test_storage_backend(tmp_path):
    root = write_coco(tmp_path)
    MemoryBackend.files = {
        f'server/{path.relative_to(root)}': path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }
    stored = {'backend_args': {'backend': 'coco_case'}}
    pipeline = [
        {'type': 'LoadImageFromFile', **stored},
        {'type': 'mmdet.LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        {'type': 'mmdet.PackDetInputs'},
    ]
    dataset = load('server', pipeline=pipeline, **stored)
    assert labels(dataset) == RIGHT
    assert dataset[0]['inputs'].shape == (3, HEIGHT, WIDTH)
    config = {
        'type': 'mmaddp.CocoDataset',
        'ann_file': 'server/train.json',
        'metainfo': {'classes': ('cat', 'dog')},
        'data_prefix': {'img': 'elsewhere'},
        'pipeline': pipeline,
        **stored,
    }
    with pytest.raises(CorruptImageError, match=r'elsewhere/0\.jpg cannot be read .*backend_args'):
        GuardedDataset(config)[0]


def test_metric_reads_the_file_of_the_dataset(tmp_path):
    dataset = load(write_coco(tmp_path, split='val'), 'val')
    metric = METRICS.build({'type': 'mmaddp.CocoMetric', 'metric': 'bbox'})
    metric.dataset_meta = dataset.metainfo
    predicted = {
        'bboxes': torch.tensor([[20.0, 30, 80, 80]]),
        'scores': torch.ones(1),
        'labels': torch.tensor([0]),
    }
    sample = {'img_id': 1, 'ori_shape': (HEIGHT, WIDTH), 'pred_instances': predicted}
    metric.process({}, [sample])
    # One of four objects: recall 0.5 of one class, 0 of the other.
    assert metric.evaluate(size=1)['coco/bbox_mAP'] == pytest.approx(0.25, abs=0.01)


def test_the_faster_evaluation_gives_the_same_figures(tmp_path):
    pytest.importorskip('faster_coco_eval')
    dataset = load(write_coco(tmp_path, split='val'), 'val')
    generator = torch.Generator().manual_seed(0)
    figures = []
    for backend in ('pycocotools', 'faster-coco-eval'):
        settings = {'metric': ['bbox', 'segm', 'proposal'], 'classwise': True}
        metric = METRICS.build({'type': 'mmaddp.CocoMetric', 'backend': backend, **settings})
        metric.dataset_meta = dataset.metainfo
        generator.manual_seed(0)
        for index in range(len(dataset)):
            image = dataset.get_data_info(index)
            boxes = torch.tensor([one['bbox'] for one in image['instances']]).float().view(-1, 4)
            # More boxes than the 100 that pycocotools counts for its first figure.
            boxes = boxes.repeat(80, 1)
            boxes = boxes + 12 * torch.randn(boxes.shape, generator=generator)
            boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] + 1)
            masks = torch.zeros(len(boxes), HEIGHT, WIDTH, dtype=torch.bool)
            for mask, (x1, y1, x2, y2) in zip(masks, boxes.clamp(min=0).int().tolist()):
                mask[y1:y2, x1:x2] = True
            predicted = {
                'bboxes': boxes,
                'masks': masks,
                'scores': torch.rand(len(boxes), generator=generator),
                'labels': torch.randint(2, (len(boxes),), generator=generator),
            }
            sample = {
                'img_id': image['img_id'],
                'ori_shape': (HEIGHT, WIDTH),
                'pred_instances': predicted,
            }
            metric.process({}, [sample])
        figures.append(metric.evaluate(size=len(dataset)))
    assert figures[0] == pytest.approx(figures[1], nan_ok=True)
    assert 0 < figures[0]['coco/bbox_mAP'] < 1


def test_an_unknown_backend_is_refused():
    with pytest.raises(UserError, match=r"backend='fast' is none of 'pycocotools'"):
        METRICS.build({'type': 'mmaddp.CocoMetric', 'backend': 'fast'})
