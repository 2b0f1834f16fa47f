"""VTAB's config and sweep against table 12 of DARL and VTAB's list of tasks, typed here."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from tiny_runs import write_images

import mmaddp  # noqa: F401
from mmaddp.engine.runs import load_config
from mmaddp.experiments.grid import read_grid, read_sweep

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
CONFIG = CONFIGS / 'cls/darl/darl-diff_vit-l_1xb256-20k_vtab-224px.py'
SWEEP = str(CONFIGS / 'grids/darl_table-12.py')
# Classes of each task: Zhai et al. 2020, table 3.
CLASSES = {
    'caltech101': 102,
    'cifar100': 100,
    'dtd': 47,
    'flowers102': 102,
    'pets': 37,
    'sun397': 397,
    'svhn': 10,
    'camelyon': 2,
    'eurosat': 10,
    'resisc45': 45,
    'retinopathy': 5,
    'clevr-count': 8,
    'clevr-dist': 6,
    'dmlab': 6,
    'kitti-dist': 4,
    'dsprites-loc': 16,
    'dsprites-ori': 16,
    'snorb-azim': 18,
    'snorb-elev': 9,
}


@pytest.fixture
def load_task(monkeypatch):
    """The config of a task, with a sweep's options if given."""

    def load(task: str, options: dict | None = None) -> Config:
        monkeypatch.setenv('VTAB', task)
        return load_config(CONFIG, options)

    return load


def test_every_task_has_a_row():
    readme = (CONFIGS / 'cls/darl/README.md').read_text()
    for task, classes in CLASSES.items():
        (row,) = [line for line in readme.splitlines() if line.startswith(f'| `{task}` |')]
        assert row.split('|')[2].strip() == str(classes)


@pytest.mark.parametrize('task', CLASSES)
def test_a_task_follows_table_12(task, load_task):
    config = load_task(task)
    assert config.work_dir == f'work_dirs/{CONFIG.stem}/{task}'
    assert config.model.head.num_classes == CLASSES[task]
    assert config.model.data_preprocessor.num_classes == CLASSES[task]
    assert config.model.head.loss.label_smooth_val == 0.1
    backbone = config.model.backbone
    assert (backbone.type, backbone.arch, backbone.causal) == ('mmaddp.DARLViT', 'large', True)
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, tuple(optimizer.betas)) == ('AdamW', (0.9, 0.95))
    assert config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 256
    assert (config.train_cfg.by_epoch, config.train_cfg.max_iters) == (False, 20_000)
    warmup, cosine = config.param_scheduler
    assert (warmup.begin, warmup.end, warmup.by_epoch) == (0, 3000, False)
    assert (cosine.type, cosine.begin, cosine.end) == ('CosineAnnealingLR', 3000, 20_000)
    # "Spatial" alone, unless the sweep says otherwise.
    assert config.model.train_cfg is None
    types = [step.type for step in config.train_dataloader.dataset.pipeline]
    assert types == ['mmaddp.LoadImage', 'RandomResizedCrop', 'RandomFlip', 'PackInputs']
    assert config.train_cfg.max_iters % config.train_cfg.val_interval == 0
    used = [config[f'{name}_dataloader'].dataset.use for name in ('train', 'val', 'test')]
    assert [tuple(use) for use in used] == [('train',), ('val',), ('test',)]


@pytest.mark.parametrize('task', CLASSES)
def test_no_image_is_in_two_parts(task, load_task):
    """Parts are official splits, or shares of the same images that do not overlap."""
    parts = load_task(task).train_dataloader.dataset.parts
    assert list(parts) == ['train', 'val', 'test']
    shares: dict[str, list] = {}
    for part in parts.values():
        images = {key: value for key, value in part.items() if key != 'share'}
        shares.setdefault(str(images), []).append(part.get('share', (0.0, 1.0)))
    for intervals in shares.values():
        assert intervals[0][0] == 0
        assert intervals[-1][1] == 1
        assert all(one[1] == other[0] for one, other in zip(intervals, intervals[1:]))


def test_the_sweep_is_table_12():
    config, grid = read_sweep(SWEEP)
    assert Path(config).resolve() == CONFIG
    assert len(grid.cells) == 3 * 2 * 2 * 3 * 3
    axes = {name.rsplit('.', 1)[-1]: axis for name, axis in grid.axes.items()}
    values = {
        name: [options[key] for options in axis.values() for key in options]
        for name, axis in axes.items()
        if name != 'augmentation'
    }
    assert values == {
        'drop_path_rate': [0.0, 0.1, 0.2],
        'weight_decay': [0.1, 0.3],
        'lr': [1e-3, 1e-2, 1e-1],
        'layer_decay_rate': [0.7, 0.8, 0.9],
    }
    assert (grid.metric, grid.rule) == ('accuracy/top1', 'greater')


def test_both_augmentations_and_the_final_run_are_what_they_are_called(load_task):
    grid = read_grid([SWEEP])
    cells = [load_task('pets', {**c.options, **grid.final}) for c in grid.cells[::18]]
    plain, strong = cells[:2]
    types = [step.type for step in strong.train_dataloader.dataset.pipeline]
    assert types[3] == 'RandAugment'
    augment = strong.train_dataloader.dataset.pipeline[3]
    assert (augment.magnitude_level, augment.magnitude_std) == (9, 0.5)
    mixes = strong.model.data_preprocessor.batch_augments.augments
    assert [(mix.type, mix.alpha) for mix in mixes] == [('Mixup', 0.8), ('CutMix', 1.0)]
    assert 'batch_augments' not in plain.model.data_preprocessor
    for config in cells:
        assert tuple(config.train_dataloader.dataset.use) == ('train', 'val')
        assert tuple(config.val_dataloader.dataset.use) == ('val',)


@pytest.mark.parametrize('cell', [0, -1])
def test_a_task_builds_at_toy_size_in_the_sweeps_corners(cell, load_task, tmp_path):
    config = load_task('kitti-dist', read_grid([SWEEP]).cells[cell].options)
    for part in ('train', 'val', 'test'):
        write_images(tmp_path / part)
    for part in config.train_dataloader.dataset.parts.values():
        part.data_root = str(tmp_path)
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    batch = [dataset[index] for index in (0, 14)]
    assert [tuple(sample['inputs'].shape) for sample in batch] == [(3, 224, 224)] * 2
    config.model.backbone.update(
        arch=dict(embed_dims=16, num_layers=2, num_heads=2), init_cfg=None, patch_size=56
    )
    config.model.head.in_channels = 16
    model = MODELS.build(config.model)
    data = {
        'inputs': [sample['inputs'] for sample in batch],
        'data_samples': [sample['data_samples'] for sample in batch],
    }
    data = model.data_preprocessor(data, training=True)
    losses = model(**data, mode='loss')
    assert losses['loss'].isfinite()
    assert config.optim_wrapper.paramwise_cfg.layer_decay_rate == (0.7, 0.9)[cell]


def test_a_config_survives_a_dump(load_task, tmp_path):
    for task in ('clevr-count', 'pets'):
        config = load_task(task)
        config.dump(tmp_path / 'dumped.py')
        assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == config.to_dict()
