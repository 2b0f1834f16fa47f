"""timm's networks by name: features, gradients, sizes and weights equal the library's own."""

import copy

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import group_parameters
from torch.overrides import TorchFunctionMode

from mmaddp.models import Encoder
from mmaddp.models.backbones.encoder import summary
from mmaddp.utils import UserError

# Two blocks of 32 channels.
SMALL = dict(depth=2, embed_dim=32, num_heads=2)
SHALLOW = dict(SMALL, depth=3)
ONE_BLOCK_EACH = dict(depths=(1, 1, 1, 1))
WIDTHS = (16, 24, 32, 40)
# Families and arguments that make them small.
PLAIN = {
    'vit_tiny_patch16_224': SMALL,
    'vit_small_patch14_dinov2': SMALL,
    'vit_small_patch14_reg4_dinov2': SMALL,
    'vit_small_patch16_dinov3': SMALL,
    'vit_small_plus_patch16_dinov3': SMALL,  # SwiGLU
    'vit_base_patch16_clip_224': SMALL,
    'vit_base_patch16_siglip_224': SMALL,
    'eva02_tiny_patch14_224': SMALL,
    'deit_tiny_distilled_patch16_224': SMALL,
    'deit3_small_patch16_224': SMALL,
    'vit_tiny_r_s16_p8_224': SMALL,  # hybrid
    'vit_base_patch16_rope_224': SMALL,
    'vit_small_patch16_rope_mixed_224': SMALL,
    'vit_pe_core_tiny_patch16_384': SMALL,
    'vit_dlittle_patch16_reg1_gap_256': SMALL,
    'aimv2_large_patch14_224': SMALL,
    'xcit_nano_12_p16_224': SMALL,
    'samvit_base_patch16': dict(SMALL, global_attn_indexes=(1,)),
}
ONE_SIZE = {
    'beit_base_patch16_224': SMALL,
    'beitv2_base_patch16_224': SMALL,
    'vit_relpos_small_patch16_224': SMALL,
    'mixer_s16_224': {},
    'hiera_tiny_224': dict(embed_dim=16, stages=(1, 1, 1, 1)),
    'coatnet_nano_rw_224': dict(embed_dim=(32, 32, 32, 64), depths=(1, 1, 1, 1)),
    'gcvit_xxtiny': dict(embed_dim=32),
    'levit_128s': {},
}
HIERARCHICAL = {
    'swin_tiny_patch4_window7_224': dict(ONE_BLOCK_EACH, embed_dim=24),
    'swinv2_tiny_window8_256': dict(ONE_BLOCK_EACH, embed_dim=24),
    'convnext_atto': dict(ONE_BLOCK_EACH, dims=WIDTHS),
    'convnextv2_atto': dict(ONE_BLOCK_EACH, dims=WIDTHS),
    'fastvit_t8': dict(layers=(1, 1, 1, 1), embed_dims=(16, 32, 64, 128)),
    'resnet18': dict(layers=(1, 1, 1, 1), channels=WIDTHS),
    'regnetx_002': {},
    'efficientnet_b0': {},
    'mobilenetv3_small_050': {},
    'pvt_v2_b0': dict(ONE_BLOCK_EACH, embed_dims=(16, 32, 40, 64)),
    'twins_svt_small': dict(ONE_BLOCK_EACH, embed_dims=(16, 32, 64, 128)),
    'mvitv2_tiny': {},
    'davit_tiny': dict(ONE_BLOCK_EACH, embed_dims=(24, 48, 96, 192)),
    'edgenext_xx_small': {},
    'efficientvit_b0': {},
    'poolformer_s12': {},
    'focalnet_tiny_srf': {},
    'nextvit_small': dict(depths=(1, 1, 5, 1)),
    'mambaout_femto': dict(ONE_BLOCK_EACH, dims=WIDTHS),
    'repvit_m0_9': dict(depth=(1, 1, 2, 1), embed_dim=(16, 32, 48, 64)),
    'tiny_vit_5m_224': dict(depths=[1, 1, 1, 1], embed_dims=[32, 64, 80, 160]),
    'hrnet_w18_small': {},
}
SMALL_RESNET = HIERARCHICAL['resnet18']
FAMILIES = {**PLAIN, **ONE_SIZE, **HIERARCHICAL}
# An odd size, and the one size of the networks that have one.
HEIGHT, WIDTH, SIDES = 43, 70, (64, 96)


class SkipRandom(TorchFunctionMode):
    """Leave out random initialization, which takes longer than the networks."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, '__name__', '') in ('uniform_', 'normal_', 'erfinv_'):
            return args[0] if args else kwargs['tensor']
        return function(*args, **(kwargs or {}))


def of_library(name: str, network: torch.nn.Module, **arguments) -> torch.nn.Module:
    """timm's own network with the weights of ours."""
    with SkipRandom():
        try:
            model = timm.create_model(name, num_classes=0, dynamic_img_size=True, **arguments)
        except TypeError:
            model = timm.create_model(name, num_classes=0, **arguments)
    model.load_state_dict(network.state_dict())
    return model.eval()


def padded(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    result = images.new_zeros(*images.shape[:2], height, width)
    result[..., : images.shape[2], : images.shape[3]] = images
    return result


@pytest.mark.parametrize('name', FAMILIES)
def test_maps_are_the_librarys_and_gradients_reach_what_is_trained(name):
    torch.manual_seed(0)
    size = dict(img_size=SIDES) if name in ONE_SIZE else {}
    encoder = Encoder(f'timm:{name}', norm='none', arguments=FAMILIES[name], **size).eval()
    library = of_library(name, encoder.network, **FAMILIES[name], **size)
    images = torch.randn(1, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        maps = encoder.forward_intermediates(images)
    # The library wants whole patches, or one size.
    multiple = encoder.measured.multiple
    if name in ONE_SIZE:
        assert multiple == 0
        whole = padded(images, *SIDES)
    else:
        whole = padded(images, -(-HEIGHT // multiple) * multiple, -(-WIDTH // multiple) * multiple)
    with torch.no_grad():
        expected = library.forward_intermediates(whole, intermediates_only=True)
    assert len(maps) == len(encoder.layers) == len(expected)
    for layer, theirs in zip(encoder.layers, expected):
        ours = maps[layer]
        assert ours.shape[1] == encoder.channels(layer) == theirs.shape[1]
        torch.testing.assert_close(
            ours, theirs[..., : ours.shape[2], : ours.shape[3]], atol=1e-5, rtol=1e-5
        )
        stride = encoder.stride(layer)
        assert ours.shape[2] in (HEIGHT // stride, -(-HEIGHT // stride))
    encoder.train()
    sum(one.square().sum() for one in encoder(images)).backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, parameter_name
        assert encoder.get_layer_depth(parameter_name)[0] < encoder.num_depths


def test_what_an_encoder_is_decides_its_maps():
    plain = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW)
    assert plain.is_plain
    assert plain.out_layers == ['block_3']
    pyramid = Encoder('timm:resnet18', arguments=SMALL_RESNET)
    assert not pyramid.is_plain
    assert [pyramid.stride(layer) for layer in pyramid.out_layers] == [4, 8, 16, 32]
    assert [pyramid.channels(layer) for layer in pyramid.out_layers] == [16, 24, 32, 40]


def test_the_final_norm_is_the_last_maps_or_all_or_nones():
    torch.manual_seed(0)
    images = torch.randn(1, 3, 32, 48)
    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW, out_indices=(0, 2)).eval()
    torch.nn.init.normal_(encoder.network.norm.weight)
    library = of_library('vit_tiny_patch16_224', encoder.network, **SHALLOW)
    with torch.no_grad():
        normed = library.forward_intermediates(images, norm=True, intermediates_only=True)
        raw = library.forward_intermediates(images, norm=False, intermediates_only=True)
        for norm, expected in {
            'last': (raw[0], normed[2]),
            'all': (normed[0], normed[2]),
            'none': (raw[0], raw[2]),
        }.items():
            encoder.library.norm = norm
            for ours, theirs in zip(encoder(images), expected):
                torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_depths_are_timms_groups():
    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW)
    groups = group_parameters(encoder.network, encoder.network.group_matcher(), reverse=True)
    assert groups['blocks.1.mlp.fc1.weight'] == 2
    for name, group in groups.items():
        assert encoder.get_layer_depth(f'network.{name}') == (group, 5)
    assert encoder.get_layer_depth('backbone.network.pos_embed', 'backbone.') == (0, 5)


def test_frozen_stages_train_nothing_up_to_their_depth():
    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW, frozen_stages=2).train()
    encoder(torch.randn(1, 3, 32, 32))[0].sum().backward()
    trained = {name for name, p in encoder.network.named_parameters() if p.grad is not None}
    assert trained == {
        n for n in encoder.network.state_dict() if n.startswith(('blocks.2', 'norm'))
    }
    assert not encoder.network.blocks[1].training
    assert encoder.network.blocks[2].training
    frozen = Encoder('timm:resnet18', arguments=SMALL_RESNET, frozen=True).train()
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_recomputed_activations_give_the_same_gradients():
    torch.manual_seed(0)
    kept = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW)
    recomputed = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW, with_cp=True)
    recomputed.load_state_dict(kept.state_dict())
    images = torch.randn(1, 3, 32, 32)
    for encoder in (kept, recomputed):
        encoder(images)[0].square().sum().backward()
    for ours, theirs in zip(recomputed.parameters(), kept.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_pixels_are_those_of_the_network():
    # SigLIP's authors scale pixels to [-1, 1], CLIP's have statistics of their own.
    siglip = Encoder('timm:vit_base_patch16_siglip_224', arguments=SMALL)
    assert siglip.pixel_values['mean'] == siglip.pixel_values['std'] == [127.5] * 3
    clip = Encoder('timm:vit_base_patch16_clip_224.openai', arguments=SMALL)
    assert clip.pixel_values['mean'] == [122.7709, 116.746, 104.0937]


def dinov2_file(path):
    """A file as DINOv2's authors publish it: layer scale, mask token, register tokens."""
    network = timm.create_model('vit_small_patch14_reg4_dinov2', num_classes=0, **SHALLOW)
    torch.manual_seed(1)
    state = {name: torch.randn_like(tensor) for name, tensor in network.state_dict().items()}
    theirs = {name: tensor for name, tensor in state.items() if name != 'reg_token'}
    theirs['register_tokens'] = state['reg_token']
    # Theirs has a position for the class token.
    theirs['pos_embed'] = torch.cat([torch.zeros(1, 1, 32), state['pos_embed']], dim=1)
    theirs['mask_token'] = torch.randn(1, 32)
    torch.save(theirs, path)
    return state


def test_layer_scale_survives_conversion_training_saving_and_loading(tmp_path):
    state = dinov2_file(tmp_path / 'dinov2.pth')
    settings = dict(model='timm:vit_small_patch14_reg4_dinov2', arguments=SHALLOW)
    encoder = Encoder(
        **settings, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'dinov2.pth'))
    )
    encoder.init_weights()
    scales = [name for name in state if '.ls' in name]
    assert len(scales) == 6
    for name in (*scales, 'reg_token', 'norm.weight'):
        assert torch.equal(encoder.network.state_dict()[name], state[name])
    optimizer = torch.optim.SGD(encoder.parameters(), lr=1e-4)
    encoder(torch.randn(1, 3, 42, 28))[0].sum().backward()
    optimizer.step()
    trained = encoder.network.state_dict()
    assert all(not torch.equal(trained[name], state[name]) for name in scales)
    # As a training of a detector saves it.
    torch.save(
        {'state_dict': {f'backbone.{n}': t for n, t in encoder.state_dict().items()}}
        | {'meta': {}},
        tmp_path / 'iter_1.pth',
    )
    again = Encoder(**settings)
    again.load(tmp_path / 'iter_1.pth')
    for name, tensor in trained.items():
        assert torch.equal(again.network.state_dict()[name], tensor)


def test_the_summary_tells_every_tensor(tmp_path):
    state = dinov2_file(tmp_path / 'dinov2.pth')
    encoder = Encoder('timm:vit_small_patch14_reg4_dinov2', arguments=SHALLOW)
    tensors = torch.load(tmp_path / 'dinov2.pth')
    fitted, fates = encoder.fitted(tensors)
    told = summary(fates)
    assert set(fitted) == set(state)
    assert 'layer scale (6) kept' in told
    assert 'register tokens (1) kept' in told
    assert 'class token (1) kept' in told
    assert any(row.startswith('norms (14) kept') for row in told)
    assert "mask token (1) dropped: the library's reader leaves it out" in told


def test_a_layer_scale_that_a_reader_leaves_out_is_told(monkeypatch):
    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=dict(SMALL, init_values=0.1))
    state = encoder.network.state_dict()
    joined, scale = 'blocks.0.attn.qkv.weight', 'blocks.0.ls1.gamma'
    parts = {f'{joined}.{i}': part.clone() for i, part in enumerate(state[joined].chunk(3))}
    file = {**{name: t for name, t in state.items() if name != joined}, **parts}

    def translate(tensors, network):
        # Joins queries, keys and values, and forgets a layer scale.
        rest = {name: t for name, t in tensors.items() if name not in (*parts, scale)}
        return {**rest, joined: torch.cat([tensors[name] for name in parts])}

    monkeypatch.setattr(encoder.library, 'translate', translate)
    _, lost = encoder.translated(file)
    assert lost == [scale]
    with pytest.raises(UserError, match=f'missing: {scale}'):
        encoder.fitted(file)


def test_files_of_timm_load_whole_and_heads_are_told(tmp_path):
    classifier = timm.create_model('resnet18', num_classes=7, **SMALL_RESNET)
    save_file(classifier.state_dict(), tmp_path / 'model.safetensors')
    encoder = Encoder('timm:resnet18', arguments=SMALL_RESNET)
    encoder.load(tmp_path / 'model.safetensors')
    for name, tensor in encoder.network.state_dict().items():
        assert torch.equal(tensor, classifier.state_dict()[name])
    told = summary(encoder.fitted(classifier.state_dict())[1])
    assert 'network (2) dropped: another task has another head' in told


@pytest.mark.parametrize(
    'change', [{'blocks.1.attn.qkv.weight': None}, {'more.weight': torch.zeros(3)}]
)
def test_missing_and_left_over_tensors_are_refused_in_one_line(tmp_path, change):
    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW)
    state = {**encoder.network.state_dict(), **change}
    torch.save({n: t for n, t in state.items() if t is not None}, tmp_path / 'file.pth')
    with pytest.raises(UserError, match=r'file\.pth: .*' + next(iter(change))) as caught:
        encoder.load(tmp_path / 'file.pth')
    assert '\n' not in str(caught.value)


def test_a_file_of_another_network_is_refused_in_one_line(tmp_path):
    save_file(
        timm.create_model('resnet18', **SMALL_RESNET).state_dict(), tmp_path / 'other.safetensors'
    )
    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW)
    before = copy.deepcopy(encoder.state_dict())
    with pytest.raises(UserError, match=r'other\.safetensors') as caught:
        encoder.load(tmp_path / 'other.safetensors')
    assert '\n' not in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize(
    ('model', 'answer'),
    [
        ('timm:vit_smal_patch14_dinov2', 'vit_small_patch14_dinov2'),
        ('timm:resnet50.a1_in2k', r'resnet50\.a1_in1k'),
        ('tim:resnet18', 'timm:NAME'),
        ('resnet18', 'timm:NAME'),
    ],
)
def test_wrong_names_are_answered_by_the_nearest(model, answer):
    with pytest.raises(UserError, match=answer) as caught:
        Encoder(model)
    assert '\n' not in str(caught.value)


def test_wrong_arguments_and_indices_are_refused():
    with pytest.raises(UserError, match='depht'):
        Encoder('timm:vit_tiny_patch16_224', arguments=dict(depht=3))
    with pytest.raises(UserError, match=r'out_indices=\[3\].*3 layers'):
        Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW, out_indices=(3,))
    with pytest.raises(UserError, match=r'global_attn_indexes=\[5\].*3 layers'):
        Encoder(
            'timm:vit_tiny_patch16_224',
            arguments=SHALLOW,
            window_size=2,
            global_attn_indexes=(0, 5),
        )


def test_a_layer_may_be_wanted_twice():
    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=SHALLOW, out_indices=(2, 1, 2))
    first, other, again = encoder(torch.randn(1, 3, 32, 32))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_images_larger_than_the_one_size_are_refused_with_the_remedy():
    encoder = Encoder('timm:beit_base_patch16_224', arguments=SMALL)
    with pytest.raises(UserError, match=r'224 x 224.*set img_size=\(256, 224\)'):
        encoder(torch.zeros(1, 3, 256, 224))
    larger = Encoder('timm:beit_base_patch16_224', arguments=SMALL, img_size=(256, 224))
    assert larger(torch.zeros(1, 3, 256, 224))[0].shape == (1, 32, 16, 14)


def test_published_weights_without_a_network_are_one_line(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError('Network is unreachable\nmore')

    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=SMALL, pretrained=True)
    monkeypatch.setattr('timm.models.load_pretrained', offline)
    with pytest.raises(UserError, match=r'pretrained=True.*unreachable.*init_cfg') as caught:
        encoder.init_weights()
    assert '\n' not in str(caught.value)


def test_a_folder_with_the_name_of_a_network_is_not_taken_for_its_weights(tmp_path, monkeypatch):
    (tmp_path / 'resnet18').mkdir()
    monkeypatch.chdir(tmp_path)
    Encoder('timm:resnet18', arguments=SMALL_RESNET).init_weights()


def test_half_precision_and_export():
    torch.manual_seed(0)
    encoder = Encoder('timm:vit_tiny_patch16_224', arguments=SMALL).eval()
    images = torch.randn(1, 3, 33, 48)
    with torch.no_grad():
        expected = encoder(images)[0]
        with torch.autocast('cpu', torch.bfloat16):
            half = encoder(images)[0]
        torch.testing.assert_close(half.float(), expected, atol=0.2, rtol=0.2)
        exported = torch.export.export(encoder, (images,)).module()
        torch.testing.assert_close(exported(images)[0], expected, atol=1e-5, rtol=1e-5)
