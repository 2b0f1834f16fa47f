import numpy as np
import pytest
import timm
import torch

from mmaddp.models import ADDPViT

TINY = dict(embed_dims=32, num_layers=4, num_heads=2)
VITDET = dict(
    with_cls_token=False,
    embed_norm=False,
    window_size=3,
    global_attn_indexes=(1, 3),
    use_rel_pos=True,
)


def build(seed=0, **kwargs):
    torch.manual_seed(seed)
    model = ADDPViT(**dict(dict(arch=TINY, img_size=64, embed_norm=False), **kwargs))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def test_equals_timms_vision_transformer():
    ours = build()
    reference = timm.models.VisionTransformer(
        img_size=64, embed_dim=32, depth=4, num_heads=2, num_classes=0
    ).eval()
    reference.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = reference.forward_features(images)
        torch.testing.assert_close(ours.forward_tokens(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('arch', 'name'),
    [('base', 'vit_base_patch16_224'), ('large', 'vit_large_patch16_224')],
)
def test_sizes_are_timms(arch, name):
    with torch.device('meta'):
        ours = ADDPViT(arch, img_size=224, embed_norm=False)
        reference = timm.create_model(name, num_classes=0)
    assert shapes(ours) == shapes(reference)


def test_huge_is_mae_huge():
    with torch.device('meta'):
        model = ADDPViT('huge', img_size=224, patch_size=14, embed_norm=False)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6) == 631


def shapes(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.mark.parametrize('size', [(64, 64), (96, 48), (50, 70)])
def test_any_input_size_gives_stride_16_maps(size):
    images = torch.randn(1, 3, *size)
    for model in (build(out_indices=(0, -1)), build(**VITDET, out_indices=(0, -1))):
        maps = model(images)
        assert len(maps) == 2
        for feature_map in maps:
            assert feature_map.shape == (1, 32, -(-size[0] // 16), -(-size[1] // 16))


def test_maps_are_the_patch_tokens_in_raster_order():
    model = build()
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        tokens, (feature_map,) = model.forward_tokens(images), model(images)
    assert torch.equal(feature_map[0, :, 1, 0], tokens[0, 1 + 2])


def test_windows_do_not_see_each_other():
    model = build(**dict(VITDET, global_attn_indexes=()), img_size=96)
    images = torch.randn(1, 3, 96, 96)
    changed = images.clone()
    changed[..., :48] += 1
    with torch.no_grad():
        (before,), (after,) = model(images), model(changed)
    assert torch.equal(before[..., 3:], after[..., 3:])
    assert not torch.allclose(before[..., :3], after[..., :3])


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_checkpointing_changes_no_gradient(dtype):
    images = torch.randn(2, 3, 64, 96)
    gradients = []
    for with_cp in (False, True):
        model = build(**VITDET, with_cp=with_cp, drop_path_rate=0.5).train()
        torch.manual_seed(1)
        with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
            model(images)[0].square().sum().backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_blocks_that_no_output_needs_are_not_trained():
    model = build(out_indices=(1,)).train()
    model(torch.randn(1, 3, 64, 64))[0].sum().backward()
    missing = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not missing
    assert not any(p.requires_grad for p in model.blocks[2:].parameters())
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model.forward_tokens(images), build().forward_tokens(images))


def test_half_precision_is_near_full_precision():
    model = build(**VITDET)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = model(images)[0]
        with torch.autocast('cpu', torch.bfloat16):
            found = model(images)[0]
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


def test_inference_mode_leaves_nothing_behind_that_training_cannot_use():
    images = torch.randn(1, 3, 80, 112)
    model = build(**VITDET)
    with torch.inference_mode():
        model(images)
    model.train()(images)[0].sum().backward()


def test_drop_path_rises_linearly_and_is_off_in_evaluation():
    model = build(drop_path_rate=0.3)
    assert [block.drop_path.drop_prob for block in model.blocks] == pytest.approx(
        [0, 0.1, 0.2, 0.3]
    )
    images = torch.randn(4, 3, 64, 64)
    assert torch.equal(model.forward_tokens(images), model.forward_tokens(images))
    model.train()
    assert not torch.equal(model.forward_tokens(images), model.forward_tokens(images))


@pytest.mark.parametrize(
    ('stages', 'trainable'),
    [(-1, {'patch_embed', 'blocks.1', 'blocks.2', 'norm'}), (2, {'blocks.2', 'norm'}), (4, set())],
)
def test_frozen_stages(stages, trainable):
    model = build(frozen_stages=stages, drop_path_rate=0.5).train()
    found = {name for name, p in model.named_parameters() if p.requires_grad}
    prefixes = {'patch_embed', 'blocks.1', 'blocks.2', 'norm'}
    assert {p for p in prefixes if any(name.startswith(f'{p}.') for name in found)} == trainable
    assert ('pos_embed' in found) == (stages < 0)
    assert [block.training for block in model.blocks] == [i >= stages for i in range(4)]


def test_frozen_positions_give_no_gradient_to_the_embeddings():
    model = build(frozen_stages=4).train()
    assert not model(torch.randn(1, 3, 64, 64))[0].requires_grad


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(arch='giant'), "arch='giant' is none of 'base', 'large', 'huge'"),
        (dict(arch=dict(embed_dims=32, depth=4, num_heads=2)), 'depth'),
        (dict(window_size=3), 'with_cls_token=False'),
        (dict(out_indices=(4,)), r'block=4: must be in \[-4, 3\]'),
        (dict(frozen_stages=5), r'frozen_stages=5: must be in \[-1, 4\]'),
    ],
)
def test_refuses_what_it_cannot_build(kwargs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build(**kwargs)


def test_fresh_weights_are_sampled_once_and_norms_stay_at_identity():
    torch.manual_seed(0)
    model = ADDPViT(TINY, img_size=64, use_rel_pos=True, with_cls_token=False)
    model.init_weights()
    limit = (6 / (3 * 16 * 16 + 32)) ** 0.5
    assert model.patch_embed.proj.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
    assert model.blocks[0].norm1.weight.eq(1).all()
    assert model.blocks[0].attn.rel_pos_h.eq(0).all()
    before = model.pos_embed.clone()
    model.init_weights()
    assert torch.equal(model.pos_embed, before)


def test_golden_vitdet(shared, reference_layout):
    from mmaddp.checkpoints import convert_checkpoint

    golden = np.load(shared / 'reference/golden/vitdet_tiny.npz')
    weights = convert_checkpoint(
        {'model': reference_layout('vitdet-tiny', prefix='backbone.')}, 'vitdet', 'backbone'
    )
    model = ADDPViT(
        dict(embed_dims=64, num_layers=4, num_heads=4),
        pretrain_img_size=224,
        window_size=6,
        global_attn_indexes=(1, 3),
        use_rel_pos=True,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
    )
    model.load_state_dict(weights)
    shape = tuple(golden['x_shape'])
    images = np.random.RandomState(int(golden['x_seed'])).standard_normal(shape)
    with torch.no_grad():
        (features,) = model.eval()(torch.from_numpy(images.astype(np.float32)))
    torch.testing.assert_close(
        features, torch.from_numpy(golden['last_feat']), rtol=1e-4, atol=1e-4
    )


def test_golden_addp_features(shared, reference_layout):
    from mmaddp.checkpoints import convert_checkpoint

    golden = np.load(shared / 'reference/golden/addp_tiny.npz')
    weights = convert_checkpoint({'model': reference_layout('addp-tiny')}, 'addp', 'backbone')
    model = ADDPViT(
        dict(embed_dims=64, num_layers=2, num_heads=4), embed_norm=False, final_norm=False
    )
    model.load_state_dict(weights)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    images = (torch.from_numpy(golden['image_uint8']) / 255 - mean) / std
    with torch.no_grad():
        tokens = model.eval().forward_tokens(images)
    torch.testing.assert_close(
        tokens, torch.from_numpy(golden['finetune_features']), rtol=1e-4, atol=1e-4
    )
