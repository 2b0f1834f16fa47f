"""DARL's pre-training configs against the paper's tables, typed here."""

import copy
import re

import pytest
import torch
from config_tools import differences
from darl_figures import PRETRAINING, TABLE_15
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmaddp.models.layers import patch_order

FOLDER = 'pretrain/darl/'
# Table 8's recipe, whatever is trained.
RECIPES = [
    PRETRAINING.format(f'{objective}_vit-{size}', epochs)
    for objective in ('mse', 'diff')
    for size, epochs in (('l', 100), ('l', 800), ('b', 800), ('h', 800))
]
MSE, DIFF = (PRETRAINING.format(f'{objective}_vit-l', 100) for objective in ('mse', 'diff'))
LONG = PRETRAINING.format('mse_vit-l', 800)
AT_256 = {'model.backbone.img_size': 256, 'train_dataloader.dataset.pipeline': 256}
LENGTH = {
    epochs: {'param_scheduler': epochs, 'train_cfg.max_epochs': epochs} for epochs in (100, 400)
}
TOKENIZER = {
    'model.tokenizer.type': 'mmaddp.VQGAN',
    'model.tokenizer.init_cfg.type': 'Pretrained',
    'model.tokenizer.init_cfg.checkpoint': 'checkpoints/vqgan_jax_strongaug.ckpt',
}
DECODER = 'model.patch_decoder.'


# Config, grid and variant, and what it says otherwise.
ABLATIONS = [
    *(
        (LONG, 'darl-mse_table-1_pretrain', kind, {'model.backbone.positions': kind, **LENGTH[400]})
        for kind in ('none', 'sincos', 'learnable', 'rope-1d', 'rope-2d')
    ),
    *((MSE, 'darl-mse_table-2', f'mlp-{n}', {f'{DECODER}num_layers': n}) for n in (1, 2, 4, 8)),
    *(
        (
            DIFF,
            'darl-diff_table-2',
            f'mlp-{n}{"-gamma" if gamma else ""}',
            {
                f'{DECODER}type': 'mmaddp.MLPPatchDecoder',
                f'{DECODER}noisy': True,
                f'{DECODER}condition_on_gamma': gamma,
                **({f'{DECODER}num_layers': n} if n != 1 else {}),
            },
        )
        for n in (1, 2, 4, 8)
        for gamma in (False, True)
    ),
    *(
        (
            DIFF,
            'darl-diff_table-2',
            f'transformer-{n}{"-gamma" if gamma else ""}',
            {
                f'{DECODER}condition_on_gamma': gamma,
                **({f'{DECODER}num_layers': n} if n != 1 else {}),
            },
        )
        for n in (0, 1, 2, 4, 8)
        for gamma in (False, True)
    ),
    (DIFF, 'darl-diff_table-2', 'prediction-epsilon', {'model.prediction': 'epsilon'}),
    *(
        (base, f'darl-{kind}_figure-5', f'p{size}', {'model.backbone.patch_size': size})
        for kind, base in (('mse', MSE), ('diff', DIFF))
        for size in (28, 32, 56)
    ),
    (MSE, 'darl-mse_table-7_pretrain', 'raster', AT_256),
    *(
        (
            MSE,
            'darl-mse_table-7_pretrain',
            f'{order}-{size}',
            {'model.backbone.order': order, 'model.backbone.block_size': size, **AT_256},
        )
        for order in ('nested-raster', 'round-robin')
        for size in (2, 4, 8)
    ),
    *(
        (
            LONG,
            'darl-mse_figure-6',
            f'two-stream{random}_{epochs}e',
            {'model.backbone.two_stream': True, **said, **LENGTH.get(epochs, {})},
        )
        for epochs in (100, 800)
        for random, said in (('', {}), ('-random', {'model.random_order': True}))
    ),
    *(
        (
            LONG,
            'darl-mse_table-14_pretrain',
            f'vit-{size}',
            {'model.target': 'normalized-pixels', **said},
        )
        for size, said in (
            ('b', {'model.backbone.arch': 'base'}),
            ('l', {}),
            ('h', {'model.backbone.arch': 'huge', 'model.backbone.patch_size': 14}),
        )
    ),
    (MSE, 'darl-mse_table-16', 'token-input', {'model.inputs': 'tokens', **TOKENIZER}),
    (MSE, 'darl-mse_table-16', 'token-target', {'model.target': 'tokens', **TOKENIZER}),
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
    ('base', 'grid', 'variant', 'says'), ABLATIONS, ids=['/'.join(a[1:3]) for a in ABLATIONS]
)
def test_an_ablation_differs_in_what_it_says_alone(
    base, grid, variant, says, load_config, load_variant
):
    changed = load_variant(grid, variant)
    found = differences(load_config(FOLDER + base), changed)
    # Lists are told apart by what the ablation is about.
    if 'param_scheduler' in found:
        found['param_scheduler'] = found['param_scheduler'][1]['end']
    if 'train_dataloader.dataset.pipeline' in found:
        found['train_dataloader.dataset.pipeline'] = changed.train_dataloader.dataset.pipeline[
            1
        ].scale
    assert found == says
    build(changed, num_layers=1)


def test_there_is_no_other_ablation(repository):
    grids = {path.stem for path in (repository / 'configs/grids').glob('darl-*.py')}
    grids -= {'darl-mse_table-3', 'darl-supervised_table-1', 'darl-diff_figure-8'}
    grids = {grid for grid in grids if not grid.endswith('_finetune')}
    assert grids == {grid for _, grid, _, _ in ABLATIONS}
    for grid in grids:
        variants = Config.fromfile(repository / f'configs/grids/{grid}.py').variants
        assert set(variants) == {v for _, g, v, _ in ABLATIONS if g == grid}


@pytest.mark.parametrize('objective', ['mse', 'diff'])
@pytest.mark.parametrize('variant', TABLE_15)
def test_table_15_adds_a_validation_to_trainings_of_table_8(
    objective, variant, load_config, load_variant
):
    base = f'{FOLDER}{PRETRAINING.format(f"{objective}_vit-l", 800)}'
    changed = load_variant('darl_table-15', variant, base)
    size, epochs = re.fullmatch(r'(vit-[lh])_(\d+)e', variant).groups()
    assert changed.work_dir == f'work_dirs/{base}/table-15/{variant}'
    for key in ('work_dir', 'val_dataloader', 'val_evaluator', 'val_cfg'):
        changed.pop(key)
    assert int(epochs) % changed.train_cfg.pop('val_interval') == 0
    if size == 'vit-h':
        same = f'{FOLDER}{PRETRAINING.format(f"{objective}_vit-h", 800)}'
        assert not differences(load_config(same), changed)
    else:
        says = differences(load_config(base), changed)
        assert set(says) == (set() if epochs == '800' else set(LENGTH[100]))
        assert changed.param_scheduler[1].end == changed.train_cfg.max_epochs == int(epochs)


def test_table_15_validates_on_whole_images(load_variant):
    config = load_variant('darl_table-15', 'vit-l_800e')
    dataset = config.val_dataloader.dataset
    assert (dataset.type, dataset.split) == ('ImageNet', 'val')
    assert [step.type for step in dataset.pipeline[1:-1]] == ['ResizeEdge', 'CenterCrop']
    assert config.val_evaluator == dict(type='mmaddp.MeanLoss')


def test_every_order_fills_its_grid(load_variant):
    for _, grid, variant, says in ABLATIONS:
        if 'model.backbone.order' in says:
            backbone = load_variant(grid, variant).model.backbone
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
    for folder, rows_expected in ((FOLDER, 9), ('cls/darl/', 8)):
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
