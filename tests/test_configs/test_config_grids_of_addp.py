"""What ADDP and DARL are compared with: numbers of the tables and released commands."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

# Peak learning rate, layer decay, drop path, epochs, warm-up and images a step. From scratch:
# ADDP's table 13. MAE: FINETUNE.md, base rates times 1024 / 256. MAGE: README.md, the same.
FINE_TUNING = {
    'scratch-pixels': (1.6e-3, 1.0, 0.1, 300, 20, 4096),
    'scratch-tokens': (1.6e-3, 1.0, 0.1, 300, 20, 4096),
    'mae-vit-b': (5e-4 * 4, 0.65, 0.1, 100, 5, 1024),
    'mae-vit-l': (1e-3 * 4, 0.75, 0.2, 50, 5, 1024),
    'mae-vit-h': (1e-3 * 4, 0.75, 0.3, 50, 5, 1024),
    'mage-vit-b': (2.5e-4 * 4, 0.65, 0.1, 100, 5, 1024),
    'mage-vit-l': (2.5e-4 * 4, 0.75, 0.2, 50, 5, 1024),
}
# Millions of parameters of the encoders, ADDP's tables 1, 2 and 7: B, L, H.
SIZES = dict(b=86, l=304, h=632)


def build(cfg):
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def trained(backbone) -> float:
    """Millions of parameters that learn, without the table of vocabulary entries."""
    names = [n for n, p in backbone.named_parameters() if p.requires_grad and 'word' not in n]
    return sum(backbone.get_parameter(name).numel() for name in names) / 1e6


@pytest.mark.parametrize('variant', FINE_TUNING)
def test_fine_tuning(variant, load_variant):
    cfg = load_variant('addp_cls', variant)
    lr, layer_decay, drop_path, epochs, warmup, images = FINE_TUNING[variant]
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer.lr == pytest.approx(lr)
    assert wrapper.paramwise_cfg.layer_decay_rate == layer_decay
    first, cosine = cfg.param_scheduler
    assert (first.end, cosine.begin, cosine.end) == (warmup, warmup, epochs)
    assert cfg.train_cfg.max_epochs == epochs
    assert cosine.eta_min_ratio * lr == pytest.approx(1e-6)
    accumulated = wrapper.get('accumulative_counts', 1)
    assert 8 * cfg.train_dataloader.batch_size * accumulated == images
    assert cfg.auto_scale_lr.base_batch_size == images
    scratch = variant.startswith('scratch')
    betas, decay = ((0.9, 0.95), 0.3) if scratch else ((0.9, 0.999), 0.05)
    assert (tuple(wrapper.optimizer.betas), wrapper.optimizer.weight_decay) == (betas, decay)
    backbone = cfg.model.backbone
    assert backbone.drop_path_rate == drop_path
    assert (backbone.init_cfg is None) == scratch
    tokens = variant in ('scratch-tokens', 'mage-vit-b', 'mage-vit-l')
    assert backbone.type == f'mmaddp.{"MAGEViT" if tokens else "ADDPViT"}'
    assert cfg.model.data_preprocessor.std == ([255] * 3 if tokens else [58.395, 57.12, 57.375])
    crop, *_, erasing, _ = cfg.train_dataloader.dataset.pipeline[1:]
    resize, center = cfg.test_dataloader.dataset.pipeline[1:3]
    if variant.startswith('mae'):
        assert (crop.scale, resize.scale, center.crop_size) == (224, 256, 224)
    if variant.startswith('mage'):  # util/datasets.py and the command's --reprob 0
        assert (crop.scale, resize.scale, center.crop_size) == (256, 292, 256)
        assert (crop.crop_ratio_range, erasing.erase_prob) == ((0.2, 1.0), 0)
    size = SIZES[variant[-1] if variant[-2] == '-' else 'b']
    assert trained(build(cfg).backbone) == pytest.approx(size, abs=2)


@pytest.mark.parametrize(('variant', 'lr', 'layers'), [('vit-b', 1.6, 12), ('vit-l', 0.8, 24)])
def test_linear_probe_of_mage(variant, lr, layers, load_variant):
    """README.md of the authors: base rates of 0.1 and 0.05 for 32 GPUs of 128 images."""
    cfg = load_variant('addp_linear', f'mage-{variant}')
    assert cfg.optim_wrapper.optimizer.lr == lr
    assert 16 * cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 32 * 128
    crop = cfg.train_dataloader.dataset.pipeline[1]
    assert (crop.scale, crop.crop_ratio_range) == (256, (0.2, 1.0))
    resize, center = cfg.val_dataloader.dataset.pipeline[1:3]
    assert (resize.scale, center.crop_size) == (292, 256)
    model = build(cfg)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        'head.fc.weight',
        'head.fc.bias',
    }
    assert len(model.backbone.blocks) == layers


def test_a_probe_of_mage_gives_losses(load_variant):
    """LayerNorm and BatchNorm behind the pooled tokens, at toy size."""
    cfg = load_variant('addp_linear', 'mage-vit-b')
    sizes = dict(embed_dims=16, num_layers=2, num_heads=2)
    cfg.model.backbone.update(arch=sizes, img_size=32, frozen_stages=2)
    cfg.model.backbone.pop('init_cfg')
    cfg.model.backbone.tokenizer = dict(
        type='mmaddp.VQGAN', base_channels=8, embed_dims=8, num_embeddings=32, norm_groups=2
    )
    cfg.model.neck[0].in_channels = cfg.model.neck[1].input_features = 16
    cfg.model.head.in_channels = 16
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    (pooled,) = model.extract_feat(torch.rand(4, 3, 32, 32))
    torch.testing.assert_close(pooled.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(pooled.var(0, unbiased=False), torch.ones(16), atol=0.05, rtol=0)


@pytest.mark.parametrize('variant', ['mage-vit-b', 'mage-vit-l', 'tokens_256px', 'pixels_1024px'])
def test_detection(variant, load_variant):
    cfg = load_variant('addp_coco', variant)
    side = 256 if '256px' in variant else 1024
    assert cfg.model.backbone.img_size == cfg.model.data_preprocessor.pad_size_divisor == side
    resize, crop = cfg.train_dataloader.dataset.pipeline[3:5]
    assert tuple(resize.scale) == tuple(crop.crop_size) == (side, side)
    assert tuple(cfg.test_dataloader.dataset.pipeline[1].scale) == (side, side)
    # Appendix D.1: 25 of ViTDet's 100 epochs.
    assert cfg.train_cfg.max_iters == (184375 if 'mage' in variant else 46094)
    layers = 24 if variant == 'mage-vit-l' else 12
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == (0.8 if layers == 24 else 0.7)
    model = build(cfg)
    assert len(model.backbone.blocks) == layers
    positions = [block.attn.rel_pos_h.shape[0] for block in model.backbone.blocks]
    assert sorted(set(positions)) == [2 * 14 - 1, 2 * side // 16 - 1]


@pytest.mark.parametrize('variant', ['mage-vit-b', 'mage-vit-l', 'pixels_256px', 'tokens_256px'])
def test_segmentation(variant, load_variant):
    cfg = load_variant('addp_ade20k', variant)
    side = 256 if '256px' in variant else 512
    assert cfg.model.backbone.img_size == side
    assert tuple(cfg.train_dataloader.dataset.pipeline[3].crop_size) == (side, side)
    assert tuple(cfg.model.test_cfg.crop_size) == (side, side)
    width = 1024 if variant == 'mage-vit-l' else 768
    model = build(cfg)
    assert model.backbone.embed_dims == width
    assert model.decode_head.in_channels == 4 * [width]


@pytest.mark.parametrize(('variant', 'kind'), [('mae', 'ADDPViT'), ('supervised', 'DARLViT')])
def test_darls_table_6(variant, kind, load_variant):
    """Table 11: 5e-5 and 0.8 for MAE and the supervised encoder."""
    cfg = load_variant('darl_table-6', variant)
    assert cfg.optim_wrapper.optimizer.lr == 5e-5
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.8
    assert cfg.train_cfg.max_iters == 73920
    backbone = cfg.model.backbone
    assert type(build(cfg).backbone).__name__ == kind
    assert kind == 'ADDPViT' or backbone.init_cfg.checkpoint.endswith('epoch_200.pth')
    assert backbone.init_cfg.type == 'Pretrained'


def test_darls_figure_8_has_vit_h(load_variant):
    encoder = load_variant('darl-diff_figure-8', 'vit-h').model.encoder
    assert (encoder.init_cfg.type, encoder.patch_size) == ('Pretrained', 14)
    assert 'vit-h' in encoder.init_cfg.checkpoint
