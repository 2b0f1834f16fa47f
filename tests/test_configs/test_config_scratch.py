"""Configs of tokenizers and token predictors from scratch, against the authors' numbers."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from tiny_runs import write_images

from mmaddp.engine.runs import train

VQGAN = 'pretrain/vqgan/vqgan_8xb16-amp-500k_in1k-256px'
OWN_VQGAN = 'pretrain/vqgan/vqgan_8xb16-amp-500k_image-folder-256px'
TOY_VQGAN = 'pretrain/vqgan/vqgan-toy_1xb16-3000i_image-folder-64px'
MAGES = {
    size: f'pretrain/mage/mage_vit-{size[0]}_64xb64-amp-coslr-1600e_in1k-256px'
    for size in ('base', 'large')
}
TOY_MAGE = 'pretrain/mage/mage-toy_1xb64-3000i_image-folder-64px'
TOY_ADDP = 'pretrain/addp/addp_vit-toy_1xb64-3000i_image-folder-64px'


def build(cfg: Config) -> torch.nn.Module:
    init_default_scope(cfg.default_scope)
    cfg.model.pop('perceptual', None)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', [VQGAN, OWN_VQGAN])
def test_vqgan_follows_its_code(name, load_config):
    cfg = load_config(name)
    assert (cfg.model.commitment, cfg.model.adversarial_weight) == (0.25, 0.8)
    assert cfg.model.discriminator.base_channels == 64
    for part in ('tokenizer', 'discriminator'):
        assert cfg.optim_wrapper[part].optimizer.betas == (0.5, 0.9)
    assert cfg.train_dataloader.dataset.pipeline[1].scale == 256
    # pix2pix prints 2.769M for patches of 70 x 70 pixels of pairs of images, 6 channels.
    parameters = sum(p.numel() for p in build(cfg).discriminator.parameters())
    assert parameters == 2_768_705 - 3 * 64 * 4 * 4


@pytest.mark.parametrize('size', MAGES)
def test_mage_follows_its_command(size, load_config):
    cfg = load_config(MAGES[size])
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.lr == pytest.approx(1.5e-4 * 4096 / 256)
    assert (optimizer.betas, optimizer.weight_decay) == ((0.9, 0.95), 0.05)
    assert cfg.optim_wrapper.clip_grad.max_norm == 3.0
    assert [(s.begin, s.end) for s in cfg.param_scheduler] == [(0, 40), (40, 1600)]
    assert cfg.model.token_predictor.decoder.num_heads == 16
    assert cfg.model.token_predictor.drop_rate == 0.1
    model = build(cfg)
    assert (model.mean, model.std, model.min_ratio) == (0.55, 0.25, 0.5)
    assert model.label_smoothing == 0.1


@pytest.mark.parametrize('folder', ['vqgan', 'mage'])
def test_parameters_in_the_readme_are_counted(folder, repository, load_config):
    readme = (repository / f'configs/pretrain/{folder}/README.md').read_text()
    rows = re.findall(r'\| \[[^]]+\]\(([^)]+)\.py\).*?\| (\d+\.\d) \|', readme)
    assert len(rows) == len(list((repository / f'configs/pretrain/{folder}').glob('*.py')))
    for name, millions in rows:
        model = build(load_config(f'pretrain/{folder}/{name}'))
        part = model.token_predictor if folder == 'mage' else model.tokenizer
        assert f'{sum(p.numel() for p in part.parameters()) / 1e6:.1f}' == millions


@pytest.mark.parametrize('name', [*MAGES.values(), TOY_MAGE, TOY_ADDP])
def test_the_loss_is_logged_by_mask_ratio(name, load_config):
    cfg = load_config(name)
    drawing = [dict(type='mmaddp.VisualizationHook', interval=500)]
    assert cfg.custom_hooks == [
        dict(type='mmaddp.LossByMaskRatioHook'),
        *(drawing if name == TOY_ADDP else []),
    ]
    assert 'TensorboardVisBackend' in [backend.type for backend in cfg.visualizer.vis_backends]


@pytest.mark.generations
def test_each_toy_training_goes_on_from_the_one_before(repository, tmp_path, monkeypatch):
    """Tokenizer, token predictor and ADDP, from a folder of images alone."""
    monkeypatch.setenv('IMAGE_DIR', str(write_images(tmp_path / 'images', per_class=1)))

    def trained(name, variable):
        cfg = Config.fromfile(repository / 'configs' / f'{name}.py')
        cfg.work_dir = str(tmp_path / variable)
        cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
        cfg.train_cfg.max_iters = 2
        cfg.custom_hooks = []
        runner = train(cfg)
        monkeypatch.setenv(variable, f'{cfg.work_dir}/iter_2.pth')
        return runner.model.state_dict() | getattr(runner.model, 'frozen_state', dict)()

    tokenizer = trained(TOY_VQGAN, 'TOKENIZER')
    predictor = trained(TOY_MAGE, 'TOKEN_PREDICTOR')
    both = trained(TOY_ADDP, 'ADDP')
    for before, after, part in (
        (tokenizer, predictor, 'tokenizer.'),
        (tokenizer, both, 'tokenizer.'),
        (predictor, both, 'token_predictor.'),
    ):
        names = {n for n in after if n.startswith(part)}
        assert names == {n for n in before if n.startswith(part)}
        assert all(torch.equal(before[n], after[n]) for n in names)
