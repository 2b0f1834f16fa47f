"""Every model builds, at full size on the meta device, with the published number of parameters."""

import copy
import functools
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmaddp.engine.encoder_configs import fit_to_encoder
from mmaddp.models import LN2d

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# ViTDet's table 5 (in millions): Mask R-CNN 111 and 331, Cascade 141 and 361. MMDetection's
# Cascade has two mask heads more, of 2.6 each.
VITDET_PARAMETERS = {
    ('mask-rcnn', 'b'): 111,
    ('mask-rcnn', 'l'): 331,
    ('cascade-mask-rcnn', 'b'): 146,
    ('cascade-mask-rcnn', 'l'): 366,
}
# Folders whose every table of figures has a column of parameters.
README_TABLES = [
    'cls/addp',
    'det/addp',
    'det/darl',
    'det/ddae',
    'det/mae',
    'seg/addp',
    'seg/darl',
    'seg/ddae',
    'seg/mae',
]


def build(cfg: Config) -> nn.Module:
    init_default_scope(cfg.default_scope)
    cfg = copy.deepcopy(cfg)
    fit_to_encoder(cfg)
    # MMPretrain's ResNet needs values to compute its stochastic depth.
    device = 'cpu' if cfg.model.get('backbone', {}).get('type') == 'ResNet' else 'meta'
    with torch.device(device):
        return MODELS.build(cfg.model)


def build_optimizer(cfg: Config, model: nn.Module) -> torch.optim.Optimizer:
    wrapper = cfg.optim_wrapper
    # Autocasting wrappers refuse to be built without a GPU.
    wrapper.type = 'OptimWrapper'
    wrapper.pop('dtype', None)
    return build_optim_wrapper(model, wrapper).optimizer


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def encoder_parameters(backbone: dict) -> int:
    """Parameters of a plain ViT, in closed form."""
    arch = backbone['arch']
    if isinstance(arch, str):
        arch = dict(base=(768, 12, 12), large=(1024, 24, 16), huge=(1280, 32, 16))[arch]
    else:
        arch = arch['embed_dims'], arch['num_layers'], arch['num_heads']
    dims, layers, heads = arch
    patch, image = backbone.get('patch_size', 16), backbone['img_size']
    block = 12 * dims**2 + 13 * dims
    is_darl = backbone['type'] == 'mmaddp.DARLViT'
    token = int(backbone.get('with_start_token' if is_darl else 'with_cls_token', True))
    positions = (backbone.get('pretrain_img_size', image) // patch) ** 2 + token
    if is_darl and backbone.get('positions') != 'learnable':
        positions = 0
    norms = (not is_darl and backbone.get('embed_norm', True)) + backbone.get('final_norm', True)
    total = layers * block + (3 * patch**2 + 1) * dims + (positions + token + 2 * norms) * dims
    if backbone.get('use_rel_pos'):
        window, global_blocks = backbone.get('window_size', 0), backbone.get('global_attn_indexes')
        num_global = len(global_blocks) if window else layers
        sides = (layers - num_global) * [window] + num_global * [image // patch]
        total += sum(2 * (2 * side - 1) * dims // heads for side in sides)
    return total


@pytest.fixture(scope='module')
def parameters(load_config):
    """Parameters of a config's model and of its backbone. Each model is built once."""

    @functools.cache
    def count_both(name: str) -> tuple[int, int]:
        model = build(load_config(name))
        # Probes have an encoder instead.
        return count(model), count(getattr(model, 'backbone', None) or model.encoder)

    return count_both


def test_model_builds_with_the_expected_parameters(transfer_config, parameters):
    path = Path(transfer_config.filename).relative_to(CONFIGS)
    whole, encoder = parameters(str(path.with_suffix('')))
    backbone = transfer_config.model.backbone
    if backbone.type == 'ResNet':
        # torchvision's count for ResNet-50 with its classifier.
        assert whole == 25_557_032
    elif backbone.type in ('mmaddp.DDAEUNet', 'mmaddp.DDAEDiT'):
        # What DDAE's sizes are is test_config_ddae_transfer.py's.
        assert encoder
    elif backbone.type == 'mmaddp.Encoder':
        assert encoder  # the library's number is test_encoders' to check
    else:
        assert encoder == encoder_parameters(backbone)


@pytest.mark.parametrize(('head', 'size'), VITDET_PARAMETERS)
def test_detectors_have_vitdets_size(head, size, parameters):
    whole, _ = parameters(f'det/addp/{head}_addp-vit-{size}_sfp_16xb4-lsj-100e_coco')
    assert round(whole / 1e6) == VITDET_PARAMETERS[head, size]


@pytest.mark.parametrize('folder', README_TABLES)
def test_parameters_in_the_readme_are_counted(folder, repository, parameters):
    readme = (repository / 'configs' / folder / 'README.md').read_text()
    rows = re.findall(r'\| \[[^]]+\]\(([^)]+)\.py\).*?\| (\d+\.\d) \|', readme)
    assert rows
    for name, millions in rows:
        assert f'{parameters(f"{folder}/{name}")[0] / 1e6:.1f}' == millions


@pytest.mark.parametrize(
    ('name', 'lr', 'rate', 'layers'),
    [
        ('det/addp/mask-rcnn_addp-vit-b_sfp_16xb4-lsj-100e_coco', 1e-4, 0.7, 12),
        ('seg/mae/upernet_mae-vit-l_8xb2-amp-160k_ade20k-512x512', 1e-4, 0.75, 24),
        ('cls/addp/addp_vit-l_8xb128-amp-coslr-50e_in1k-256px', 1e-3, 0.8, 24),
    ],
)
def test_learning_rate_decays_by_layer(name, lr, rate, layers, load_config):
    cfg = load_config(name)
    model = build(cfg)
    groups = build_optimizer(cfg, model).param_groups
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    names = {n: rates[id(p)] for n, p in model.named_parameters()}
    assert names['backbone.patch_embed.proj.weight'] == pytest.approx(lr * rate ** (layers + 1))
    assert names['backbone.blocks.0.attn.qkv.weight'] == pytest.approx(lr * rate**layers)
    assert names[f'backbone.blocks.{layers - 1}.mlp.fc2.bias'] == pytest.approx(lr * rate)
    others = {value for n, value in names.items() if not n.startswith('backbone.')}
    assert others == {lr}


@pytest.mark.parametrize(
    ('name', 'weight_decay'),
    [
        ('det/mae/cascade-mask-rcnn_mae-vit-b_sfp_16xb4-lsj-100e_coco', 0.1),
        ('seg/addp/upernet_addp-vit-b_8xb2-amp-160k_ade20k-512x512', 0.05),
        ('cls/addp/addp_vit-b_8xb128-amp-coslr-100e_in1k-256px', 0.05),
    ],
)
def test_norms_biases_positions_and_tokens_do_not_decay(name, weight_decay, load_config):
    cfg = load_config(name)
    norms = {
        f'{module_name}.weight'
        for module_name, module in build(cfg).named_modules()
        if isinstance(module, (nn.LayerNorm, nn.SyncBatchNorm, LN2d))
    }
    decays = parameter_settings(cfg, 'weight_decay')
    assert set(decays.values()) == {0, weight_decay}
    others = re.compile(r'\.(bias|pos_embed|cls_token|rel_pos_[hw])$')
    assert {n for n in decays if decays[n] == 0} == norms | set(filter(others.search, decays))


def test_resnet50_decays_as_a_whole(load_config):
    decays = parameter_settings(
        load_config('cls/addp/addp_resnet50_8xb256-amp-coslr-300e_in1k-256px'), 'weight_decay'
    )
    assert any('bn' in name for name in decays)
    assert set(decays.values()) == {0.02}


@pytest.mark.parametrize(
    'name',
    [
        'addp_vit-b_linear_16xb1024-lars-90e_in1k-224px',
        'addp_vit-toy_linear_1xb64-20e_image-folder-64px',
    ],
)
def test_lars_scales_matrices_alone(name, load_config):
    excluded = parameter_settings(load_config(f'cls/addp/{name}'), 'lars_exclude')
    assert excluded == {'head.fc.weight': None, 'head.fc.bias': True}


def parameter_settings(cfg: Config, key: str) -> dict[str, object]:
    """A setting of the group of each trainable parameter."""
    model = build(cfg)
    groups = build_optimizer(cfg, model).param_groups
    values = {id(p): group.get(key) for group in groups for p in group['params']}
    return {n: values[id(p)] for n, p in model.named_parameters() if p.requires_grad}
