"""Probe configs have the encoders of their pre-trainings, and the recipe of DDAE's authors."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

PRETRAININGS = {
    'cls/ddae/ddae-ddpm_unet_probe_1xb128-15e_cifar10-32px': (
        'ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px'
    ),
    'cls/ddae/ddae-ddpm_unet_probe_1xb128-15e_tiny-imagenet-64px': (
        'ddae/ddae-ddpm_unet_4xb128-amp-2000e_tiny-imagenet-64px'
    ),
    'cls/ddae/ddae-edm_ddpmpp_probe_1xb128-15e_cifar10-32px': (
        'ddae/ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px'
    ),
    'cls/ddae/ddae-edm_ddpmpp_probe_1xb128-15e_tiny-imagenet-64px': (
        'ddae/ddae-edm_ddpmpp_4xb64-amp-2000e_tiny-imagenet-64px'
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
    'cls/addp/addp_vit-toy_probe_1xb32-4e_image-folder-128px': (
        'addp/addp_vit-toy_1xb32-1000i_image-folder-128px'
    ),
}
# Layers, noise levels, and whether the pixels are probed too.
GRIDS = {
    'ddae-ddpm_unet_probe_1xb128-15e_cifar10-32px': (12, 7, False),
    'ddae-edm_ddpmpp_probe_1xb128-15e_tiny-imagenet-64px': (15, 7, False),
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
