"""Probes: the encoders of their pre-trainings, and the recipes of DDAE and of table 13 of DARL."""

import pytest
import torch
from config_tools import differences
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from mmaddp.registry import TASK_UTILS

PRETRAININGS = {
    'cls/ddae/ddae-ddpm_unet_probe_1xb128-15e_cifar10-32px': (
        'ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px'
    ),
    'cls/ddae/ddae-ddpm_unet-toy_probe_1xb32-4e_cifar10-32px': (
        'ddae/ddae-ddpm_unet-toy_1xb64-3000i_cifar10-32px'
    ),
    'cls/ddae/ddae-edm_unet-toy_probe_1xb32-4e_cifar10-32px': (
        'ddae/ddae-edm_unet-toy_1xb64-3000i_cifar10-32px'
    ),
    'cls/darl/darl-mse_vit-l_probe_8xb128-15e_in1k-224px': (
        'darl/darl-mse_vit-l_64xb64-amp-coslr-800e_in1k-224px'
    ),
    'cls/darl/darl-mse_vit-toy_probe_1xb32-4e_cifar10-32px': (
        'darl/darl-mse_vit-toy_1xb64-3000i_cifar10-32px'
    ),
    'cls/addp/addp_vit-b_probe_8xb128-15e_in1k-256px': (
        'addp/addp_vit-b_64xb64-amp-coslr-1600e_in1k-256px'
    ),
    'cls/addp/addp_vit-toy_probe_1xb32-4e_image-folder-64px': (
        'addp/addp_vit-toy_1xb64-3000i_image-folder-64px'
    ),
}
# The probes of a grid's variants.
VARIANTS = {
    'edm_unet': 'ddae-edm_unet_4xb128-amp-2000e_cifar10-32px',
    'ddpm_ddpmpp': 'ddae-ddpm_ddpmpp_4xb64-amp-2000e_cifar10-32px',
    'edm_ddpmpp': 'ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px',
    'edm_ddpmpp-aug': 'ddae-edm_ddpmpp-aug_8xb64-amp-4000e_cifar10-32px',
    'ddpm_unet_tiny-imagenet': 'ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px',
    'ddpm_ddpmpp_tiny-imagenet': 'ddae-ddpm_ddpmpp_4xb64-amp-2000e_cifar10-32px',
    'edm_ddpmpp_tiny-imagenet': 'ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px',
    'edm_ddpmpp-aug_tiny-imagenet': 'ddae-edm_ddpmpp-aug_8xb64-amp-4000e_cifar10-32px',
}
FIGURE_4 = ('t-64', 't-256', 't-512', 'betas-smaller', 'betas-larger')
CIFAR = 'cls/ddae/ddae-ddpm_unet_probe_1xb128-15e_cifar10-32px'
# Layers, noise levels, and whether the pixels are probed too.
GRIDS = {
    'ddae-ddpm_unet_probe_1xb128-15e_cifar10-32px': (12, 7, False),
    'ddae-edm_unet-toy_probe_1xb32-4e_cifar10-32px': (6, 6, True),
    'ddae-ddpm_dit-xl_probe_1xb128-30e_tiny-imagenet-256px': (28, 5, False),
}


@pytest.mark.parametrize('name', PRETRAININGS)
def test_the_encoder_is_that_of_the_pretraining(name, load_config):
    probe, pretraining = load_config(name), load_config(f'pretrain/{PRETRAININGS[name]}')
    encoder, model = probe.model.encoder, pretraining.model
    part = {'mmaddp.DDAE': ('network', 'process'), 'mmaddp.DARL': ('backbone',)}
    for key in part.get(model.type, ('encoder',)):
        assert encoder[key] == model[key]
    assert encoder.type == model.type


@pytest.mark.parametrize('name', GRIDS)
def test_the_grid_is_built(name, load_config):
    layers, levels, pixels = GRIDS[name]
    config = load_config(f'cls/ddae/{name}')
    init_default_scope(config.default_scope)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert (len(model.layers), len(model.levels)) == (layers, levels)
    assert len(model.cells) == layers * levels + pixels


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_variant_probes_its_pretraining_by_the_same_recipe(variant, load_config, load_variant):
    probe = load_variant('ddae_probes', variant)
    name = f'pretrain/ddae/{VARIANTS[variant]}'
    tiny = 'tiny-imagenet' in variant
    pretraining = (
        load_variant('ddae_tiny-imagenet', 'tiny-imagenet', name) if tiny else load_config(name)
    )
    assert probe.model.encoder.to_dict() == pretraining.model.to_dict()
    says = {
        key for key in differences(load_config(CIFAR), probe) if not key.startswith('model.enc')
    }
    data = {f'{split}_dataloader' for split in ('train', 'val', 'test')}
    assert {key.split('.')[0] for key in says - {'model.levels', 'model.head.num_classes'}} <= {
        *data,
        'num_classes',
    }
    classes = 200 if tiny else 10
    for split in ('train', 'val', 'test'):
        kind = probe[f'{split}_dataloader'].dataset.type
        assert ('TinyImageNet' in kind) == (classes == 200)
    model = build(probe)
    assert (model.num_classes, len(model.levels)) == (classes, 7)
    assert len(model.layers) == (15 if 'ddpmpp' in variant else 12)


@pytest.mark.parametrize('variant', FIGURE_4)
def test_figure_4_is_probed_at_the_noise_of_the_whole_model(variant, load_config, load_variant):
    probe = load_variant('ddae_probes', variant)
    pretraining = load_variant('ddae-ddpm_figure-4', variant)
    assert probe.model.encoder.to_dict() == pretraining.model.to_dict()
    says = {*differences(load_config(CIFAR), probe)}
    assert {key for key in says if not key.startswith('model.encoder.process')} == {'model.levels'}
    levels, process = probe.model.levels, TASK_UTILS.build(probe.model.encoder.process)
    wanted = load_config(CIFAR).model.levels
    # sigma_t^2 = 1 - prod (1 - beta_i), see section 3.1.
    betas = torch.linspace(1e-4, 0.02, 1000).double()
    sigmas = (1 - (1 - betas).cumprod(0)).sqrt()
    found = [float((1 - process.alpha_bars[level]).sqrt()) for level in levels]
    expected = [float(sigmas[level - 1]) for level in wanted]
    if variant == 'betas-larger':  # which has no less noise than that of level 28
        found, expected = found[-1:], expected[-1:]
    assert found == pytest.approx(expected, rel=0.08)


def test_the_grid_of_probes_has_no_other_variant(repository):
    grid = Config.fromfile(repository / 'configs/grids/ddae_probes.py')
    assert set(grid.variants) == {*VARIANTS, *FIGURE_4}


@pytest.mark.parametrize(('name', 'epochs'), [('ddpm_unet', 15), ('ddpm_dit-xl', 30)])
def test_the_recipe_is_that_of_the_authors_code(name, epochs, load_config):
    size = '256px' if 'dit-xl' in name else '32px'
    config = load_config(f'cls/ddae/ddae-{name}_probe_1xb128-{epochs}e_cifar10-{size}')
    assert config.optim_wrapper == dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
    (schedule,) = config.param_scheduler
    assert (schedule.type, schedule.T_max, schedule.eta_min) == ('CosineAnnealingLR', epochs, 0)
    assert config.train_cfg.max_epochs == schedule.end == epochs
    assert config.train_dataloader.batch_size == 128
    crop = config.train_dataloader.dataset.pipeline[1]
    assert (crop.type, crop.crop_size, crop.padding) == ('RandomCrop', 32, 4)


BLOCKS = {'b': (12, 768), 'l': (24, 1024), 'h': (32, 1280)}
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def build(config):
    init_default_scope(config.default_scope)
    with torch.device('meta'):
        return MODELS.build(config.model)


@pytest.mark.parametrize('size', BLOCKS)
def test_linear_evaluation_follows_table_13(size, load_config, load_variant):
    layers, dims = BLOCKS[size]
    config = (
        load_config('cls/darl/darl-diff_vit-l_linear-all-depths_16xb1024-lars-90e_in1k-224px')
        if size == 'l'
        else load_variant('darl-diff_figure-8', f'vit-{size}')
    )
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum) == ('LARS', 0.1, 0.9)
    assert optimizer.weight_decay == 0
    assert 16 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 16384
    warmup, cosine = config.param_scheduler
    assert (warmup.end, cosine.begin, cosine.end, config.train_cfg.max_epochs) == (10, 10, 90, 90)
    encoder = config.model.encoder
    assert encoder.causal
    assert encoder.get('drop_path_rate', 0) == 0
    assert encoder.get('positions', 'rope-2d') == 'rope-2d'
    assert (config.model.head.batch_norm, config.model.head.label_smoothing) == (True, 0.1)
    model = build(config)
    assert len(model.heads) == layers
    for head in model.heads.values():
        assert head.linear.weight.shape == (1000, dims)
        assert (head.linear.norm.affine, head.linear.norm.eps) == (False, 1e-6)
    augmentations = [step.type for step in config.train_dataloader.dataset.pipeline[1:-1]]
    assert augmentations == ['RandomResizedCrop', 'RandomFlip']
    assert config.val_evaluator == config.test_evaluator == dict(type='mmaddp.NamedAccuracy')


def test_addp_is_probed_at_every_depth_as_at_one(load_config):
    name = 'cls/addp/addp_vit-b_linear{}_16xb1024-lars-90e_in1k-224px'
    one, every = load_config(name.format('')), load_config(name.format('-all-depths'))
    backbone = {**one.model.backbone}
    assert backbone.pop('frozen_stages') == 12
    assert every.model.encoder == backbone
    assert one.model.neck.norm_cfg == dict(type='BN1d', affine=False, eps=1e-6)
    assert one.model.head.init_cfg.std == every.model.head.init_std == 0.01
    assert one.model.head.loss == dict(type='CrossEntropyLoss')
    assert (every.model.head.batch_norm, every.model.head.get('label_smoothing', 0)) == (True, 0)
    assert every.optim_wrapper == one.optim_wrapper
    assert every.param_scheduler == one.param_scheduler
    assert every.train_dataloader == one.train_dataloader
    for key in ('mean', 'std'):
        assert one.model.data_preprocessor[key] == IMAGENET[key]
        given = build(every).encoder.encoder_module.pixel_values[key]
        assert given == pytest.approx(IMAGENET[key])


def test_only_weights_are_scaled_by_lars(load_config):
    """MAE's LARS leaves biases out, and trains nothing of the encoder."""
    config = load_config('cls/darl/darl-mse_vit-toy_linear-all-depths_1xb64-20e_cifar10-32px')
    init_default_scope(config.default_scope)
    model = build(config)
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    excluded = {
        names[id(one)]: group.get('lars_exclude')
        for group in groups
        for one in group['params']
        if one.requires_grad
    }
    assert excluded == {
        f'heads.block_{number}.linear.{name}': wanted
        for number in range(1, 5)
        for name, wanted in (('weight', None), ('bias', True))
    }
