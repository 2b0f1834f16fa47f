"""Probes follow the published protocols: every number is typed from the source that is named."""

import copy
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, PARAM_SCHEDULERS, init_default_scope

from mmaddp.engine.runs import load_config
from mmaddp.experiments.protocol import leaves


@pytest.fixture(scope='module')
def protocol(request):
    """A file of ``configs/_base_/probes`` by its name."""
    folder = request.config.rootpath / 'configs/_base_/probes'
    return lambda name: Config.fromfile(folder / f'{name}.py')


# dinov2: dinov2_vitb14_ade20k_linear_config.py (dl.fbaipublicfiles.com/dinov2), depth configs of
#   dinov2_vits14_kitti_linear and dinov2_vitl14_nyu_dpt. dinov3: facebookresearch/dinov3,
#   dinov3/eval/{segmentation/configs/config-ade20k-linear-training,depth/configs/config-nyu}.yaml.
#   pixio: facebookresearch/pixio, evaluation/{semseg/configs/ade20k_linear,monodepth/configs/
#   nyuv2_linear}.yaml and eval_{semseg,monodepth}.py. mmseg: configs/_base_/{datasets/ade20k,
#   schedules/schedule_160k,datasets/nyu,schedules/schedule_25k}.py.
ADE20K = {
    'dinov2': dict(
        optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.0001, betas=(0.9, 0.999)),
        steps=40000,
        images=2,
        gpus=8,
        head=dict(batch_norm=True, dropout=0.0, init_std=0.01, avg_non_ignore=False),
        test=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
    ),
    'dinov3': dict(
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-3, betas=(0.9, 0.999)),
        steps=40000,
        images=2,
        gpus=8,
        head=dict(batch_norm=True, dropout=0.1, init_std=0.01, avg_non_ignore=True),
        test=dict(mode='slide', crop_size=(512, 512), stride=(341, 341), softmax=True),
    ),
    'pixio': dict(
        optimizer=dict(type='AdamW', lr=0.0002, weight_decay=0.01, betas=(0.9, 0.999)),
        # 60 epochs of 20,210 images, the last batch dropped.
        steps=60 * (20210 // 16),
        images=2,
        gpus=8,
        head=dict(batch_norm=True, init_std=None, avg_non_ignore=True, align_corners=True),
        test=dict(mode='slide', crop_size=(256, 256), stride=(170, 170), softmax=True),
    ),
    'mmseg': dict(
        optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005),
        steps=160000,
        images=4,
        gpus=4,
        head=dict(avg_non_ignore=False),
        test=None,
    ),
}
NYU = {
    'dinov2': dict(
        optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01, betas=(0.95, 0.999)),
        clip_grad=dict(max_norm=35, norm_type=2),
        steps=38400,
        images=2,
        gpus=8,
        head=dict(
            num_bins=256,
            upsample=4,
            batch_norm=False,
            variance_focus=0.85,
            gradient_weight=0.5,
            warmup=100,
        ),
        crop=(416, 544),
        test=dict(mode='whole', flip=True),
        eigen='nyu_crop',
    ),
    'dinov3': dict(
        optimizer=dict(type='AdamW', lr=3e-4, weight_decay=1e-4, betas=(0.9, 0.99)),
        clip_grad=dict(max_norm=35, norm_type=2),
        steps=38400,
        images=2,
        gpus=8,
        head=dict(
            num_bins=256, batch_norm=True, variance_focus=0.85, gradient_weight=0.0, warmup=100
        ),
        crop=(416, 544),
        test=dict(mode='whole', flip=True),
        eigen='nyu_crop',
    ),
    'pixio': dict(
        optimizer=dict(type='AdamW', lr=0.0002, weight_decay=0.01, betas=(0.9, 0.999)),
        clip_grad=None,
        # 60 epochs of 24,231 images.
        steps=60 * (24231 // 32),
        images=4,
        gpus=8,
        head=dict(
            num_bins=1,
            batch_norm=True,
            variance_focus=0.5,
            gradient_weight=0.0,
            warmup=0,
            align_corners=True,
        ),
        crop=(256, 256),
        test=dict(mode='slide', crop_size=(256, 256), stride=(170, 170)),
        # Images are cut to Eigen's crop themselves.
        eigen=None,
    ),
    'mmseg': dict(
        optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.1),
        clip_grad=None,
        steps=25000,
        images=8,
        gpus=3,
        head=dict(num_bins=1, variance_focus=0.5, gradient_weight=0.0),
        crop=(480, 480),
        test=dict(mode='slide', crop_size=(480, 480), stride=(160, 160), flip=True),
        eigen='nyu_crop',
    ),
}


def check(config, expected):
    assert config.optim_wrapper.optimizer == expected['optimizer']
    assert config.optim_wrapper.get('clip_grad') == expected.get('clip_grad')
    assert config.optim_wrapper.constructor == 'mmaddp.ProbeOptimWrapperConstructor'
    assert config.train_cfg.max_iters == expected['steps']
    assert config.train_dataloader.batch_size == expected['images']
    assert config.auto_scale_lr.base_batch_size == expected['images'] * expected['gpus']
    head = config.model.head
    assert {key: head[key] for key in expected['head']} == expected['head']
    assert config.model.get('test_cfg') == expected['test']


@pytest.mark.parametrize('name', ADE20K)
def test_segmentation_of_ade20k(name, protocol):
    config = protocol(f'ade20k_{name}')
    check(config, ADE20K[name])
    assert config.model.head.num_classes == 150
    steps = {one.type: one for one in config.train_dataloader.dataset.pipeline}
    crop = steps['RandomCrop'].crop_size
    assert (
        crop
        == config.model.data_preprocessor.size
        == ((256,) * 2 if name == 'pixio' else (512,) * 2)
    )
    assert steps['RandomFlip'].prob == 0.5
    resize = steps['mmaddp.RandomScale' if name == 'pixio' else 'RandomResize']
    assert resize.ratio_range == (0.5, 2.0)
    # Pixio changes no colors, and tests images at their own size.
    assert ('PhotoMetricDistortion' in steps) == (name != 'pixio')
    assert ('Resize' in [one.type for one in config.test_dataloader.dataset.pipeline]) == (
        name != 'pixio'
    )


@pytest.mark.parametrize('name', NYU)
def test_depth_of_nyu(name, protocol):
    config, expected = protocol(f'nyu_{name}'), NYU[name]
    check(config, expected)
    assert (config.model.head.get('min_depth', 1e-3), config.model.head.max_depth) == (0.001, 10)
    steps = {one.type: one for one in config.train_dataloader.dataset.pipeline}
    assert steps['RandomCrop'].crop_size == expected['crop']
    assert steps['RandomFlip'].prob == 0.5
    if name.startswith('dinov'):
        assert steps['mmaddp.CropBox'].box == (43, 45, 608, 472)
        assert (steps['RandomRotate'].prob, steps['RandomRotate'].degree) == (0.5, 2.5)
        color = steps['mmaddp.ColorAugmentation']
        assert (color.prob, color.brightness_range) == (0.5, (0.75, 1.25))
        assert color.gamma_range == color.color_range == (0.9, 1.1)
    evaluator = config.test_evaluator
    assert (evaluator.min_depth_eval, evaluator.max_depth_eval) == (0.001, 10)
    assert evaluator.crop_type == expected['eigen']


def rates(config, steps, at):
    """Learning rate and first decay of Adam at some steps of a shortened schedule."""
    init_default_scope('mmseg')
    settings = copy.deepcopy(dict(config.optim_wrapper.optimizer))
    optimizer = getattr(torch.optim, settings.pop('type'))([torch.zeros(1)], **settings)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(one), default_args=dict(optimizer=optimizer))
        for one in config.param_scheduler
    ]
    found = {}
    for step in range(steps):
        if step in at:
            group = optimizer.param_groups[0]
            found[step] = group['lr'], group.get('betas', (None,))[0]
        optimizer.step()
        for one in schedulers:
            one.step()
    return found


def test_schedules_take_the_published_values(protocol):
    """At chosen steps, by the formulas of the sources."""
    cos = lambda share: 0.5 * (1 + torch.cos(torch.tensor(torch.pi * share)).item())  # noqa: E731
    # MMCV's poly with a warm-up that multiplies it.
    found = rates(protocol('ade20k_dinov2'), 2001, (0, 750, 2000))
    assert found[0][0] == pytest.approx(1e-9)
    assert found[750][0] == pytest.approx(1e-3 * (1 - 750 / 40000) * 0.5, rel=1e-2)
    assert found[2000][0] == pytest.approx(1e-3 * (1 - 2000 / 40000), rel=1e-4)
    found = rates(protocol('ade20k_dinov3'), 2001, (2000,))
    assert found[2000][0] == pytest.approx(1e-3 * cos(2000 / 40000), rel=1e-3)
    found = rates(protocol('nyu_dinov2'), 13001, (0, 6400, 11520, 13000))
    assert found[0] == pytest.approx((1e-7, 0.95))
    assert found[6400][0] == pytest.approx(1e-4 * cos(6400 / 38400) * 0.5, rel=1e-2)
    assert found[11520][1] == pytest.approx(0.85)
    assert found[13000][0] == pytest.approx(1e-4 * cos(13000 / 38400), rel=1e-3)
    found = rates(protocol('nyu_pixio'), 5001, (2271, 5000))
    assert found[2271][0] == pytest.approx(1e-4, rel=1e-2)
    share = (5000 - 4542) / (45420 - 4542)
    assert found[5000][0] == pytest.approx(2e-4 * (1 - share) ** 0.9, rel=1e-3)


@pytest.mark.parametrize(
    ('variant', 'file'),
    [
        ('cityscapes', 'cityscapes'),
        ('voc2012', 'pascal_voc12'),
        ('voc2012-aug', 'pascal_voc12_aug'),
        ('coco-stuff164k', 'coco-stuff164k'),
    ],
)
def test_other_data_sets_are_those_of_mmsegmentation(repository, variant, file):
    config = load_config(repository / 'configs/grids/probes_segmentation.py', variant=variant)
    folder = Path(mmseg.__file__).parent / '.mim/configs/_base_/datasets'
    theirs = Config.fromfile(folder / f'{file}.py')
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        ours, wanted = ([*leaves(one[loader].dataset)] for one in (config, theirs))
        assert len(ours) == len(wanted)
        for one, other in zip(ours, wanted):
            assert one.type == other.type
            assert one.data_root == other.data_root.rstrip('/')
            assert one.data_prefix == other.data_prefix
            assert one.get('ann_file') == other.get('ann_file')
            steps = [{k: v for k, v in step.items() if v} for step in other.pipeline]
            # Crops are padded by the data preprocessor.
            steps = [step for step in steps if step['type'] != 'Pad']
            assert [{k: v for k, v in step.items() if v} for step in one.pipeline] == steps
    classes = DATASETS.get(f'mmseg.{wanted[0].type}').METAINFO['classes']
    assert config.model.head.num_classes == len(classes)
    assert config.model.data_preprocessor.size == theirs.crop_size
