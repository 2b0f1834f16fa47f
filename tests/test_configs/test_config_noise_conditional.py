"""Noise-conditional classifiers: the authors' recipe, on the networks of the pre-trainings."""

import pytest

from mmaddp.registry import MODELS

CLASSIFIERS = {
    'ddae-ddpm_unet_noise-conditional_1xb128-15e_cifar10-32px': (
        'ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px'
    ),
    'ddae-edm_ddpmpp_noise-conditional_1xb128-15e_cifar10-32px': (
        'ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px'
    ),
    'ddae-ddpm_unet-toy_noise-conditional_1xb128-15e_cifar10-32px': (
        'ddae-ddpm_unet-toy_1xb64-3000i_cifar10-32px'
    ),
    'ddae-edm_unet-toy_noise-conditional_1xb128-15e_cifar10-32px': (
        'ddae-edm_unet-toy_1xb64-3000i_cifar10-32px'
    ),
}


@pytest.mark.parametrize(('name', 'pretraining'), CLASSIFIERS.items())
def test_the_pretrainings_network_is_read(name, pretraining, load_config):
    cfg, encoder = load_config(f'cls/ddae/{name}'), load_config(f'pretrain/ddae/{pretraining}')
    pretrainer = cfg.model.pretrainer
    source = pretrainer.network.pop('init_cfg').checkpoint
    assert pretraining in source
    assert pretrainer.to_dict() == encoder.model.to_dict()


@pytest.mark.parametrize(
    ('name', 'layer', 'levels'),
    [('ddpm_unet', 'out_6', [*range(1, 1000, 50)]), ('edm_ddpmpp', 'out_7', [*range(1, 19)])],
)
def test_the_authors_recipe(name, layer, levels, load_config):
    cfg = load_config(f'cls/ddae/ddae-{name}_noise-conditional_1xb128-15e_cifar10-32px')
    assert cfg.model.layer == layer
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=1e-3)
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (15, 128)
    (cosine,) = cfg.param_scheduler
    assert (cosine.type, cosine.T_max, cosine.eta_min) == ('CosineAnnealingLR', 15, 0)
    model = MODELS.build(cfg.model)
    assert list(model.eval_levels) == levels
    trained = [one for one in model.parameters() if one.requires_grad]
    # tau: 64 -> 256 -> 256; g: 256 -> 512 -> 10.
    assert sum(one.numel() for one in trained) == 82_432 + 136_714


def test_the_controls_train_everything(load_config):
    for name in ('ddpm_unet', 'edm_ddpmpp'):
        cfg = load_config(
            f'cls/ddae/ddae-{name}_noise-conditional-scratch_1xb128-amp-200e_cifar10-32px'
        )
        assert (cfg.model.frozen, cfg.train_cfg.max_epochs) == (False, 200)
        assert cfg.param_scheduler[-1].end == 200
        assert 'init_cfg' not in cfg.model.pretrainer.network
