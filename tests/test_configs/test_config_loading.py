"""Every config loads, names what it needs, and survives being written and read again."""

import ast
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmaddp.engine import runs

# MMPretrain's, and ours for images that are not files.
LOADERS = ('LoadImageFromFile', 'mmaddp.LoadImage', 'mmaddp.LoadDrawnShapes')
SCOPES = dict(det='mmdet', seg='mmseg', depth='mmseg', cls='mmpretrain', pretrain='mmpretrain')


def test_config_is_complete(config):
    family = Path(config.filename).parents[1].name
    assert config.default_scope == SCOPES[family]
    assert config.custom_imports.imports == ['mmaddp']
    assert config.runner_type == 'mmaddp.Runner'
    for key in ('model', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr'):
        assert key in config
    assert 'train_cfg' in config


def test_training_reads_images_and_saves_its_end(config):
    dataset = config.train_dataloader.dataset
    assert 'pipeline' not in dataset or dataset.pipeline[0].type in LOADERS
    checkpoint = config.default_hooks.checkpoint
    length = config.train_cfg.get('max_iters') or config.train_cfg.max_epochs
    assert length % checkpoint.interval == 0
    assert checkpoint.get('by_epoch', True) == ('max_epochs' in config.train_cfg)


def test_the_end_of_training_is_evaluated(transfer_config):
    for split in ('val', 'test'):
        assert f'{split}_cfg' in transfer_config
        assert f'{split}_evaluator' in transfer_config
        pipeline = transfer_config[f'{split}_dataloader'].dataset.pipeline
        assert pipeline[0].type in LOADERS
    train_cfg = transfer_config.train_cfg
    length = train_cfg.get('max_iters') or train_cfg.max_epochs
    assert length % train_cfg.val_interval == 0


@pytest.mark.parametrize(
    'name',
    [
        'det/addp/cascade-mask-rcnn_addp-vit-l_sfp_16xb4-lsj-100e_coco',
        'seg/mae/upernet_mae-vit-l_8xb2-amp-160k_ade20k-512x512',
        'cls/addp/addp_resnet50_8xb256-amp-coslr-300e_in1k-256px',
        'pretrain/addp/addp_resnet50_32xb64-amp-coslr-300e_in1k-256px',
    ],
)
def test_config_survives_a_dump(name, load_config, tmp_path):
    cfg = load_config(name)
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    'name',
    [
        'det/addp/mask-rcnn_addp-vit-b_sfp_8xb2-lsj-36e_coco-folder',
        'det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder',
    ],
)
def test_coco_folder_comes_from_the_environment(name, repository, monkeypatch):
    monkeypatch.setenv('COCO_DIR', '/data/pets')
    monkeypatch.setenv('CLASSES', 'cat, guinea pig')
    cfg = Config.fromfile(repository / 'configs' / f'{name}.py')
    check_pets(cfg, root='/data/pets/', classes=('cat', 'guinea pig'))
    monkeypatch.setenv('TRAIN_ANN', 'annotations/train.json')
    monkeypatch.setenv('VAL_ANN', 'annotations/val.json')
    cfg = Config.fromfile(repository / 'configs' / f'{name}.py')
    for split, ann_file in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        assert cfg[f'{split}_dataloader'].dataset.ann_file == f'annotations/{ann_file}.json'


@pytest.mark.parametrize('page', ['README.md', 'configs/det/addp/README.md'])
def test_readme_example_for_ones_own_data(repository, tmp_path, page):
    """The few lines of a README do what the environment does."""
    readme = (repository / page).read_text()
    code = readme.split('```python\n')[1].split('```')[0]
    assert len(code.splitlines()) <= 6
    example = tmp_path / 'pets.py'
    example.write_text(code.replace("'configs/", f"'{repository}/configs/"))
    check_pets(Config.fromfile(example), root='data/pets/', classes=('cat', 'dog'))


def test_readme_command_for_one_gpu_scales_the_learning_rate(repository):
    """By the square root of the batch, in keys that the tools take."""
    readme = (repository / 'configs/det/addp/README.md').read_text()
    command = re.search(
        r'tools/train.py [^`]*?(configs/\S+coco-folder.py) [^`]*?options (.*)', readme
    )
    options = dict(option.split('=') for option in command.group(2).split())
    options = {key: ast.literal_eval(value) for key, value in options.items()}
    config = repository / command.group(1)
    usual, one_gpu = runs.load_config(config), runs.load_config(config, options)
    ratio = one_gpu.train_dataloader.batch_size / usual.auto_scale_lr.base_batch_size
    rates = [cfg.optim_wrapper.optimizer.lr for cfg in (usual, one_gpu)]
    assert rates[1] == pytest.approx(rates[0] * ratio**0.5)


def test_readme_command_tests_whole_images_padded_to_the_patch(repository):
    readme = (repository / 'configs/seg/addp/README.md').read_text()
    command = re.search(r'test.py (configs/\S+) CHECKPOINT \\\n\s+--cfg-options (.*)', readme)
    options = dict(option.split('=') for option in command.group(2).split())
    options = {key: int(value) if value.isdigit() else value for key, value in options.items()}
    model = runs.load_config(repository / command.group(1), options).model
    assert model.test_cfg.mode == 'whole'
    assert model.data_preprocessor.test_cfg == dict(
        size_divisor=model.backbone.get('patch_size', 16)
    )


def check_pets(cfg: Config, root: str, classes: tuple[str, ...]) -> None:
    for split, images in (('train', 'train/'), ('val', 'val/'), ('test', 'val/')):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.data_root == root
        assert dataset.metainfo.classes == classes
        assert dataset.data_prefix.img == images
        part = 'train' if split == 'train' else 'val'
        assert dataset.ann_file == f'annotations/instances_{part}.json'
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        # It reads the dataset's file.
        assert evaluator.type == 'mmaddp.CocoMetric'
        assert 'ann_file' not in evaluator
    assert cfg.model.roi_head.bbox_head.num_classes == len(classes)
    assert cfg.model.roi_head.mask_head.num_classes == len(classes)


def test_image_folder_comes_from_the_environment(repository, monkeypatch):
    monkeypatch.setenv('IMAGE_DIR', '/data/birds')
    monkeypatch.setenv('NUM_CLASSES', '7')
    name = 'addp_vit-toy_1xb64-20e_image-folder-64px'
    cfg = Config.fromfile(repository / 'configs' / 'cls' / 'addp' / f'{name}.py')
    assert cfg.train_dataloader.dataset.data_root == '/data/birds'
    assert cfg.model.head.num_classes == 7
    assert cfg.model.data_preprocessor.num_classes == 7
