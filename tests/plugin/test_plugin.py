"""A method from outside does all that ours do, without an edit in the package."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from scripts import load_script, read_image_folder
from tiny_addp import tiny_addp
from tiny_comparison import write_spec
from tiny_ddae import ddae, random_images, tiny_ddae
from tiny_runs import classifier, write_images

from mmaddp.apis import extract_features, generate, inpaint, load_pretrainer, reconstruct
from mmaddp.registry import MODELS

PLUGIN = Path(__file__).parent
CONFIG = PLUGIN / 'configs/tiny-mae_pretrain.py'
SIDE, DIMS = 64, 32
IMPORTS = dict(imports=['mmaddp', 'tiny_mae'])
# The encoder as the configs have it, but for what a task adds.
ENCODER = dict(
    type='mmaddp.TinyMAEViT',
    arch=dict(embed_dims=DIMS, num_layers=4, num_heads=2),
    patch_size=16,
    embed_norm=False,
)


@pytest.fixture(scope='module')
def image_folder(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images', size=SIDE)


@pytest.fixture(scope='module')
def run(repository):
    """Call a tool by its words."""
    return lambda tool, *words: load_script(repository / tool).main([str(word) for word in words])


@pytest.fixture(scope='module')
def pretrained(run, image_folder, tmp_path_factory):
    """The work folder of a pre-training by tools/train.py."""
    folder = tmp_path_factory.mktemp('pretraining')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('IMAGES', str(image_folder))
        run('tools/train.py', CONFIG, '--work-dir', folder)
    return folder


@pytest.fixture(scope='module')
def checkpoint(pretrained):
    return pretrained / 'iter_6.pth'


@pytest.fixture(scope='module')
def model(checkpoint):
    return load_pretrainer(CONFIG, checkpoint, 'cpu')


@pytest.fixture(scope='module')
def backbone(run, checkpoint, tmp_path_factory):
    """The converted encoder."""
    path = tmp_path_factory.mktemp('converted') / 'backbone.pth'
    run('tools/model_converters/convert_checkpoint.py', checkpoint, path)
    return path


def probe_config(image_folder):
    """A probe of all blocks for one epoch."""
    config = resized(classifier(image_folder, image_folder / 'unused'))
    encoder = Config.fromfile(CONFIG).model.to_dict()
    config.model = dict(
        type='mmaddp.GridProbe',
        encoder=encoder,
        head=dict(type='mmaddp.LinearClassifier', num_classes=3),
    )
    config.val_evaluator = config.test_evaluator = dict(type='mmaddp.NamedAccuracy')
    return config


def tuning_config(image_folder):
    """A classifier on the last block for one epoch."""
    config = resized(classifier(image_folder, image_folder / 'unused'))
    config.best_cell = 'none'
    config.model.backbone = dict(ENCODER, img_size=SIDE)
    config.model.head.in_channels = DIMS
    config.model.pop('train_cfg')
    return config


def resized(config):
    config.pop('work_dir')
    config.custom_imports, config.custom_hooks = IMPORTS, []
    config.train_cfg.update(max_epochs=1, val_interval=1)
    resize = dict(type='Resize', scale=SIDE)
    for name in ('train', 'val', 'test'):
        pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackInputs')]
        config[f'{name}_dataloader'].dataset.pipeline = pipeline
    return config


def test_it_pretrains_and_draws(pretrained, checkpoint):
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    assert {name.split('.')[0] for name in state} == {
        'encoder',
        'decoder',
        'mask_token',
        'positions',
    }
    assert len(list((pretrained / 'visualizations').glob('predictions_*.png'))) == 2


def test_it_generates_completes_and_reconstructs(run, checkpoint, model, image_folder, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    assert generate(model, 1).shape == (1, SIDE, SIDE, 3)
    mask = np.zeros((4, 4), dtype=bool)
    mask[1, 2] = True
    done = inpaint(model, images, mask)
    changed = (done != images).any(-1)
    assert changed[:, 16:32, 32:48].mean() > 0.9
    assert changed.sum() == changed[:, 16:32, 32:48].sum()
    assert reconstruct(model, images).shape == images.shape
    run('tools/generate.py', CONFIG, checkpoint, '--num-images', 1, '--out-dir', tmp_path)
    assert read_image_folder(tmp_path)['000000.png'].shape == (SIDE, SIDE, 3)


def test_it_gives_features(model):
    images = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    maps = extract_features(model, images, layers=['block_1', 'block_2'])
    assert [one.shape for one in maps] == [(1, DIMS, 4, 4)] * 2


def test_it_is_probed(run, checkpoint, image_folder, tmp_path):
    probe_config(image_folder).dump(tmp_path / 'probe.py')
    run('tools/probe.py', tmp_path / 'probe.py', checkpoint, '--work-dir', tmp_path / 'probe')
    cell = json.loads((tmp_path / 'probe/best_cell.json').read_text())
    assert cell['encoder'].endswith('TinyMAEViT')
    assert cell['layer'] in [f'block_{number}' for number in range(1, 5)]


def test_it_is_compared(run, checkpoint, image_folder, tmp_path):
    """Probe and fine-tuning, the second with the best cell of the first."""
    probe_config(image_folder).dump(tmp_path / 'probe.py')
    tuning_config(image_folder).dump(tmp_path / 'cls.py')
    encoder = dict(checkpoint=str(checkpoint), pretrain=str(CONFIG))
    probe = dict(config=str(tmp_path / 'probe.py'), **encoder)
    cls = dict(config=str(tmp_path / 'cls.py'), **encoder, best_cell='mae')
    spec = dict(
        title='A method from outside',
        seeds=[0],
        tasks=dict(
            probe=dict(title='Linear probe', metrics={'top-1': 'accuracy/best'}),
            cls=dict(title='Fine-tuning', metrics={'top-1': 'accuracy/top1'}),
        ),
        methods=dict(mae=dict(title='MAE', probe=probe, cls=cls)),
    )
    words = write_spec(spec, tmp_path / 'compare.py'), '--work-dir', tmp_path / 'out'
    run('tools/compare.py', *words)
    tasks = json.loads((tmp_path / 'out/comparison.json').read_text())['tasks']
    assert all(0 <= tasks[name][0]['seeds']['0']['top-1'] <= 100 for name in ('probe', 'cls'))


def test_it_becomes_a_backbone(backbone, model):
    state = torch.load(backbone, weights_only=False)['state_dict']
    assert torch.equal(state['cls_token'], model.encoder.cls_token)
    init_cfg = dict(type='Pretrained', checkpoint=str(backbone))
    encoder = MODELS.build(dict(ENCODER, img_size=SIDE, init_cfg=init_cfg))
    encoder.init_weights()
    weights = encoder.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in state.items())


DENSE = {
    'det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py': {
        'neck.in_channels': DIMS,
        # Patches of 16 x 16 pixels, where the config has 8 x 8.
        'rpn_head.anchor_generator.strides': [4, 8, 16, 32, 64],
        'roi_head.bbox_roi_extractor.featmap_strides': [4, 8, 16, 32],
        'roi_head.mask_roi_extractor.featmap_strides': [4, 8, 16, 32],
    },
    'seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112.py': {
        'neck.embed_dim': DIMS,
        'decode_head.in_channels': [DIMS] * 4,
        'auxiliary_head.in_channels': DIMS,
    },
}


@pytest.mark.parametrize('name', DENSE)
def test_it_is_fine_tuned_on_dense_prediction(
    name, repository, shared, backbone, tmp_path, monkeypatch
):
    """Our configs take another backbone, in the widths of its maps."""
    monkeypatch.setenv('COCO_DIR', str(shared / 'data/penn_fudan_coco'))
    monkeypatch.setenv('CAMVID_DIR', str(shared / 'data/camvid_ade'))
    config = Config.fromfile(repository / 'configs' / name)
    init_cfg = dict(type='Pretrained', checkpoint=str(backbone))
    config.model.backbone.update(ENCODER, init_cfg=init_cfg)
    config.merge_from_dict({f'model.{key}': value for key, value in DENSE[name].items()})
    runner = short_run(config, tmp_path)
    assert type(runner.model.backbone).__name__ == 'TinyMAEViT'
    assert runner.test().keys() & {'coco/bbox_mAP', 'mIoU'}
    losses = runner.message_hub.log_scalars['train/loss'].data[0]
    assert all(math.isfinite(loss) for loss in losses)


def short_run(config, work_dir):
    """Two iterations of two images."""
    config.work_dir, config.experiment_name = str(work_dir), work_dir.name
    for key, images in (('train', 4), ('val', 2), ('test', 2)):
        loader = config[f'{key}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.indices = images
    config.train_dataloader.batch_size = 2
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.default_hooks.logger.interval = 1
    runner = RUNNERS.get(config.runner_type).from_cfg(config)
    runner.train()
    return runner


def test_its_schedules_serve_our_methods():
    model = tiny_addp(mask_schedule=dict(type='mmaddp.EvenMaskSchedule', low=0.5, high=0.75))
    ratio = model(torch.rand(2, 3, 64, 64), mode='loss')['mask_ratio']
    assert 0.5 <= ratio <= 0.75
    model = tiny_ddae(ddae(process=dict(type='mmaddp.CosineDDPM', num_timesteps=8)))
    assert model(random_images(), mode='loss')['loss'].isfinite()
    assert generate(model, 1, steps=2).shape == (1, 8, 8, 3)
    # Half of the steps is half of the way, where linear betas have lost nearly all.
    alpha_bars = MODELS.build(ddae(process=dict(type='mmaddp.CosineDDPM'))).process.alpha_bars
    assert alpha_bars[500].item() == pytest.approx(0.5, abs=0.02)


def test_an_entry_point_makes_it_known_to_a_tool_without_a_config(
    repository, model, backbone, tmp_path
):
    """Its file layout converts in a fresh process, which nothing but the entry point tells."""
    info = tmp_path / 'site/tiny_mae-1.0.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: tiny-mae\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text('[mmaddp.plugins]\ntiny_mae = tiny_mae\n')
    torch.save(published(model.encoder.state_dict()), tmp_path / 'published.pth')
    paths = repository, PLUGIN, tmp_path / 'site'
    subprocess.run(
        [
            sys.executable,
            repository / 'tools/model_converters/convert_checkpoint.py',
            tmp_path / 'published.pth',
            tmp_path / 'backbone.pth',
        ],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, paths))},
        check=True,
    )
    states = [torch.load(path)['state_dict'] for path in (backbone, tmp_path / 'backbone.pth')]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def published(state):
    """An encoder's weights in the layout of the plugin's files."""
    names = {
        'cls_token': 'cls',
        'pos_embed': 'pos',
        'patch_embed.proj.': 'patches.',
        'blocks.': 'layers.',
        'norm.': 'norm.',
    }
    renamed = {'teacher.cls': state['cls_token']}
    for name, tensor in state.items():
        ours = next(one for one in names if name.startswith(one))
        renamed[f'student.{names[ours]}{name[len(ours) :]}'] = tensor
    return renamed
