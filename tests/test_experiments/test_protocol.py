"""The hash of a protocol changes exactly when a field of the protocol does."""

import copy

import pytest
from tiny_comparison import tuning

from mmaddp.experiments.protocol import check_same, hash_of, protocol_of
from mmaddp.utils import UserError

# By dotted key: a change of the config, and the field that it is a change of.
CHANGES = {
    'train_dataloader.dataset.type': ('mmaddp.ImageFolder', 'data'),
    'val_dataloader.dataset.metainfo': (dict(classes=('a', 'b')), 'data'),
    'val_dataloader.dataset.data_prefix': ('other', 'split'),
    'train_dataloader.dataset.ann_file': ('list.txt', 'split'),
    'labels': (0.1, 'labels'),
    'val_dataloader.dataset.pipeline.1.scale': (16, 'resolution'),
    'train_dataloader.dataset.pipeline.1': (dict(type='RandomCrop', crop_size=4), 'crop'),
    'model.test_cfg': (dict(mode='slide', crop_size=(8, 8), stride=(4, 4)), 'crop'),
    'train_dataloader.dataset.pipeline.2': (dict(type='RandomFlip', prob=0.5), 'augmentation'),
    'model.backbone.frozen': (True, 'tuning'),
    'model.backbone.lora': (dict(rank=8), 'tuning'),
    'model.head.loss': (dict(type='LabelSmoothLoss'), 'head'),
    'model.head.num_classes': (7, 'head'),
    'train_cfg.max_epochs': (9, 'schedule'),
    'train_dataloader.batch_size': (8, 'schedule'),
    'param_scheduler.0.T_max': (7, 'schedule'),
    'optim_wrapper.optimizer.lr': (1.0, 'optimizer'),
    'val_evaluator.topk': ((5,), 'metric'),
}
# Changes that are none of the protocol: encoder, neck, seed, folders, workers, logging.
OTHERS = {
    'model.backbone.out_blocks': ['out_1'],
    'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='x.pth'),
    'model.neck': dict(type='mmaddp.SimpleFeaturePyramid', in_channels=3),
    'model.head.in_channels': 5,
    'model.data_preprocessor.mean': [1.0, 2.0, 3.0],
    'randomness.seed': 5,
    'work_dir': 'elsewhere',
    'train_dataloader.num_workers': 7,
    'train_dataloader.pin_memory': True,
    'val_dataloader.batch_size': 3,
    'train_cfg.val_interval': 3,
    'log_level': 'ERROR',
    'default_hooks.checkpoint.interval': 5,
}


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    config = tuning(tmp_path_factory.mktemp('one') / 'pictures', channels=32)
    for name in ('train', 'val'):
        config[f'{name}_dataloader'].dataset.pipeline.insert(2, dict(type='RandomFlip', prob=0))
    return config


def changed(config, key, value):
    other = copy.deepcopy(config)
    *path, last = key.split('.')
    part = other
    for step in path:
        part = part[int(step)] if step.isdigit() else part.setdefault(step, {})
    part[int(last) if last.isdigit() else last] = value
    return protocol_of(other)


def test_the_hash_follows_the_protocol_alone(config, tmp_path):
    expected = protocol_of(config)
    for key, (value, field) in CHANGES.items():
        found = changed(config, key, value)
        differing = {name for name in expected if found[name] != expected[name]}
        assert field in differing, key
        # A crop in place of a resize is also another augmentation.
        assert differing <= {field, 'augmentation'}, key
        assert hash_of(found) != hash_of(expected), key
    for key, value in OTHERS.items():
        assert hash_of(changed(config, key, value)) == hash_of(expected), key
    # Another machine has the folder of the same name elsewhere.
    moved = protocol_of(tuning(tmp_path / 'pictures', channels=32))
    assert moved['data'] == expected['data']


def test_maps_are_scored_at_their_own_size_or_resized(config):
    load, resize = dict(type='mmseg.LoadAnnotations'), dict(type='Resize', scale=8)
    for steps, expected in (([resize, load], 'own'), ([load, resize], 'resized')):
        assert changed(config, 'val_dataloader.dataset.pipeline', steps)['maps'] == expected


def test_a_difference_is_named(config):
    protocols = {
        'one': protocol_of(config),
        'other': changed(config, 'optim_wrapper.optimizer.lr', 1.0),
    }
    message = r'tasks.seg: one and other differ in optimizer \(0.01 and 1.0\): give both'
    with pytest.raises(UserError, match=message):
        check_same(protocols, 'tasks.seg')
    check_same(protocols, 'tasks.seg', ['optimizer'])
