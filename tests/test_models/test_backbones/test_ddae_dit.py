"""The latent diffusion transformer against the authors' outputs, and as a backbone."""

import copy
import importlib.util
import math
from functools import partial

import numpy as np
import pytest
import torch
from timm.layers import build_sincos2d_pos_embed
from torch import nn

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.models import DDAEDiT
from mmaddp.registry import MODELS

TINY = dict(embed_dims=32, num_layers=3, num_heads=2, input_size=8, num_classes=5)


def build(seed=0, **settings):
    """A tiny network, none of whose weights is a constant."""
    torch.manual_seed(seed)
    model = DDAEDiT(**{**TINY, **settings})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


def latents(*size, seed=1):
    return torch.randn(*(size or (2, 4, 8, 8)), generator=torch.Generator().manual_seed(seed))


class Means(nn.Module):
    """An autoencoder to count with: means of 4 x 4 pixels, and a fourth channel of ones."""

    stride = 4

    def encode(self, images):
        assert not torch.tensor(images.shape[2:]).remainder(self.stride).any()
        pooled = nn.functional.avg_pool2d(images, self.stride)
        return torch.cat([pooled, torch.ones_like(pooled[:, :1])], dim=1)


@pytest.fixture
def means(monkeypatch):
    monkeypatch.setitem(MODELS._module_dict, 'Means', Means)
    return dict(type='Means')


@pytest.fixture
def authors(shared, reference_layout):
    golden = np.load(shared / 'reference/golden/dit_tiny.npz')
    settings = dict(embed_dims=96, num_layers=4, num_heads=4, input_size=16, num_classes=10)
    weights = convert_checkpoint(reference_layout('dit-tiny'), 'dit')
    inputs = [torch.from_numpy(golden[name]) for name in 'xty']
    return golden, settings, weights, inputs


def assert_close(ours, golden):
    torch.testing.assert_close(ours, torch.from_numpy(golden), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_it_computes_what_the_authors_code_computes(authors):
    golden, settings, weights, inputs = authors
    model = DDAEDiT(**settings).eval()
    model.load_state_dict(weights, strict=True)
    assert_close(model.predict(*inputs), golden['out'])
    assert_close(model.predict(*inputs)[:, :4], golden['out'][:, :4])
    features = model.block_features(*inputs)
    assert list(features) == [f'layer-{i}' for i in range(4)]
    for name, feature in features.items():
        assert_close(feature, golden[f'act_{name}'])


@torch.no_grad()
def test_no_label_is_the_null_class(authors):
    golden, settings, weights, (x, t, y) = authors
    assert y.eq(10).all()
    model = DDAEDiT(**settings).eval()
    model.load_state_dict(weights, strict=True)
    assert_close(model.predict(x, t), golden['out'])
    assert not torch.allclose(model.predict(x, t, torch.zeros_like(y)), model.predict(x, t))


@torch.no_grad()
def test_a_truncated_encoder_gives_the_maps_of_the_whole_network(authors, tmp_path):
    golden, settings, weights, (x, _, _) = authors
    torch.save({'state_dict': weights}, tmp_path / 'dit.pth')
    model = DDAEDiT(
        **settings,
        out_blocks=('layer-0', 'layer-2'),
        time=121,
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'dit.pth')),
    )
    model.init_weights()
    maps = model.eval()(x)
    for feature, name in zip(maps, ('act_layer-0', 'act_layer-2')):
        assert feature.shape == (2, 96, 8, 8)
        assert feature.is_contiguous()
        assert_close(feature.flatten(2).transpose(1, 2), golden[name])
    expected = {name for name in weights if not name.startswith(('blocks.3.', 'head.'))}
    assert set(model.state_dict()) == expected


@pytest.mark.parametrize(
    ('arch', 'patch_size', 'millions'),
    # The released DiT-XL/2 has 675M; S, B and L are table 4 of its paper: 33, 130 and 458.
    [('small', 2, 33), ('small', 8, 33), ('base', 4, 130), ('large', 2, 458), ('xlarge', 2, 675)],
)
def test_the_sizes_are_those_of_the_paper_of_dit(arch, patch_size, millions):
    with torch.device('meta'):
        model = DDAEDiT(arch, patch_size=patch_size)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6) == millions


@pytest.mark.parametrize(('block', 'millions'), [('layer-12', 314), ('layer-13', 338)])
def test_truncated_encoders_have_the_sizes_of_tables_3_and_4(block, millions):
    with torch.device('meta'):
        model = DDAEDiT(out_blocks=(block,), time=81)
    assert round(sum(t.numel() for t in model.state_dict().values()) / 1e6) == millions


def test_the_positions_are_fixed_sines():
    model = DDAEDiT(**TINY)
    expected = build_sincos2d_pos_embed([4, 4], 32, interleave_sin_cos=True)
    # timm's rows come first; MAE's and DiT's columns.
    expected = expected.unflatten(0, (4, 4)).transpose(0, 1).flatten(0, 1)
    torch.testing.assert_close(model.pos_embed[0], expected, rtol=1e-5, atol=1e-5)
    assert 'pos_embed' not in dict(model.named_parameters())


def test_it_starts_as_the_identity_and_predicts_nothing():
    torch.manual_seed(0)
    model = DDAEDiT(**TINY)
    model.init_weights()
    x, t = latents(), torch.tensor([3, 900])
    assert not model.predict(x, t).any()
    first, last = model.forward_intermediates(x, ('layer-0', 'layer-2'), t).values()
    assert torch.equal(first, last)
    assert first.std() > 0.1


@torch.no_grad()
def test_timesteps_tell_themselves_apart_and_images_do_not_mix():
    model, x, t = build(), latents(), torch.tensor([3, 900])
    both = model.predict(x, t)
    for i in range(2):
        alone = model.predict(x[i : i + 1], t[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model.predict(x, t.flip(0)), both, atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize('patch_size', [2, 4, 8])
def test_any_size_comes_back(patch_size):
    model = build(patch_size=patch_size)
    for size in ((8, 8), (16, 8), (9, 13)):
        assert model.predict(latents(1, 4, *size), torch.tensor([5])).shape == (1, 8, *size)


def test_without_learned_variance_there_is_the_noise_alone():
    model = build(learn_sigma=False)
    x, t = latents(), torch.tensor([3, 900])
    assert model.predict(x, t).shape == x.shape


@torch.no_grad()
def test_images_go_through_the_autoencoder_and_odd_sides_are_padded(means):
    backbone = partial(build, out_blocks=('layer-0', 'layer-1'), time=121)
    model = backbone(autoencoder=means)
    images = latents(2, 3, 32, 32)
    for ours, expected in zip(model(images), backbone()(Means().encode(images))):
        assert torch.equal(ours, expected)
    # 4 pixels a position, 2 positions a patch.
    assert [tuple(m.shape) for m in model(latents(1, 3, 30, 41))] == [(1, 32, 4, 6)] * 2
    padded = nn.functional.pad(latents(1, 3, 30, 41), (0, 7, 0, 2))
    assert torch.equal(model(latents(1, 3, 30, 41))[0], model(padded)[0])


def test_every_parameter_of_a_backbone_learns_but_the_other_classes():
    model = build(out_blocks=('layer-0', 'layer-1'), time=121).train()
    sum(feature.square().mean() for feature in model(latents())).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    rows = model.condition.label.weight.grad.abs().sum(1)
    assert rows[-1] > 0
    assert not rows[:-1].any()


def test_recomputing_blocks_changes_no_gradient():
    backbone = partial(build, out_blocks=('layer-1',), time=121)
    gradients = []
    for with_cp in (False, True):
        model = backbone(with_cp=with_cp).train()
        model(latents())[0].square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, recomputed in zip(*gradients):
        torch.testing.assert_close(plain, recomputed)


def test_a_frozen_backbone_trains_nothing():
    model = build(out_blocks=('layer-1',), time=121, frozen=True)
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m.training for m in model.train().blocks[0].modules())


def test_depths_for_layer_wise_decay():
    model = build()
    depths = {name: model.get_layer_depth(name)[0] for name, _ in model.named_parameters()}
    assert depths['condition.label.weight'] == depths['patch_embed.proj.bias'] == 0
    assert depths['blocks.1.modulation.weight'] == 2
    assert depths['head.proj.weight'] == 4


def test_features_of_named_blocks_end_behind_the_last(monkeypatch):
    model, x, t = build(), latents(), torch.tensor([3, 900])
    every = model.forward_intermediates(x, time=t)
    monkeypatch.setattr(model.blocks[2], 'forward', None)
    some = model.forward_intermediates(x, ('layer-1', 'layer-0'), t)
    assert list(some) == ['layer-0', 'layer-1']
    assert all(torch.equal(some[name], every[name]) for name in some)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(arch='huge'), "arch='huge' is none of 'small', 'base', 'large', 'xlarge'"),
        (dict(input_size=9), '9 x 9 pixels: the model takes multiples of 2'),
        (dict(out_blocks=('layer-3',), time=5), 'layer-3: the network has layer-0, layer-1, lay'),
        (dict(out_blocks=(), time=5), r'layers \(none\): the network has layer-0'),
        (dict(out_blocks=('layer-1',), time=1000), r'time=1000: must be in \[0, 999\]'),
        (
            dict(out_blocks=('layer-1',), time=121, process=dict(type='EDM')),
            r'time=121: must be in \[-2, 2\]',
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)


def test_whole_and_truncated_networks_say_what_they_cannot_do():
    for incomplete in ({}, dict(out_blocks=('layer-1',))):
        with pytest.raises(ValueError, match='DDAEDiT needs a time: set time'):
            build(**incomplete)(latents())
    model = build(out_blocks=('layer-1',), time=5)
    with pytest.raises(ValueError, match='truncated behind layer-1 and cannot predict'):
        model.predict(latents(), torch.tensor([5, 5]))
    with pytest.raises(ValueError, match=r'layer-2: the network has layer-0, layer-1$'):
        model.forward_intermediates(latents(), ('layer-2',), torch.tensor([5, 5]))


def test_a_network_of_edm_takes_the_logarithm_of_sigma_and_scaled_images():
    sigma, whole = 0.06, build()
    time = math.log(sigma) / 4
    backbone = build(out_blocks=('layer-1',), time=time, process=dict(type='EDM'))
    backbone.load_state_dict(whole.state_dict(), strict=False)
    (map_,) = backbone(latents())
    # Table 1 of EDM's paper: c_in = 1 / sqrt(sigma^2 + sigma_data^2)
    scaled = latents() / math.hypot(sigma, 0.5)
    tokens = whole.block_features(scaled, torch.full((2,), time))['layer-1']
    torch.testing.assert_close(map_.flatten(2).transpose(1, 2), tokens, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(importlib.util.find_spec('diffusers') is None, reason='needs diffusers')
def test_the_autoencoder_is_no_part_of_what_a_model_is(tmp_path):
    import diffusers

    torch.manual_seed(0)
    diffusers.AutoencoderKL(block_out_channels=(32, 32), norm_num_groups=8).save_pretrained(
        tmp_path
    )
    backbone = partial(build, out_blocks=('layer-1',), time=121)
    model = backbone(autoencoder=dict(type='mmaddp.KLAutoencoder', folder=str(tmp_path)))
    images = latents(1, 3, 32, 32)
    assert model(images)[0].shape == (1, 32, 8, 8)
    assert list(model.state_dict()) == list(backbone().state_dict())
    assert len(list(model.parameters())) == len(list(backbone().parameters()))
    assert torch.equal(copy.deepcopy(model)(images)[0], model(images)[0])
