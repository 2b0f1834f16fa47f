"""DARL's backbone as a dense one: masks, positions, maps and bad settings."""

import pytest
import timm
import torch
from mmpretrain.models.utils import build_2d_sincos_position_embedding
from tiny_darl_vit import POSITIONS, TINY, build, each_patch_changed
from torch.nn import functional as F

from mmaddp.models import DARLViT
from mmaddp.registry import MODELS

WINDOWED = dict(with_start_token=False, window_size=3)


def forward(model, images):
    with torch.no_grad():
        return model(images)[-1].flatten(2).transpose(1, 2)


@pytest.mark.parametrize('positions', ['learnable', 'none'])
def test_under_a_full_mask_it_is_timms_vision_transformer(positions):
    ours = build(img_size=64, patch_size=16, positions=positions)
    reference = timm.models.VisionTransformer(
        img_size=64,
        patch_size=16,
        embed_dim=32,
        depth=2,
        num_heads=2,
        num_classes=0,
        pos_embed='learn' if positions == 'learnable' else 'none',
    ).eval()
    state = ours.state_dict()
    state['cls_token'] = state.pop('start_token')
    reference.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = reference.forward_features(images)[:, 1:]
    torch.testing.assert_close(forward(ours, images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('order', ['raster', 'nested-raster', 'round-robin'])
@pytest.mark.parametrize('positions', POSITIONS)
def test_a_patch_is_seen_by_itself_and_those_behind_it(order, positions):
    model = build(causal=True, order=order, block_size=2, positions=positions)
    images, changed = each_patch_changed(model)
    before, after = forward(model, images), forward(model, changed)
    sequence = model.sequence_order((4, 4))
    differs = (before - after).abs().amax(-1)[sequence][:, sequence] > 1e-4
    assert torch.equal(differs, torch.ones_like(differs).triu())


def test_without_causality_every_patch_is_seen_by_all():
    model = build(causal=False)
    images, changed = each_patch_changed(model)
    difference = forward(model, images) - forward(model, changed)
    assert (difference.abs().amax(-1) > 1e-4).all()


def test_a_full_mask_has_no_order():
    images = torch.randn(1, 3, 32, 32)
    nested = build(order='nested-raster', block_size=2)
    assert torch.equal(forward(nested, images), forward(build(), images))


@pytest.mark.parametrize('positions', POSITIONS)
def test_causal_and_full_models_differ_only_in_the_mask(positions):
    causal, full = build(causal=True, positions=positions), build(seed=1, positions=positions)
    assert list(causal.state_dict()) == list(full.state_dict())
    full.load_state_dict(causal.state_dict())
    images = torch.randn(1, 3, 32, 32)
    assert not torch.allclose(forward(full, images), forward(causal, images), atol=1e-3)
    full.causal = True
    assert torch.equal(forward(full, images), forward(causal, images))


def test_outputs_of_any_depth_are_those_of_a_shallower_model():
    arch = dict(TINY, num_layers=4)
    deep = build(arch=arch, causal=True, out_indices=(3, 0, -3), order='round-robin', block_size=2)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps = deep(images)
        assert len(maps) == 3
        for depth, found in zip((1, 2, 4), maps):
            shallow = build(
                arch=dict(arch, num_layers=depth),
                causal=True,
                order='round-robin',
                block_size=2,
                final_norm=depth == 4,
            )
            shallow.load_state_dict(deep.state_dict(), strict=False)
            assert torch.equal(found, shallow(images)[0])
            assert found.is_contiguous()


@pytest.mark.parametrize('positions', POSITIONS)
@pytest.mark.parametrize('size', [(32, 32), (48, 24), (30, 41)])
def test_any_input_size_gives_maps(positions, size):
    images = torch.randn(1, 3, *size)
    windows = dict(WINDOWED, global_attn_indexes=(1,))
    for settings in (dict(causal=True), dict(causal=False), windows):
        (found,) = build(positions=positions, **settings)(images)
        assert found.shape == (1, 32, -(-size[0] // 8), -(-size[1] // 8))


def test_partial_patches_are_padded_by_zeros():
    model, images = build(causal=True), torch.randn(1, 3, 20, 29)
    assert torch.equal(forward(model, images), forward(model, F.pad(images, (0, 3, 0, 4))))


@pytest.mark.parametrize('positions', ['rope-2d', 'rope-1d', 'none'])
def test_a_window_is_an_image_of_its_own(positions):
    settings = dict(positions=positions, with_start_token=False, pretrain_img_size=24)
    windowed, whole = build(window_size=3, **settings), build(**settings)
    images = torch.randn(1, 3, 48, 72)
    with torch.no_grad():
        (found,) = windowed(images)
        for row in range(2):
            for column in range(3):
                part = images[..., 24 * row : 24 * row + 24, 24 * column : 24 * column + 24]
                expected = found[..., 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
                torch.testing.assert_close(whole(part)[0], expected, rtol=1e-4, atol=1e-4)


def test_rotary_positions_of_a_larger_image_span_the_pre_trainings():
    model = build(pretrain_img_size=32)
    fine, coarse = (
        model.phases((side, side), model.grid).angle()[0, 1:].view(side, side, -1)
        for side in (8, 4)
    )
    pooled = F.avg_pool2d(fine.permute(2, 0, 1), 2).permute(1, 2, 0)
    # The lowest frequency of each axis does not wrap around.
    torch.testing.assert_close(pooled[..., [3, 7]], coarse[..., [3, 7]])


def test_rotary_positions_do_not_turn_the_start_token():
    for positions in ('rope-2d', 'rope-1d'):
        phases = build(positions=positions).phases((5, 3), (4, 4))
        assert phases.shape == (1, 1 + 15, 8)
        assert torch.equal(phases[0, 0], torch.ones(8, dtype=phases.dtype))


def test_sine_cosine_positions_are_maes():
    model = build(positions='sincos')
    # MMPretrain's function counts the patches column by column.
    columns_first = build_2d_sincos_position_embedding(4, 32)[0].view(4, 4, 32)
    positions = model.absolute_positions((4, 4))[0]
    torch.testing.assert_close(positions[1:].view(4, 4, 32), columns_first.transpose(0, 1))
    assert not positions[0].any()
    assert 'pos_embed' not in model.state_dict()


@pytest.mark.parametrize('causal', [False, True])
def test_checkpointing_changes_no_gradient(causal):
    gradients = []
    for with_cp in (False, True):
        model = build(with_cp=with_cp, causal=causal, two_stream=True, drop_path_rate=0.5).train()
        images = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
        torch.manual_seed(1)
        prediction = model.predict_next(*model.embed_patches(images))
        (model(images)[0].square().sum() + prediction.square().sum()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('positions', POSITIONS)
def test_half_precision_is_near_full_precision(positions):
    model, images = build(causal=True, positions=positions), torch.randn(1, 3, 32, 32)
    expected = forward(model, images)
    with torch.autocast('cpu', torch.bfloat16):
        found = forward(model, images)
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


def test_frozen_stages_hold_tokens_and_positions_too():
    model = build(positions='learnable', two_stream=True, frozen_stages=1).train()
    trained = {name.split('.')[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {'blocks', 'norm'}
    assert [block.training for block in model.blocks] == [False, True]


def test_depths_for_layer_wise_learning_rates():
    model = build(positions='learnable', two_stream=True)
    depths = {name: model.get_layer_depth(name) for name in model.state_dict()}
    assert {depth for name, (depth, _) in depths.items() if 'blocks' not in name} == {0, 3}
    assert depths['start_token'] == depths['query_token'] == depths['pos_embed'] == (0, 4)
    assert depths['blocks.1.attn.query.weight'] == (2, 4)


def test_weights_are_sampled_xavier_uniform():
    torch.manual_seed(0)
    model = DARLViT(TINY, img_size=32, patch_size=8, two_stream=True)
    model.init_weights()
    for weight, fans in (
        (model.patch_embed.proj.weight, 3 * 8 * 8 + 32),
        (model.blocks[0].attn.query.weight, 64),
    ):
        assert weight.abs().max().item() == pytest.approx((6 / fans) ** 0.5, rel=0.02)
    assert model.start_token.std().item() == pytest.approx(0.02, rel=0.5)
    assert model.query_token.std().item() == pytest.approx(0.02, rel=0.5)


@pytest.mark.parametrize(
    ('arch', 'patch_size', 'name'),
    [
        ('base', 16, 'vit_base_patch16_224'),
        ('large', 16, 'vit_large_patch16_224'),
        ('huge', 14, 'vit_huge_patch14_224'),
    ],
)
def test_sizes_are_timms(arch, patch_size, name):
    with torch.device('meta'):
        ours = MODELS.build(dict(type='DARLViT', arch=arch, patch_size=patch_size))
        reference = timm.create_model(name, num_classes=0, class_token=True, pos_embed='none')
    names = {'start_token': 'cls_token'}
    found = {names.get(key, key): value.shape for key, value in ours.state_dict().items()}
    assert found == {key: value.shape for key, value in reference.state_dict().items()}


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(img_size=30), '30 x 30 pixels: the model takes multiples of 8; resize or crop'),
        (dict(window_size=2), 'set causal=False and with_start_token=False'),
        (dict(window_size=2, with_start_token=False, causal=True), 'windows allow neither'),
        (dict(order='nested-raster', block_size=3), 'is invalid for input of size 16'),
        (dict(order='spiral'), "order='spiral' is none of"),
        (dict(positions='rope'), "positions='rope' is none of 'rope-2d', 'rope-1d', 'sincos"),
        (dict(arch='giant'), "arch='giant' is none of 'base', 'large', 'huge'"),
        (dict(out_indices=(2,)), r'block=2: must be in \[-2, 1\]'),
    ],
)
def test_refuses_what_it_cannot_build(settings, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        build(**settings)


def test_another_grid_must_hold_whole_blocks():
    model = build(causal=True, order='round-robin', block_size=2)
    with pytest.raises(RuntimeError, match='is invalid for input of size 20'):
        model(torch.randn(1, 3, 32, 40))
