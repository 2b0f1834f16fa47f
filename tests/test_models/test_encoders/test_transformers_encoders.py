"""Networks of transformers: hidden states and feature maps are the library's own."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mmaddp.models import Encoder
from mmaddp.models.backbones.encoder import summary
from mmaddp.utils import UserError

transformers = pytest.importorskip(
    'transformers', reason="needs the extra 'encoders' (pip install transformers)"
)

SMALL = dict(
    num_hidden_layers=2,
    hidden_size=32,
    num_attention_heads=2,
    intermediate_size=64,
    image_size=64,
    patch_size=16,
)
PLAIN = (
    *('vit', 'vit_mae', 'dinov2', 'dinov2_with_registers', 'dinov3_vit', 'beit', 'deit', 'pixio'),
    *('ijepa', 'siglip_vision_model', 'clip_vision_model', 'data2vec-vision'),
)
BACKBONES = {
    'swin': dict(depths=[1, 1, 1, 1], embed_dim=24, num_heads=[1, 2, 2, 2]),
    'convnext': dict(depths=[1, 1, 1, 1], hidden_sizes=[16, 24, 32, 48]),
    'resnet': dict(
        depths=[1, 1, 1, 1], hidden_sizes=[16, 24, 32, 48], embedding_size=16, layer_type='basic'
    ),
    'pvt_v2': dict(
        depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 32, 64], num_attention_heads=[1, 2, 2, 4]
    ),
    'hgnet_v2': dict(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 16, 16, 24],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[16, 16, 24, 32],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[1, 1, 1, 1],
    ),
}


def known(name):
    if name not in transformers.models.auto.configuration_auto.CONFIG_MAPPING:
        pytest.skip(f'transformers {transformers.__version__} has no {name}')
    return name


def small(name):
    """The arguments that a model type has of those that make it small."""
    default = transformers.AutoConfig.for_model(known(name))
    return {key: value for key, value in SMALL.items() if hasattr(default, key)}


def check_gradients(encoder, images):
    encoder.train()
    sum(one.square().sum() for one in encoder(images)).backward()
    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert encoder.get_layer_depth(name)[0] < encoder.num_depths


@pytest.mark.parametrize('name', PLAIN)
def test_maps_are_hidden_states(name):
    torch.manual_seed(0)
    encoder = Encoder(f'hf:{name}', norm='none', arguments=small(name)).eval()
    images = torch.randn(2, 3, 75, 110)
    padded = torch.zeros(2, 3, 80, 112)
    padded[..., :75, :110] = images
    options = {}
    if name in ('vit', 'vit_mae', 'beit', 'deit', 'ijepa', 'siglip_vision_model') or 'clip' in name:
        options['interpolate_pos_encoding'] = True
    if name == 'data2vec-vision':
        options['interpolate_pos_encoding'] = True
    if name == 'vit_mae':
        options['noise'] = torch.arange(35.0).expand(2, -1)
    with torch.no_grad():
        output = encoder.network(padded, output_hidden_states=True, **options)
        maps = encoder.forward_intermediates(images)
    assert encoder.layers == ['block_1', 'block_2']
    for layer, states in zip(encoder.layers, output.hidden_states[1:]):
        assert maps[layer].shape == (2, 32, 5, 7)
        # The patches are the last 35 tokens.
        expected = states[:, -35:].transpose(1, 2).reshape(2, 32, 5, 7)
        torch.testing.assert_close(maps[layer], expected, atol=1e-5, rtol=1e-5)
    check_gradients(encoder, images)


NORMED = ('vit', 'dinov2', 'siglip_vision_model', 'aimv2_vision_model')


@pytest.mark.parametrize('name', NORMED)
def test_the_last_map_passes_the_final_norm(name):
    torch.manual_seed(0)
    encoders = {
        norm: Encoder(f'hf:{name}', norm=norm, arguments=small(name), out_indices=[0, 1]).eval()
        for norm in ('last', 'all', 'none')
    }
    network, images = encoders['last'].network, torch.randn(2, 3, 64, 64)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        maps = {}
        for norm, encoder in encoders.items():
            encoder.load_state_dict(encoders['last'].state_dict())
            maps[norm] = encoder(images)
        # The patches are the last 16 tokens.
        expected = network(images).last_hidden_state[:, -16:].transpose(1, 2).unflatten(2, (4, 4))
    torch.testing.assert_close(maps['last'][1], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(maps['all'][1], expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(maps['last'][0], maps['none'][0])
    for normed, plain in ((maps['all'][0], maps['none'][0]), (expected, maps['none'][1])):
        assert (normed - plain).abs().max() > 0.1


@pytest.mark.parametrize('name', NORMED)
def test_the_final_norm_is_trained_at_the_depth_behind_the_blocks(name):
    encoder = Encoder(f'hf:{known(name)}', arguments=small(name))
    check_gradients(encoder, torch.randn(1, 3, 64, 64))
    depths = {
        encoder.get_layer_depth(f'network.{n}')
        for n, parameter in encoder.network.named_parameters()
        if n.split('.')[0] in ('layernorm', 'post_layernorm', 'rms_norm')
        and parameter.requires_grad
    }
    # 0 for the embeddings, 1 and 2 for the blocks, 3 for the norm, 4 for the heads.
    assert depths == {(3, 5)}


@pytest.mark.parametrize('name', BACKBONES)
def test_maps_are_those_of_the_backbone(name):
    torch.manual_seed(0)
    encoder = Encoder(f'hf:{known(name)}', arguments=BACKBONES[name]).eval()
    images = torch.randn(2, 3, 75, 110)
    multiple = encoder.measured.multiple
    padded = torch.zeros(2, 3, -(-75 // multiple) * multiple, -(-110 // multiple) * multiple)
    padded[..., :75, :110] = images
    with torch.no_grad():
        expected = encoder.network(padded).feature_maps
        maps = encoder(images)
    assert [encoder.stride(layer) for layer in encoder.out_layers] == [4, 8, 16, 32]
    for ours, theirs in zip(maps, expected):
        cut = theirs[..., : ours.shape[2], : ours.shape[3]]
        torch.testing.assert_close(ours, cut, atol=1e-5, rtol=1e-5)
    check_gradients(encoder, images)


@pytest.mark.parametrize(
    'name',
    [
        *('vit', 'dinov2_with_registers', 'dinov3_vit', 'pixio'),
        *('clip_vision_model', 'siglip_vision_model'),
    ],
)
def test_a_windowed_block_is_the_block_applied_to_each_window(name):
    torch.manual_seed(0)
    settings = dict(model=f'hf:{name}', arguments=small(name))
    encoder = Encoder(**settings, window_size=4, global_attn_indexes=(1,)).eval()
    whole = Encoder(**settings).eval()
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    encoder.load_state_dict(whole.state_dict())
    network, encoder.windows.grid = whole.network, (5, 6)
    options, positions = {}, None
    if name == 'dinov3_vit':
        positions = network.rope_embeddings(torch.zeros(1, 3, 80, 96))
        options = dict(position_embeddings=positions)
    blocks = encoder.library.blocks(encoder.network)[0], whole.library.blocks(network)[0]
    prefix = 1 + getattr(network.config, 'num_register_tokens', 0)
    prefix = network.config.n_cls_tokens if name == 'pixio' else prefix
    if name == 'siglip_vision_model':  # has no class token
        prefix = 0
    if name in ('clip_vision_model', 'siglip_vision_model'):
        options = dict(attention_mask=None)
    tokens = torch.randn(2, prefix + 30, 32)

    def first(output):
        return output[0] if isinstance(output, tuple) else output

    with torch.no_grad():
        found = first(blocks[0](tokens, **options))[:, prefix:].unflatten(1, (5, 6))
        patches = tokens[:, prefix:].unflatten(1, (5, 6))
        for top in (0, 4):
            for left in (0, 4):
                cut = slice(top, top + 4), slice(left, left + 4)
                if positions is not None:
                    own = [p.unflatten(0, (5, 6))[cut].flatten(0, 1) for p in positions]
                    options = dict(position_embeddings=tuple(own))
                window = patches[:, cut[0], cut[1]].flatten(1, 2)
                window = torch.cat([tokens[:, :prefix], window], dim=1)
                expected = first(blocks[1](window, **options))[:, prefix:]
                ours = found[:, cut[0], cut[1]].flatten(1, 2)
                torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def save_folder(folder, kind, head=None):
    """A folder as transformers saves it."""
    config = transformers.AutoConfig.for_model(kind, **SMALL)
    factory = head or transformers.AutoModel
    network = factory.from_config(config) if head is None else factory(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    network.save_pretrained(folder)
    statistics = dict(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6])
    (folder / 'preprocessor_config.json').write_text(json.dumps(statistics))
    return network


def test_folders_load_with_their_pixels_and_every_tensor_is_told(tmp_path):
    network = save_folder(tmp_path, 'dinov2_with_registers')
    encoder = Encoder(f'hf:{tmp_path}', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path)))
    encoder.init_weights()
    for name, tensor in encoder.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])
    assert encoder.pixel_values['mean'] == [25.5, 51.0, 76.5]
    told = summary(encoder.fitted(network.state_dict())[1])
    # Two scales in each of two blocks.
    assert 'layer scale (4) kept' in told
    assert 'register tokens (1) kept' in told


def test_pixels_of_a_model_type_are_its_authors(tmp_path, monkeypatch):
    clip = Encoder('hf:clip_vision_model', arguments=SMALL)
    assert clip.pixel_values['mean'] == [122.7709, 116.746, 104.0937]
    dinov2 = Encoder('hf:dinov2', arguments=small('dinov2'))
    assert dinov2.pixel_values['mean'] == [123.675, 116.28, 103.53]
    # A folder without an image processor, and the hub's processor.
    save_folder(tmp_path, 'vit')
    (tmp_path / 'preprocessor_config.json').unlink()
    assert Encoder(f'hf:{tmp_path}').pixel_values['mean'] == [127.5] * 3
    told = dict(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6])
    mixin = 'transformers.image_processing_base.ImageProcessingMixin.get_image_processor_dict'
    monkeypatch.setattr(mixin, lambda name: (told, {}))
    assert Encoder(f'hf:{tmp_path}').pixel_values['mean'] == [25.5, 51.0, 76.5]


@pytest.mark.parametrize(
    ('kind', 'red', 'std'),
    [
        ('aimv2_vision_model', 0.48145466, 0.26862954),
        ('chinese_clip_vision_model', 0.48145466, 0.26862954),
        ('mlcd_vision_model', 0.48145466, 0.26862954),
        ('pixtral', 0.48145466, 0.26862954),
        ('radio', 0.0, 1.0),  # normalizes by itself
        ('tipsv2_vision_model', 0.0, 1.0),
    ],
)
def test_pixels_of_other_model_types(kind, red, std):
    values = Encoder(f'hf:{kind}', arguments=small(kind)).pixel_values
    assert values['mean'][0] == pytest.approx(255 * red, abs=1e-4)
    assert values['std'][0] == pytest.approx(255 * std, abs=1e-4)


@pytest.mark.parametrize(
    'settings',
    [
        {},
        dict(do_normalize=False),
        dict(rescale_factor=1 / 127.5),
        dict(do_rescale=False),
        dict(do_normalize=False, rescale_factor=1 / 127.5),
    ],
    ids=str,
)
def test_pixels_are_those_of_the_folders_processor(tmp_path, settings):
    pytest.importorskip('PIL')
    save_folder(tmp_path, 'vit')
    kind = getattr(transformers, 'ViTImageProcessorPil', transformers.ViTImageProcessor)
    processor = kind(do_resize=False, **settings)
    processor.save_pretrained(tmp_path)
    values = Encoder(f'hf:{tmp_path}').pixel_values
    image = torch.arange(3 * 64 * 64).remainder(256).view(64, 64, 3).to(torch.uint8)
    expected = processor(images=image.numpy(), return_tensors='pt')['pixel_values'][0]
    mean, std = (torch.tensor(values[key])[:, None, None] for key in ('mean', 'std'))
    found = (image.permute(2, 0, 1).float() - mean) / std
    torch.testing.assert_close(found, expected.float(), atol=1e-4, rtol=1e-5)


def test_a_classifiers_file_loads_without_its_head(tmp_path):
    network = save_folder(tmp_path, 'vit', transformers.ViTForImageClassification)
    encoder = Encoder(f'hf:{tmp_path}')
    encoder.load(tmp_path)
    own = {f'vit.{n}': t for n, t in encoder.network.state_dict().items() if 'pooler' not in n}
    held = network.state_dict()
    assert all(torch.equal(held[name], tensor) for name, tensor in own.items())


def test_published_weights_of_a_folder_are_fetched(tmp_path):
    network = save_folder(tmp_path, 'vit')
    encoder = Encoder(f'hf:{tmp_path}', pretrained=True)
    encoder.init_weights()
    for name, tensor in encoder.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


@pytest.mark.parametrize('kind', ['vit', 'resnet'])
def test_files_of_other_networks_are_refused_in_one_line(tmp_path, kind):
    if kind == 'vit':
        state = transformers.AutoModel.from_config(
            transformers.AutoConfig.for_model('vit', **{**SMALL, 'hidden_size': 64})
        ).state_dict()
    else:
        state = transformers.ResNetModel(
            transformers.ResNetConfig(**BACKBONES['resnet'])
        ).state_dict()
    save_file({n: t.contiguous() for n, t in state.items()}, tmp_path / 'other.safetensors')
    encoder = Encoder('hf:vit', arguments=SMALL)
    with pytest.raises(UserError, match=r'other\.safetensors: ') as caught:
        encoder.load(tmp_path / 'other.safetensors')
    assert '\n' not in str(caught.value)


def test_a_missing_tensor_is_refused(tmp_path):
    network = save_folder(tmp_path, 'vit')
    state = dict(network.state_dict())
    missing = next(name for name in state if 'layers.1' in name or 'layer.1' in name)
    del state[missing]
    torch.save(state, tmp_path / 'less.pth')
    with pytest.raises(UserError, match=f'missing: {missing}'):
        Encoder(f'hf:{tmp_path}').load(tmp_path / 'less.pth')


def test_published_weights_that_lack_a_needed_tensor_are_refused(tmp_path):
    network = save_folder(tmp_path, 'vit')
    state = {n: t.contiguous() for n, t in network.state_dict().items() if '.1.' not in n}
    save_file(state, tmp_path / 'model.safetensors', metadata=dict(format='pt'))
    encoder = Encoder(f'hf:{tmp_path}')
    # transformers itself would initialize them at random and warn.
    with pytest.raises(UserError, match=r'published weights .* lack .*\.1\.') as caught:
        encoder.fetch()
    assert '\n' not in str(caught.value)


def test_networks_without_maps_and_wrong_names_are_one_line(monkeypatch):
    for name in ('bert', 'yolos'):
        with pytest.raises(UserError, match=f'{name} gives no maps') as caught:
            Encoder(f'hf:{name}')
        assert '\n' not in str(caught.value)

    def offline(*args, **kwargs):
        raise OSError('offline')

    monkeypatch.setattr(transformers.AutoConfig, 'from_pretrained', offline)
    with pytest.raises(UserError, match=r'nearest: .*dinov2.*network') as caught:
        Encoder('hf:facebook/dinov22')
    assert '\n' not in str(caught.value)


def test_a_network_of_one_block_has_one_layer():
    one = Encoder('hf:vit', arguments=dict(SMALL, num_hidden_layers=1))
    assert one.layers == ['block_1']
    assert one(torch.zeros(1, 3, 32, 48))[0].shape == (1, 32, 2, 3)


def test_unknown_arguments_are_answered_by_the_nearest():
    # transformers itself would keep and ignore them.
    with pytest.raises(UserError, match='num_hiden_layers: did you mean num_hidden_layers'):
        Encoder('hf:vit', arguments=dict(num_hiden_layers=3))


def test_recomputed_activations_give_the_same_gradients():
    torch.manual_seed(0)
    kept = Encoder('hf:dinov2', arguments=small('dinov2'))
    recomputed = Encoder('hf:dinov2', arguments=small('dinov2'), with_cp=True).train()
    recomputed.load_state_dict(kept.state_dict())
    images = torch.randn(1, 3, 32, 48)
    for encoder in (kept, recomputed):
        encoder(images)[0].square().sum().backward()
    for ours, theirs in zip(recomputed.parameters(), kept.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_an_exported_network_gives_the_same_maps():
    torch.manual_seed(0)
    encoder = Encoder('hf:dinov2', arguments=small('dinov2')).eval()
    images = torch.randn(1, 3, 40, 48)
    exported = torch.export.export(encoder, (images,)).module()
    torch.testing.assert_close(exported(images)[0], encoder(images)[0], atol=1e-5, rtol=1e-5)


def test_mmpretrain_imports_beside_transformers():
    from mmpretrain.models import ImageClassifier

    assert ImageClassifier.__module__.startswith('mmpretrain')
