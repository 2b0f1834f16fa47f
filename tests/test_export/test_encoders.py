"""Encoders in the layouts of timm and transformers compute there what they compute here."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from mmaddp.apis import export_encoder
from mmaddp.export.encoders import write_encoder
from mmaddp.models import ADDPViT, DARLViT
from mmaddp.models.pixel_values import NORMALIZED_IMAGES
from mmaddp.utils import UserError

TINY = dict(embed_dims=16, num_layers=2, num_heads=2, mlp_ratio=2)
PIXELS = {'mean': NORMALIZED_IMAGES['mean'], 'std': NORMALIZED_IMAGES['std']}
# ADDP's pre-training has a norm of the embeddings, MAE's has none, their transfer has neither norm.
ADDP, MAE = dict(), dict(embed_norm=False)
TRANSFER = dict(embed_norm=False, final_norm=False)


def vit(**settings):
    """An encoder with every tensor different from its initial value."""
    torch.manual_seed(0)
    encoder = ADDPViT(TINY, img_size=48, **settings).eval()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    return encoder


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.randn(2, 3, 48, 48)


@torch.no_grad()
def tokens_of(encoder, images):
    """Tokens in front of the blocks, after each of them, and after the final norm."""
    embedded, grid = encoder.embed(images)
    blocks = list(encoder.block_outputs(embedded, grid))
    return [embedded, *blocks], encoder.norm(blocks[-1])


@pytest.mark.parametrize(
    'settings',
    [
        ADDP,
        MAE,
        TRANSFER,
        dict(MAE, with_cls_token=False),
        dict(num_registers=2, layer_scale_init_value=1e-5),
    ],
    ids=['addp', 'mae', 'transfer', 'patches alone', 'dinov2'],
)
@torch.no_grad()
def test_timm_computes_the_same(tmp_path, images, settings):
    encoder = vit(**settings)
    write_encoder(encoder, tmp_path, 'timm', PIXELS)
    model = timm.create_model(f'local-dir:{tmp_path}', pretrained=True).eval()
    _, last = tokens_of(encoder, images)
    torch.testing.assert_close(model.forward_features(images), last, atol=1e-5, rtol=1e-5)
    assert model.pretrained_cfg['mean'] == [pytest.approx(v / 255) for v in PIXELS['mean']]
    # Also by its name alone, as older code loads files.
    config = write_encoder(encoder, tmp_path, 'timm', PIXELS).config
    other = timm.create_model(
        config['architecture'],
        num_classes=0,
        checkpoint_path=str(tmp_path / 'model.safetensors'),
        **config['model_args'],
    ).eval()
    torch.testing.assert_close(other.forward_features(images), last, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('settings', [ADDP, MAE, TRANSFER], ids=['addp', 'mae', 'transfer'])
@torch.no_grad()
def test_transformers_computes_the_same(tmp_path, images, settings):
    transformers = pytest.importorskip('transformers')
    encoder = vit(**settings)
    note = write_encoder(encoder, tmp_path, 'transformers', PIXELS).note
    model, loading = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    # ViTModel's pooler is nothing that an encoder has.
    assert all('pooler' in name for name in loading['missing_keys'])
    assert not loading['unexpected_keys']
    result = model.eval()(images, output_hidden_states=True)
    tokens, last = tokens_of(encoder, images)
    for theirs, ours in zip(result.hidden_states, tokens):
        torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)
    if settings == MAE:
        torch.testing.assert_close(result.last_hidden_state, last, atol=1e-5, rtol=1e-5)
        assert not note
    elif settings == ADDP:
        normed = model.post_layernorm(result.last_hidden_state)
        torch.testing.assert_close(normed, last, atol=1e-5, rtol=1e-5)
        assert 'post_layernorm' in note
    else:
        assert 'hidden_states[-1]' in note


@pytest.mark.parametrize(
    ('encoder', 'format', 'message'),
    [
        (lambda: DARLViT(TINY, img_size=32), 'timm', 'start token and rotary positions'),
        (
            lambda: vit(with_cls_token=False, use_rel_pos=True, window_size=2),
            'timm',
            'attention windows',
        ),
        (lambda: vit(with_cls_token=False, use_rel_pos=True), 'timm', 'relative positions'),
        (lambda: vit(with_cls_token=False), 'transformers', 'encoder without class token'),
        (lambda: vit(num_registers=1), 'transformers', 'register tokens'),
    ],
)
def test_what_a_layout_lacks_is_named(tmp_path, encoder, format, message):
    with pytest.raises(UserError, match=f"{format}'s layout of plain ViTs has no {message}"):
        write_encoder(encoder(), tmp_path, format, PIXELS)
    assert not any(tmp_path.iterdir())


def test_the_encoder_of_a_config_is_exported(tmp_path, repository, images):
    encoder = vit(**TRANSFER)
    torch.save({'state_dict': encoder.state_dict()}, tmp_path / 'encoder.pth')
    from mmaddp.apis import load_config

    options = {
        'model.backbone.arch': dict(_delete_=True, **TINY),
        'model.backbone.img_size': 48,
        'model.backbone.patch_size': 16,
        'model.backbone.init_cfg': None,
    }
    name = 'cls/addp/addp_vit-toy_1xb64-20e_cifar10-64px.py'
    config = load_config(repository / 'configs' / name, options)
    files = export_encoder(config, tmp_path / 'encoder.pth', tmp_path / 'out')
    model = timm.create_model(f'local-dir:{tmp_path / "out"}', pretrained=True).eval()
    with torch.no_grad():
        _, last = tokens_of(encoder, images)
        torch.testing.assert_close(model.forward_features(images), last, atol=1e-5, rtol=1e-5)
    assert files.config['pretrained_cfg']['std'][0] == pytest.approx(58.395 / 255)
