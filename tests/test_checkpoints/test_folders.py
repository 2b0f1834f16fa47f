"""Folders of transformers and timm give the same features here, and are read as data."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from scripts import load_script

from mmaddp.checkpoints import convert_file, read_checkpoint, recognize_source
from mmaddp.models import ADDPViT
from mmaddp.utils import UserError

from .layouts import random_weights

SIZES = dict(embed_dims=32, num_layers=2, num_heads=4)
VIT = dict(model_type='vit', hidden_act='gelu', layer_norm_eps=1e-12, num_attention_heads=4)


def save_folder(path, state, config, shards=1):
    """A folder as transformers saves it, in one file or in shards with an index."""
    path.mkdir(parents=True, exist_ok=True)
    (path / 'config.json').write_text(json.dumps(config))
    names = sorted(state)
    if shards == 1:
        save_file(state, path / 'model.safetensors')
        return path
    files = {
        name: f'model-{i % shards + 1}-of-{shards}.safetensors' for i, name in enumerate(names)
    }
    for file in set(files.values()):
        save_file({n: state[n] for n in names if files[n] == file}, path / file)
    index = {'metadata': {}, 'weight_map': files}
    (path / 'model.safetensors.index.json').write_text(json.dumps(index))
    return path


def timm_vit(**settings):
    torch.manual_seed(0)
    settings = dict(img_size=64, embed_dim=32, depth=2, num_heads=4, num_classes=0, **settings)
    model = timm.models.VisionTransformer(**settings).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


BLOCK = {
    'norm1': 'layernorm_before',
    'attn.proj': 'attention.output.dense',
    'norm2': 'layernorm_after',
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
}


def hf_names(model, prefix='', dino=False):
    """A model of timm in the names of transformers."""
    outer = {
        'cls_token': 'embeddings.cls_token',
        'pos_embed': 'embeddings.position_embeddings',
        'reg_token': 'embeddings.register_tokens',
    }
    state = {}
    for name, tensor in model.state_dict().items():
        if name in outer:
            state[prefix + outer[name]] = tensor
        elif name.startswith('patch_embed.proj.'):
            kind = name.rpartition('.')[2]
            state[f'{prefix}embeddings.patch_embeddings.projection.{kind}'] = tensor
        elif name.startswith('norm.'):
            state[f'{prefix}layernorm.{name[5:]}'] = tensor
        else:
            _, number, layer = name.split('.', 2)
            layer, kind = layer.rsplit('.', 1)
            block = f'{prefix}encoder.layer.{number}.'
            if layer == 'attn.qkv':
                for part, piece in zip(('query', 'key', 'value'), tensor.chunk(3)):
                    state[f'{block}attention.attention.{part}.{kind}'] = piece.clone()
            elif kind == 'gamma':
                state[f'{block}layer_scale{layer[-1]}.lambda1'] = tensor
            else:
                kept = dino and layer != 'attn.proj'
                state[f'{block}{layer if kept else BLOCK[layer]}.{kind}'] = tensor
    return state


def encoder_of(path, **settings):
    pretrained = dict(type='Pretrained', checkpoint=str(path))
    settings = dict(arch=SIZES, img_size=64, embed_norm=False, init_cfg=pretrained, **settings)
    encoder = ADDPViT(**settings).eval()
    encoder.init_weights()
    return encoder


def check_tokens(encoder, expected, side=64):
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(
            encoder.forward_tokens(images), expected(images), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize('shards', [1, 3])
@pytest.mark.parametrize('prefix', ['', 'vit.'])
def test_a_vit_in_the_names_of_transformers(tmp_path, prefix, shards):
    reference = timm_vit()
    state = hf_names(reference, prefix)
    state |= (
        {'pooler.dense.weight': torch.ones(32, 32)}
        if not prefix
        else {
            'classifier.weight': torch.ones(5, 32),
            'decoder.mask_token': torch.ones(1, 1, 16),
            'vit.embeddings.mask_token': torch.ones(1, 1, 32),
        }
    )
    folder = save_folder(tmp_path / 'vit', state, VIT, shards)
    assert recognize_source(read_checkpoint(folder)) == 'transformers'
    check_tokens(encoder_of(folder), reference.forward_features)
    report = convert_file(folder, tmp_path / 'backbone.pth')
    assert sum(part.tensors for part in report.parts) == len(state)


@pytest.mark.parametrize('registers', [0, 4])
def test_dinov2_keeps_its_layer_scale_and_registers(tmp_path, registers):
    """Through conversion, loading, training and saving."""
    reference = timm_vit(init_values=0.1, reg_tokens=registers, no_embed_class=bool(registers))
    state = hf_names(reference, dino=True)
    if registers:  # transformers has a position for the class token
        positions = state['embeddings.position_embeddings']
        zero = torch.zeros(1, 1, 32)
        state['embeddings.position_embeddings'] = torch.cat([zero, positions], dim=1)
    state['embeddings.mask_token'] = torch.ones(1, 32)
    folder = save_folder(tmp_path / 'dinov2', state, dict(VIT, model_type='dinov2'))
    settings = dict(layer_scale_init_value=1e-5, num_registers=registers)
    encoder = encoder_of(folder, **settings)
    check_tokens(encoder, reference.forward_features)
    gamma = reference.state_dict()['blocks.1.ls2.gamma']
    assert torch.equal(encoder.blocks[1].ls2.gamma, gamma)
    convert_file(folder, tmp_path / 'backbone.pth')
    converted = encoder_of(tmp_path / 'backbone.pth', **dict(settings, final_norm=False))
    assert torch.equal(converted.blocks[1].ls2.gamma, gamma)
    optimizer = torch.optim.SGD(converted.parameters(), lr=0.1)
    converted(torch.randn(1, 3, 64, 64))[0].square().mean().backward()
    optimizer.step()
    assert not torch.equal(converted.blocks[1].ls2.gamma, gamma)
    torch.save({'state_dict': converted.state_dict()}, tmp_path / 'trained.pth')
    again = encoder_of(tmp_path / 'trained.pth', **dict(settings, final_norm=False))
    assert torch.equal(again.blocks[1].ls2.gamma, converted.blocks[1].ls2.gamma)
    with pytest.raises(UserError, match='layer_scale_init_value=1e-05'):
        encoder_of(folder)


def transformers_model(name, config, **settings):
    """A small model of transformers with random weights."""
    transformers = pytest.importorskip('transformers')
    settings = dict(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=64,
        patch_size=16,
        **settings,
    )
    torch.manual_seed(0)
    model = getattr(transformers, name)(getattr(transformers, config)(**settings)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


MLP = dict(intermediate_size=128)
DECODER = dict(
    decoder_hidden_size=16,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=32,
)
MODELS = {
    'ViTModel': ('ViTConfig', MLP, {}),
    'ViTForImageClassification': ('ViTConfig', MLP, {}),
    'ViTForMaskedImageModeling': ('ViTConfig', MLP, {}),
    'ViTMAEModel': ('ViTMAEConfig', dict(MLP, mask_ratio=0.0), {}),
    'ViTMAEForPreTraining': ('ViTMAEConfig', {**MLP, **DECODER, 'mask_ratio': 0.0}, {}),
    'Dinov2Model': ('Dinov2Config', {}, dict(layer_scale_init_value=1.0)),
    'Dinov2WithRegistersModel': (
        'Dinov2WithRegistersConfig',
        {},
        dict(layer_scale_init_value=1.0, num_registers=4),
    ),
}


@pytest.mark.parametrize('shards', [1, 2])
@pytest.mark.parametrize('name', MODELS)
def test_transformers_computes_the_same(tmp_path, name, shards):
    config, settings, ours = MODELS[name]
    model = transformers_model(name, config, **settings)
    model.save_pretrained(tmp_path, max_shard_size='30KB' if shards > 1 else '1GB')
    assert (tmp_path / 'model.safetensors').is_file() == (shards == 1)
    encoder = encoder_of(tmp_path, **ours)
    network = model.base_model

    def expected(images):
        # ViTMAE shuffles its patches by noise, even when it masks none.
        noise = torch.arange(16.0).expand(len(images), -1)
        return network(images, **(dict(noise=noise) if 'MAE' in name else {})).last_hidden_state

    check_tokens(encoder, expected)


def test_heads_are_those_of_the_config(tmp_path):
    """No tensor tells them: with another number the features would be wrong in silence."""
    folder = save_folder(tmp_path / 'vit', hf_names(timm_vit()), dict(VIT, num_attention_heads=8))
    with pytest.raises(UserError, match=r'trained with num_heads=8, .* has num_heads=4: set num_h'):
        encoder_of(folder)
    convert_file(folder, tmp_path / 'backbone.pth')
    with pytest.raises(UserError, match=r'trained with num_heads=8, .* has num_heads=4: set num_h'):
        encoder_of(tmp_path / 'backbone.pth', final_norm=False)


def test_a_folder_of_timms_hub(tmp_path):
    torch.manual_seed(0)
    name = 'vit_tiny_patch16_224'
    reference = timm.create_model(name, pretrained=False).eval()
    config = dict(architecture=name, num_classes=1000, num_features=192, pretrained_cfg={})
    folder = save_folder(tmp_path / 'timm', reference.state_dict(), config)
    pretrained = dict(type='Pretrained', checkpoint=str(folder))
    arch = dict(embed_dims=192, num_layers=12, num_heads=3)
    settings = dict(img_size=224, embed_norm=False, init_cfg=pretrained)
    encoder = ADDPViT(arch, **settings).eval()
    encoder.init_weights()
    check_tokens(encoder, reference.forward_features, side=224)
    with pytest.raises(UserError, match='num_heads=3'):
        ADDPViT(dict(arch, num_heads=4), **settings).init_weights()


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(VIT, model_type='clip'), 'holds clip, which no network here takes'),
        (dict(VIT, hidden_act='gelu_new'), "vit has hidden_act='gelu_new', other than our network"),
        (dict(VIT, layer_norm_eps=1e-5), 'vit has layer_norm_eps=1e-05, other than our network'),
        (dict(architecture='resnet18'), 'has the network ResNet, other than our network'),
        (dict(architecture='vit_base_patch16_clip_quickgelu_224'), 'has the activation QuickGELU'),
    ],
)
def test_networks_that_compute_something_else_are_refused(tmp_path, config, message):
    folder = save_folder(tmp_path / 'other', {'weight': torch.ones(1)}, config)
    with pytest.raises(UserError, match=message) as error:
        read_checkpoint(folder)
    assert str(error.value).startswith(f'{folder}: ')
    assert 'mmaddp.Encoder may take it' in str(error.value)
    assert '\n' not in str(error.value)


def test_folders_that_are_incomplete_are_told(tmp_path):
    state = hf_names(timm_vit())

    def message(path):
        with pytest.raises(UserError) as error:
            read_checkpoint(path)
        assert '\n' not in str(error.value)
        return str(error.value)

    folder = save_folder(tmp_path / 'shards', state, VIT, shards=2)
    (folder / 'model-2-of-2.safetensors').unlink()
    assert 'lacks model-2-of-2.safetensors of model.safetensors.index.json' in message(folder)
    folder = save_folder(tmp_path / 'none', state, VIT)
    (folder / 'model.safetensors').unlink()
    assert 'has neither model.safetensors nor pytorch_model.bin: download' in message(folder)
    (folder / 'tf_model.h5').touch()
    assert '(only tf_model.h5, of another framework)' in message(folder)
    (folder / 'config.json').write_text('{"model_type":')
    assert 'config.json is damaged' in message(folder)
    (folder / 'config.json').unlink()
    assert 'Is a directory' in message(folder)
    (folder / '.metadata').touch()
    assert 'dcp_to_torch' in message(folder)


def test_an_index_leads_to_no_other_folder(tmp_path):
    folder = save_folder(tmp_path / 'vit', hf_names(timm_vit()), VIT, shards=2)
    (folder / 'model-1-of-2.safetensors').rename(tmp_path / 'outside.safetensors')
    index = folder / 'model.safetensors.index.json'
    index.write_text(index.read_text().replace('model-1-of-2', '../outside'))
    with pytest.raises(UserError, match=r'lacks \.\./outside\.safetensors'):
        read_checkpoint(folder)


def test_the_cache_of_the_hub_is_taken(tmp_path, repository, capsys):
    cache = tmp_path / 'models--google--vit-base-patch16-224'
    (cache / 'refs').mkdir(parents=True)
    (cache / 'refs/main').write_text('3f49326')
    reference = timm_vit()
    save_folder(cache / 'snapshots/3f49326', hf_names(reference), VIT)
    check_tokens(encoder_of(cache), reference.forward_features)
    tool = load_script(repository / 'tools/model_converters/convert_checkpoint.py')
    tool.main([str(cache), str(tmp_path / 'backbone.pth')])
    assert "('transformers') ->" in capsys.readouterr().out


def test_a_bin_file_is_read_as_data(tmp_path):
    reference = timm_vit()
    folder = save_folder(tmp_path / 'vit', {'a': torch.ones(1)}, VIT)
    (folder / 'model.safetensors').unlink()
    torch.save(hf_names(reference), folder / 'pytorch_model.bin')
    check_tokens(encoder_of(folder), reference.forward_features)
    torch.save({'weights': random_weights({'a': (1,)}), 'x': print}, folder / 'pytorch_model.bin')
    with pytest.raises(UserError, match='refused: it asks for'):
        read_checkpoint(folder)
