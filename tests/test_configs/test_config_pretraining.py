"""ADDP's pre-training configs against the paper's tables, typed here."""

import os
import re
from pathlib import Path

import pytest
import torch
from config_tools import differences
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmaddp.engine.runs import train

VIT_B = 'pretrain/addp/addp_vit-b_64xb64-amp-coslr-1600e_in1k-256px'
VIT_L = 'pretrain/addp/addp_vit-l_64xb64-amp-coslr-800e_in1k-256px'
RESNET = 'pretrain/addp/addp_resnet50_32xb64-amp-coslr-300e_in1k-256px'
OWN = 'pretrain/addp/addp_vit-b_64xb64-amp-coslr-1600e_image-folder-256px'
OWN_MAGE = 'pretrain/mage/mage_vit-b_64xb64-amp-coslr-1600e_image-folder-256px'
ABLATION = 'pretrain/addp/addp_vit-b_64xb64-amp-coslr-150e_in1k-256px'
TOY = 'pretrain/addp/addp_vit-toy_1xb64-3000i_image-folder-64px'

# Table 14; ViTs' learning rate is the released base of 1e-4 times images a step / 256.
TABLE_14 = {
    VIT_B: dict(lr=1.6e-3, images=4096, betas=(0.9, 0.95), epochs=1600, warmup=40),
    VIT_L: dict(lr=1.6e-3, images=4096, betas=(0.9, 0.95), epochs=800, warmup=40),
    RESNET: dict(lr=1.5e-3, images=2048, betas=(0.9, 0.98), epochs=300, warmup=10),
    ABLATION: dict(lr=1.6e-3, images=4096, betas=(0.9, 0.95), epochs=150, warmup=40),
}
# Tables 3 to 6, and the depth of the decoder.
ABLATIONS = {
    'condition-zt': {'model.condition': 'z_t'},
    'mapping-sampling': {'model.mapping': 'Sampling'},
    'mapping-argmax': {'model.mapping': 'ArgMax'},
    'tokens-everywhere': {'model.token_input': 'encoder+decoder'},
    'tokens-nowhere': {'model.token_input': 'none'},
    'target-delta': {'model.target': 'delta'},
    'target-q-delta': {'model.target': 'q+delta'},
    'target-delta-mask-50': {'model.target': 'delta', 'model.mask_schedule.fixed_ratio': 0.5},
    'decoder-depth-2': {'model.decoder.num_layers': 2},
    'decoder-depth-4': {'model.decoder.num_layers': 4},
}
# Millions of parameters that generate, beside the encoder: tables 2, 7 and 8.
GENERATING = {VIT_B: 90, VIT_L: 135, RESNET: 90}


def build(cfg: Config) -> nn.Module:
    init_default_scope(cfg.default_scope)
    # MMPretrain's ResNet needs values to compute its stochastic depth.
    device = 'cpu' if cfg.model.encoder.type == 'ResNet' else 'meta'
    with torch.device(device):
        return MODELS.build(cfg.model)


def millions(*modules: nn.Module) -> float:
    return sum(p.numel() for module in modules for p in module.parameters()) / 1e6


@pytest.mark.parametrize('name', TABLE_14)
def test_pretraining_follows_table_14(name, load_config):
    cfg, recipe = load_config(name), TABLE_14[name]
    gpus, batch_size = map(int, re.search(r'_(\d+)xb(\d+)-', name).groups())
    assert cfg.train_dataloader.batch_size == batch_size
    assert gpus * batch_size == cfg.auto_scale_lr.base_batch_size == recipe['images']
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.weight_decay) == ('AdamW', 0.05)
    assert optimizer.lr == pytest.approx(recipe['lr'])
    assert tuple(optimizer.betas) == recipe['betas']
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=3.0)
    warmup, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == recipe['epochs']
    assert warmup.end == cosine.begin == recipe['warmup']
    assert cosine.eta_min == 0
    assert all(scheduler.convert_to_iter_based for scheduler in (warmup, cosine))
    assert cfg.model.label_smoothing == 0.1


@pytest.mark.parametrize('name', [VIT_B, TOY])
def test_crops_are_bicubic_and_flipped(name, load_config):
    crop, flip = load_config(name).train_dataloader.dataset.pipeline[1:-1]
    assert (crop.type, flip.type, flip.prob) == ('RandomResizedCrop', 'RandomFlip', 0.5)
    assert crop.crop_ratio_range == (0.2, 1.0)
    assert (crop.backend, crop.interpolation) == ('pillow', 'bicubic')
    assert crop.scale == (256 if name == VIT_B else 64)


@pytest.mark.parametrize('ablation', ABLATIONS)
def test_an_ablation_differs_in_what_it_says_alone(ablation, load_config, load_variant):
    changed = load_variant('addp_tables-3-6', ablation)
    assert differences(load_config(ABLATION), changed) == ABLATIONS[ablation]
    build(changed)


def test_there_is_no_other_ablation(repository):
    grid = Config.fromfile(repository / 'configs/grids/addp_tables-3-6.py')
    assert set(grid.variants) == set(ABLATIONS)


@pytest.mark.parametrize('name', GENERATING)
def test_models_have_the_papers_sizes(name, load_config):
    cfg = load_config(name)
    model = build(cfg)
    encoder = {'base': 86, 'large': 304}.get(cfg.model.encoder.get('arch'), 24)
    assert millions(model.encoder) == pytest.approx(encoder, abs=1)
    tokenizer = model.tokenizer
    decoding = millions(model.decoder, tokenizer.decoder, tokenizer.quantize)
    assert decoding == pytest.approx(GENERATING[name], abs=1.5)
    predictor = cfg.model.token_predictor
    size = 'large' if name == VIT_L else 'base'
    assert predictor.encoder == size
    assert predictor.init_cfg.checkpoint == f'checkpoints/mage-vit{size[0]}-1600.pth'
    if 'arch' in cfg.model.encoder:
        assert model.encoder.embed_drop.p == 0.1
        assert len(model.decoder.blocks) == 8


@pytest.mark.parametrize('name', GENERATING)
def test_dropout_and_heads_are_the_released_code_s(name, load_config):
    """Table 14's dropout is in every block; all decoders have 16 heads, MAGE's too."""
    model = build(load_config(name))
    encoder = getattr(model.encoder, 'blocks', [])
    assert len(encoder) == {VIT_B: 12, VIT_L: 24, RESNET: 0}[name]
    for block in (*encoder, *model.decoder.blocks):
        rates = block.attn.drop_rate, *(m.p for m in block.modules() if type(m) is nn.Dropout)
        assert rates == (0.1,) * 4
    # main_pretrain.py, line 217: BatchNorm is synchronized.
    norms = [m for m in model.encoder.modules() if isinstance(m, _BatchNorm)]
    assert len(norms) == (53 if name == RESNET else 0)
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    # token_predictor.py, lines 180 and 190; in the blocks, the attention's is a number.
    predictor = model.token_predictor
    assert {m.p for m in predictor.modules() if type(m) is nn.Dropout} == {0.1}
    assert {m.attn.drop_rate for m in (*predictor.blocks, *predictor.decoder_blocks)} == {0.1}
    for decoder in (model.decoder.blocks, model.token_predictor.decoder_blocks):
        assert [block.attn.num_heads for block in decoder] == [16] * 8


def test_parameters_in_the_readme_are_counted(repository, load_config):
    readme = (repository / 'configs/pretrain/addp/README.md').read_text()
    rows = re.findall(r'\]\((\S+)\.py\) \| [^|]+ \| (?:\d* )?\| (\d+\.\d) \| (\d+\.\d) \|', readme)
    assert len(rows) >= 4
    for name, trained, frozen in rows:
        model = build(load_config(f'pretrain/addp/{name}'))
        parts = millions(model.tokenizer, model.token_predictor)
        assert f'{millions(model) - parts:.1f}' == trained
        assert f'{parts:.1f}' == frozen


@pytest.mark.parametrize('name', [VIT_B, RESNET])
def test_the_optimizer_has_what_is_trained_and_decays_as_maes(name, load_config):
    cfg = load_config(name)
    model = build(cfg)
    # Autocasting wrappers refuse to be built without a GPU.
    wrapper = dict(cfg.optim_wrapper, type='OptimWrapper')
    wrapper.pop('dtype')
    groups = build_optim_wrapper(model, wrapper).optimizer.param_groups
    decays = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    found = {n: decays.get(id(p)) for n, p in model.named_parameters()}
    frozen = {n for n, decay in found.items() if decay is None}
    assert frozen == {n for n in found if n.startswith(('tokenizer.', 'token_predictor.'))}
    norms = (nn.LayerNorm, nn.SyncBatchNorm)
    exempt = {
        f'{module_name}.{parameter_name}'
        for module_name, module in model.named_modules()
        for parameter_name, _ in module.named_parameters(recurse=False)
        if isinstance(module, norms) or parameter_name == 'bias'
    }
    assert {n for n, decay in found.items() if decay == 0} == exempt - frozen
    assert {decay for n, decay in found.items() if n not in frozen | exempt} == {0.05}
    assert found['decoder.pixel_pos_embed'] == found['decoder.token_embed.weight'] == 0.05


@pytest.mark.parametrize('own', [OWN, OWN_MAGE])
def test_ones_own_images_at_full_size_are_all_that_differs(own, repository, monkeypatch):
    files = dict(IMAGE_DIR='/images', TOKENIZER='/t.pth', TOKEN_PREDICTOR='/p.pth')
    for name, value in files.items():
        monkeypatch.setenv(name, value)
    names = own, own.replace('image-folder', 'in1k')
    paths = [repository / f'configs/{name}.py' for name in names]
    cfg, imagenets = map(Config.fromfile, paths)
    dataset = cfg.train_dataloader.pop('dataset')
    assert dataset.pipeline == imagenets.train_dataloader.pop('dataset').pipeline
    assert (dataset.type, dataset.data_root, dataset.with_label) == (
        'mmaddp.ImageFolder',
        files['IMAGE_DIR'],
        False,
    )
    assert cfg.to_dict() == imagenets.to_dict()
    assert cfg.model.tokenizer.init_cfg.checkpoint == files['TOKENIZER']
    if own == OWN:
        assert cfg.model.token_predictor.init_cfg.checkpoint == files['TOKEN_PREDICTOR']


def test_the_toy_parts_are_those_that_the_other_toy_configs_train(load_config):
    model = load_config(TOY).model
    sources = {
        'tokenizer': 'pretrain/vqgan/vqgan-toy_1xb16-3000i_image-folder-64px',
        'token_predictor': 'pretrain/mage/mage-toy_1xb64-3000i_image-folder-64px',
    }
    for part, source in sources.items():
        trained = load_config(source).model[part]
        free = ('init_cfg', 'drop_rate')
        sizes = ({k: v for k, v in one.items() if k not in free} for one in (model[part], trained))
        assert next(sizes) == next(sizes), part


def test_the_toy_config_trains_on_ones_own_images(repository, shared, tmp_path, monkeypatch):
    monkeypatch.setenv('IMAGE_DIR', str(shared / 'data/imagenet_samples'))
    monkeypatch.setenv('TOKENIZER', '/parts/tokenizer.pth')
    monkeypatch.setenv('TOKEN_PREDICTOR', '/parts/predictor.pth')
    cfg = Config.fromfile(repository / 'configs' / f'{TOY}.py')
    for part in ('tokenizer', 'token_predictor'):
        assert cfg.model[part].init_cfg.checkpoint == f'/parts/{part.split("_")[-1]}.pth'
        cfg.model[part].init_cfg = dict(type='Xavier', layer=['Conv2d', 'Linear'])
    cfg.work_dir = str(tmp_path)
    cfg.train_dataloader.update(batch_size=2, num_workers=0)
    cfg.train_cfg.max_iters = 2
    cfg.default_hooks.logger.interval = 1
    runner = train(cfg)
    images = runner.train_dataloader.dataset
    assert len(images) == sum(len(files) for *_, files in os.walk(shared / 'data/imagenet_samples'))
    first, _ = runner.message_hub.log_scalars['train/loss'].data[0]
    # 1024 codes, 1000 classes and the mask, of which nothing is known yet.
    assert first == pytest.approx(torch.tensor(2025.0).log().item(), rel=0.2)
    assert Path(tmp_path, 'iter_2.pth').is_file()
