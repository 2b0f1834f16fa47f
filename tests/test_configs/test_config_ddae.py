"""DDAE's pre-training configs against the settings of its authors' code, typed here."""

import re

import pytest
import torch
from config_tools import differences
from mmengine.config import Config
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from torch import nn

from mmaddp.apis.models import build_pretrainer

FOLDER = 'pretrain/ddae/'
# Processes, images of each, epochs, epochs of warm-up, decay of the average, dropout, parameters;
# the learning rate is 1e-4 times the processes.
UNET = dict(processes=4, images=128, epochs=2000, warmup=13, decay=0.9999, dropout=0.1, size=35.7)
DDPMPP = dict(UNET, images=64, size=56.5)
EDM = dict(warmup=200, decay=0.9993, dropout=0.13)
RECIPES = {
    'ddae-ddpm_unet_4xb128-amp-2000e': UNET,
    'ddae-edm_unet_4xb128-amp-2000e': dict(UNET, **EDM),
    'ddae-ddpm_ddpmpp_4xb64-amp-2000e': DDPMPP,
    'ddae-edm_ddpmpp_4xb64-amp-2000e': dict(DDPMPP, **EDM),
    'ddae-edm_ddpmpp-aug_8xb64-amp-4000e': dict(DDPMPP, **EDM, processes=8, epochs=4000),
}
CIFAR10, TINY_IMAGENET = '_cifar10-32px', '_tiny-imagenet'
NAMES = [name + CIFAR10 for name in RECIPES]
# The authors published no settings for Tiny-ImageNet: here they are CIFAR-10's.
NAMES += [name + TINY_IMAGENET for name in RECIPES if 'edm_unet' not in name]
# Figure 4: the halves of the betas meet in the middle.
ABLATIONS = {
    't-64': {'model.process.num_timesteps': 64},
    't-256': {'model.process.num_timesteps': 256},
    't-512': {'model.process.num_timesteps': 512},
    'betas-smaller': {'model.process.beta_end': (1e-4 + 0.02) / 2},
    'betas-larger': {'model.process.beta_start': (1e-4 + 0.02) / 2},
}
BASE = 'ddae-ddpm_unet_4xb128-amp-2000e' + CIFAR10


@pytest.fixture
def load(load_config, load_variant):
    """A config of CIFAR-10, or its variant on Tiny-ImageNet."""

    def read(name: str) -> Config:
        if not name.endswith(TINY_IMAGENET):
            return load_config(FOLDER + name)
        base = FOLDER + name.replace(TINY_IMAGENET, CIFAR10)
        return load_variant('ddae_tiny-imagenet', 'tiny-imagenet', base)

    return read


def recipe_of(name: str) -> dict:
    return RECIPES[name.rsplit('_', 1)[0]]


def build(cfg: Config) -> nn.Module:
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def rates(cfg: Config, steps: int) -> list[float]:
    """The learning rate of each of the first epochs, one step each."""
    parameter = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=cfg.optim_wrapper.optimizer.lr)
    scheduler = PARAM_SCHEDULERS.build(dict(cfg.param_scheduler[0], optimizer=optimizer))
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return values


@pytest.mark.parametrize('name', NAMES)
def test_training_is_the_authors(name, load):
    cfg, recipe = load(name), recipe_of(name)
    assert cfg.train_dataloader.batch_size == recipe['images']
    assert cfg.auto_scale_lr.base_batch_size == recipe['processes'] * recipe['images']
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer == dict(type='Adam', lr=1e-4 * recipe['processes'])
    assert (wrapper.type, wrapper.clip_grad) == ('AmpOptimWrapper', dict(max_norm=1.0))
    assert cfg.train_cfg.max_epochs == recipe['epochs']
    ema, drawing = cfg.custom_hooks
    assert (ema.type, ema.ema_type) == ('EMAHook', 'mmaddp.RisingEMA')
    assert 1 - ema.momentum == pytest.approx(recipe['decay'])
    assert drawing.type == 'mmaddp.VisualizationHook'
    flip = cfg.train_dataloader.dataset.pipeline[1]
    assert (flip.type, flip.prob, len(cfg.train_dataloader.dataset.pipeline)) == (
        'RandomFlip',
        0.5,
        3,
    )


@pytest.mark.parametrize('name', NAMES)
def test_the_rate_rises_epoch_by_epoch(name, load):
    """Lr min((epoch + 1) / warm-up, 1), as the authors set it."""
    cfg, recipe = load(name), recipe_of(name)
    epochs, largest = recipe['warmup'], 1e-4 * recipe['processes']
    expected = [largest * min((epoch + 1) / epochs, 1) for epoch in range(epochs + 3)]
    assert rates(cfg, epochs + 3) == pytest.approx(expected)


@pytest.mark.parametrize('name', NAMES)
def test_networks_are_the_authors(name, load):
    model, recipe = build(load(name)), recipe_of(name)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    assert size == pytest.approx(recipe['size'], abs=0.05)
    drops = {m.p for m in model.modules() if isinstance(m, nn.Dropout)}
    assert drops == {recipe['dropout']}
    assert model.img_size == (64 if TINY_IMAGENET in name else 32)
    process = model.process
    if 'ddpm_' in name:
        assert (process.num_timesteps, process.beta_start, process.beta_end) == (
            1000,
            1e-4,
            0.02,
        )
    else:
        assert (process.p_mean, process.p_std, process.sigma_data) == (-1.2, 1.2, 0.5)
    probability = model.augmentation and model.augmentation.probability
    assert probability == (0.12 if '-aug' in name else None)


@pytest.mark.parametrize('ablation', ABLATIONS)
def test_an_ablation_differs_in_what_it_says_alone(ablation, load_config, load_variant):
    changed = load_variant('ddae-ddpm_figure-4', ablation)
    found = differences(load_config(FOLDER + BASE), changed)
    assert found == pytest.approx(ABLATIONS[ablation])
    build(changed)


def test_there_is_no_other_full_size_config(repository):
    names = {path.stem for path in (repository / 'configs' / FOLDER).glob('*e_*.py')}
    assert names == {name for name in NAMES if name.endswith(CIFAR10)}
    grid = Config.fromfile(repository / 'configs/grids/ddae-ddpm_figure-4.py')
    assert set(grid.variants) == set(ABLATIONS)


@pytest.mark.parametrize('name', NAMES)
def test_figures_3_and_4_find_their_checkpoints(name, load):
    """All of them are kept; figure 4 looks at those of 150 to 2,000 epochs."""
    checkpoint = load(name).default_hooks.checkpoint
    assert checkpoint.max_keep_ckpts == -1
    if '-aug' not in name:
        seen = (150, 250, 500, 1000, 1500, 2000)
        assert not any(epoch % checkpoint.interval for epoch in seen)


def test_data_come_from_the_environment(repository, monkeypatch, load_variant):
    monkeypatch.setenv('CIFAR10_DIR', '/data/here')
    monkeypatch.setenv('TINY_IMAGENET_DIR', '/data/there')
    cifar10 = Config.fromfile(repository / f'configs/{FOLDER}{BASE}.py')
    tiny = load_variant('ddae_tiny-imagenet', 'tiny-imagenet')
    found = [cfg.train_dataloader.dataset.data_root for cfg in (cifar10, tiny)]
    assert found == ['/data/here', '/data/there']


@pytest.mark.parametrize('name', [name for name in NAMES if name.endswith(TINY_IMAGENET)])
def test_tiny_imagenet_changes_data_and_size_alone(name, load):
    changed, base = load(name), load(name.replace(TINY_IMAGENET, CIFAR10))
    assert (
        changed.work_dir
        == f'work_dirs/{FOLDER}{name.replace(TINY_IMAGENET, CIFAR10)}/tiny-imagenet'
    )
    assert changed.train_dataloader.dataset.type == 'mmaddp.TinyImageNet'
    outside = {
        key for key in differences(base, changed) if not key.startswith('train_dataloader.dataset.')
    }
    assert outside == {'model.img_size', 'work_dir'}


def test_parameters_in_the_readme_are_counted(repository, load_config):
    readme = (repository / 'configs' / FOLDER / 'README.md').read_text()
    rows = re.findall(r'\]\((ddae-\S+)\.py\) \| [^|]+ \| [\d,]+ \| (\d+\.\d) \|', readme)
    assert len(rows) == len(RECIPES)
    for name, millions in rows:
        parameters = build(load_config(FOLDER + name)).parameters()
        assert f'{sum(p.numel() for p in parameters) / 1e6:.1f}' == millions


def test_the_published_transformer_generates_without_a_training_config(repository):
    """675M parameters, as DiT's paper counts them."""
    cfg = Config.fromfile(repository / 'configs/_base_/pretrainers/ddae-ddpm_dit-xl.py')
    with torch.device('meta'):
        model = build_pretrainer(cfg)
    assert model.side == 256
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(675, abs=1)
