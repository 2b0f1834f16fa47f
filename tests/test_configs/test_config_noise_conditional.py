"""Noise-conditional classifiers: the authors' recipe, on the networks of the pre-trainings."""

import pytest
from config_tools import differences
from mmengine.config import Config

from mmaddp.registry import MODELS

BASE = 'ddae-ddpm_unet_noise-conditional_1xb128-15e_cifar10-32px'
GRID = 'ddae_noise-conditional'
# By variant; the config itself without one.
CLASSIFIERS = {
    None: 'ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px',
    'edm_ddpmpp': 'ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px',
    'ddpm_unet-toy': 'ddae-ddpm_unet-toy_1xb64-3000i_cifar10-32px',
    'edm_unet-toy': 'ddae-edm_unet-toy_1xb64-3000i_cifar10-32px',
}
CONTROLS = {'ddpm_unet-scratch': None, 'edm_ddpmpp-scratch': 'edm_ddpmpp'}


@pytest.fixture
def load(load_config, load_variant):
    return lambda variant: (
        load_variant(GRID, variant) if variant else load_config(f'cls/ddae/{BASE}')
    )


@pytest.mark.parametrize(('variant', 'pretraining'), CLASSIFIERS.items())
def test_the_pretrainings_network_is_read(variant, pretraining, load, load_config):
    cfg, encoder = load(variant), load_config(f'pretrain/ddae/{pretraining}')
    pretrainer = cfg.model.pretrainer
    source = pretrainer.network.pop('init_cfg').checkpoint
    assert pretraining in source
    assert pretrainer.to_dict() == encoder.model.to_dict()


@pytest.mark.parametrize(
    ('variant', 'layer', 'levels'),
    [(None, 'out_6', [*range(1, 1000, 50)]), ('edm_ddpmpp', 'out_7', [*range(1, 19)])],
)
def test_the_authors_recipe(variant, layer, levels, load):
    cfg = load(variant)
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


@pytest.mark.parametrize(('control', 'variant'), CONTROLS.items())
def test_the_controls_train_everything(control, variant, load, load_config):
    cfg = load(control)
    assert (cfg.model.frozen, cfg.train_cfg.max_epochs) == (False, 200)
    assert cfg.param_scheduler[-1].end == 200
    assert cfg.model.pretrainer.network.init_cfg is None
    # The model is otherwise that of the classifier, the recipe that of fine-tuning.
    model = {key for key in differences(load(variant), cfg) if key.startswith('model.')}
    assert {key.split('.init_cfg')[0] for key in model} == {
        'model.frozen',
        'model.pretrainer.network',
    }
    tuned = load_config('cls/ddae/ddae-ddpm_unet_1xb128-amp-100e_cifar10-32px')
    assert cfg.optim_wrapper == tuned.optim_wrapper
    assert cfg.param_scheduler[0] == tuned.param_scheduler[0]
    assert MODELS.build(cfg.model).network.truncated


def test_the_grid_has_no_other_variant(repository):
    grid = Config.fromfile(repository / f'configs/grids/{GRID}.py')
    assert {None, *grid.variants} == {*CLASSIFIERS, *CONTROLS}
