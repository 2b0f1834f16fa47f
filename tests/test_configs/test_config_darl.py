"""DARL's pre-training configs against the paper's tables, typed here."""

import copy
import re

import pytest
import torch
from config_tools import differences
from darl_figures import PRETRAINING
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmaddp.models.layers.patch_order import patch_order

FOLDER = 'pretrain/darl/'
# Table 8's recipe, whatever is trained.
RECIPES = [
    PRETRAINING.format(f'{objective}_vit-{size}', epochs, 224)
    for objective in ('mse', 'diff')
    for size, epochs in (('l', 100), ('l', 400), ('l', 800), ('b', 800), ('h', 800))
]
MSE, DIFF = (PRETRAINING.format(f'{objective}_vit-l', 100, 224) for objective in ('mse', 'diff'))
AT_256 = PRETRAINING.format('mse_vit-l', 100, 256)
TOKENIZER = {
    'model.tokenizer.type': 'mmaddp.VQGAN',
    'model.tokenizer.init_cfg.type': 'Pretrained',
    'model.tokenizer.init_cfg.checkpoint': 'checkpoints/vqgan_jax_strongaug.ckpt',
}
DECODER = 'model.patch_decoder.'


def ablation(base: str, suffix: str) -> str:
    return base.replace('vit-l', f'vit-l{suffix}', 1)


# Base, suffix and what it says otherwise.
ABLATIONS = [
    *(
        (MSE.replace('100e', '400e'), f'_positions-{kind}', {'model.backbone.positions': kind})
        for kind in ('none', 'sincos', 'learnable', 'rope-1d')
    ),
    *((MSE, f'_mlp-{n}', {f'{DECODER}num_layers': n}) for n in (1, 2, 4, 8)),
    *(
        (
            DIFF,
            f'_mlp-{n}{"-gamma" if gamma else ""}',
            {
                f'{DECODER}type': 'mmaddp.MLPPatchDecoder',
                f'{DECODER}noisy': True,
                **({f'{DECODER}num_layers': n} if n != 1 else {}),
                **({f'{DECODER}condition_on_gamma': True} if gamma else {}),
            },
        )
        for n in (1, 2, 4, 8)
        for gamma in (False, True)
    ),
    *(
        (
            DIFF,
            f'_transformer-{n}{"-gamma" if gamma else ""}',
            {
                **({f'{DECODER}num_layers': n} if n != 1 else {}),
                **({f'{DECODER}condition_on_gamma': True} if gamma else {}),
            },
        )
        for n in (0, 1, 2, 4, 8)
        for gamma in (False, True)
        if gamma or n != 1
    ),
    (DIFF, '_prediction-epsilon', {'model.prediction': 'epsilon'}),
    *(
        (base, f'-p{size}', {'model.backbone.patch_size': size})
        for base in (MSE, DIFF)
        for size in (28, 32, 56)
    ),
    *(
        (
            AT_256,
            f'_{order}-{size}',
            {'model.backbone.order': order, 'model.backbone.block_size': size},
        )
        for order in ('nested-raster', 'round-robin')
        for size in (2, 4, 8)
    ),
    *(
        (MSE.replace('100e', f'{epochs}e'), f'_two-stream{random}', {**said, **streams})
        for epochs in (100, 800)
        for streams in [{'model.backbone.two_stream': True}]
        for random, said in (('', {}), ('-random', {'model.random_order': True}))
    ),
    (
        MSE.replace('100e', '800e'),
        '_normalized-pixels',
        {'model.target': 'normalized-pixels'},
    ),
    (MSE, '_token-input', {'model.inputs': 'tokens', **TOKENIZER}),
    (MSE, '_token-target', {'model.target': 'tokens', **TOKENIZER}),
]


def build(cfg: Config, num_layers: int = 0) -> nn.Module:
    """The config's model without memory; with ``num_layers`` of its backbone's blocks, if given."""
    init_default_scope(cfg.default_scope)
    if num_layers:
        cfg = copy.deepcopy(cfg)
        widths = dict(base=768, large=1024, huge=1280)
        dims = widths[cfg.model.backbone.arch]
        cfg.model.backbone.arch = dict(embed_dims=dims, num_layers=num_layers, num_heads=16)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', RECIPES)
def test_pretraining_follows_table_8(name, load_config):
    cfg = load_config(FOLDER + name)
    gpus, batch_size = map(int, re.search(r'_(\d+)xb(\d+)-', name).groups())
    assert cfg.train_dataloader.batch_size == batch_size
    assert gpus * batch_size == cfg.auto_scale_lr.base_batch_size == 4096
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer == dict(
        type='AdamW', lr=pytest.approx(1.5e-4 * 4096 / 256), betas=(0.9, 0.95), weight_decay=0.05
    )
    assert 'clip_grad' not in wrapper
    epochs = int(re.search(r'-(\d+)e_', name).group(1))
    warmup, cosine = cfg.param_scheduler
    assert (warmup.end, cosine.begin, cosine.end) == (40, 40, epochs)
    assert (cfg.train_cfg.max_epochs, cosine.eta_min) == (epochs, 0)
    assert all(scheduler.convert_to_iter_based for scheduler in (warmup, cosine))
    crop, flip = cfg.train_dataloader.dataset.pipeline[1:-1]
    assert (crop.type, flip.type, flip.prob) == ('RandomResizedCrop', 'RandomFlip', 0.5)
    assert (crop.scale, crop.crop_ratio_range, crop.interpolation) == (224, (0.2, 1.0), 'bicubic')


@pytest.mark.parametrize('name', RECIPES)
def test_models_are_section_4s(name, load_config):
    cfg = load_config(FOLDER + name)
    model = build(cfg)
    size = re.search(r'vit-([blh])', name).group(1)
    backbone = model.backbone
    assert (backbone.num_layers, backbone.embed_dims, backbone.patch_size) == dict(
        b=(12, 768, 16), l=(24, 1024, 16), h=(32, 1280, 14)
    )[size]
    assert backbone.positions == 'rope-2d'
    assert all(block.drop_path.drop_prob == 0 for block in backbone.blocks)
    if name.startswith('darl-diff'):
        assert (model.noise.a, model.noise.b, model.prediction) == (0.03, 1.0, 'x0')
        assert len(model.patch_decoder.blocks) == 1
        assert not model.patch_decoder.condition_on_gamma
    else:
        assert model.noise is None
        # A linear layer and nothing else.
        assert sum(p.numel() for p in model.patch_decoder.parameters()) == (
            (backbone.embed_dims + 1) * 3 * backbone.patch_size**2
        )


@pytest.mark.parametrize(
    ('base', 'suffix', 'says'), ABLATIONS, ids=[suffix + base[5:8] for base, suffix, _ in ABLATIONS]
)
def test_an_ablation_differs_in_what_it_says_alone(base, suffix, says, load_config):
    changed = load_config(FOLDER + ablation(base, suffix))
    assert differences(load_config(FOLDER + base), changed) == says
    build(changed, num_layers=1)


def test_there_is_no_other_ablation(repository):
    names = {path.stem for path in (repository / 'configs' / FOLDER).glob('*24px.py')}
    names |= {path.stem for path in (repository / 'configs' / FOLDER).glob('*56px.py')}
    others = {AT_256, *RECIPES, *(ablation(base, suffix) for base, suffix, _ in ABLATIONS)}
    others |= {
        PRETRAINING.format(f'mse_vit-{size}_normalized-pixels', 800, 224) for size in ('b', 'h')
    }
    assert names == others


def test_every_order_fills_its_grid(load_config):
    for base, suffix, says in ABLATIONS:
        if base == AT_256:
            backbone = load_config(FOLDER + ablation(base, suffix)).model.backbone
            side = backbone.img_size // 16
            order = patch_order((side, side), says['model.backbone.order'], backbone.block_size)
            assert order.sort().values.tolist() == list(range(256))


def test_the_generating_model_is_appendix_fs(load_config):
    cfg = load_config(
        FOLDER + 'darl-diff_vit-l-p8_transformer-8-gamma_64xb64-amp-coslr-800e_in1k-64px'
    )
    model = build(cfg, num_layers=1)
    assert (model.backbone.grid, cfg.model.backbone.arch) == ((8, 8), 'large')
    assert (len(model.patch_decoder.blocks), model.patch_decoder.condition_on_gamma) == (8, True)
    assert (model.noise.a, model.noise.b, model.prediction) == (1.0, 1.0, 'x0')
    assert cfg.train_cfg.max_epochs == 800
    assert cfg.train_dataloader.dataset.pipeline[1].scale == 64


def test_weight_decay_is_maes(load_config):
    cfg = load_config(FOLDER + DIFF)
    model = build(cfg, num_layers=1)
    # Autocasting wrappers refuse to be built without a GPU.
    wrapper = dict(cfg.optim_wrapper, type='OptimWrapper')
    wrapper.pop('dtype')
    groups = build_optim_wrapper(model, wrapper).optimizer.param_groups
    decays = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    for name, parameter in model.named_parameters():
        assert decays[id(parameter)] == (0.05 if parameter.ndim > 1 else 0.0), name


def test_parameters_in_the_readmes_are_counted(repository, load_config):
    counts: dict[str, str] = {}
    for folder, rows_expected in ((FOLDER, 11), ('cls/darl/', 9)):
        readme = (repository / 'configs' / folder / 'README.md').read_text()
        rows = re.findall(
            r'\]\((\S+)\.py\) \| [^|]+ \| \d+ \| (\d+\.\d) \| (?:\d\d\.\d )?\|', readme
        )
        assert len(rows) == rows_expected
        for name, millions in rows:
            cfg = load_config(folder + name)
            cfg.model.backbone.pop('init_cfg', None)
            if str(cfg.model) not in counts:
                parameters = build(cfg).parameters()
                counts[str(cfg.model)] = f'{sum(p.numel() for p in parameters) / 1e6:.1f}'
            assert counts[str(cfg.model)] == millions
