"""Folders of diffusers: DiT computes what the library computes, and every tensor is used."""

import json

import pytest
import torch
from scripts import load_script
from tiny_diffusers import OURS, save_dit, save_unet

from mmaddp.checkpoints import convert_checkpoint, convert_file, read_checkpoint, recognize_source
from mmaddp.checkpoints.convert import convert
from mmaddp.models import DDAEDiT
from mmaddp.utils import UserError

BLOCK = 'transformer_blocks'


@pytest.fixture(scope='module')
def dit(tmp_path_factory):
    """A pipeline's folder and its transformer."""
    folder = tmp_path_factory.mktemp('pipeline')
    network = save_dit(folder / 'transformer')
    (folder / 'model_index.json').write_text('{"_class_name": "DiTPipeline"}')
    return folder, network


@pytest.mark.parametrize('part', ['', 'transformer'])
@torch.no_grad()
def test_dit_predicts_what_the_library_does(dit, part):
    folder, network = dit
    model = DDAEDiT(**OURS).eval()
    model.load_state_dict(convert_checkpoint(read_checkpoint(folder / part)), strict=True)
    latents, times, labels = torch.randn(3, 4, 8, 8), torch.tensor([0, 7, 999]), torch.arange(3)
    expected = network(latents, times, labels).sample
    torch.testing.assert_close(model.predict(latents, times, labels), expected, atol=1e-5, rtol=0)
    null = network(latents, times, torch.full((3,), 5)).sample
    torch.testing.assert_close(model.predict(latents, times), null, atol=1e-5, rtol=0)


def test_positions_are_the_librarys(dit):
    folder, network = dit
    state = convert_checkpoint(read_checkpoint(folder))
    torch.testing.assert_close(state['pos_embed'], network.pos_embed.pos_embed)


def test_every_tensor_is_accounted_for(dit):
    folder, network = dit
    checkpoint = read_checkpoint(folder)
    assert recognize_source(checkpoint) == 'diffusers'
    parts = convert(checkpoint, 'auto', 'backbone').parts
    assert sum(part.tensors for part in parts) == len(network.state_dict()) + 1
    (copies,) = (part for part in parts if part.fate == 'dropped: the same in all blocks')
    assert copies.tensors == 2 * 5


def test_a_bin_file_is_read_as_data(dit, tmp_path):
    folder, network = dit
    network.save_pretrained(tmp_path, safe_serialization=False)
    one, other = (convert_checkpoint(read_checkpoint(path)) for path in (folder, tmp_path))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_config_and_the_converter_take_the_folder(dit, repository, tmp_path, monkeypatch):
    folder = dit[0]
    tool = load_script(repository / 'tools/model_converters/convert_checkpoint.py')
    monkeypatch.setattr('sys.argv', ['convert', str(folder), str(tmp_path / 'dit.pth')])
    tool.main()
    models = []
    for path in (folder, tmp_path / 'dit.pth'):
        pretrained = dict(type='Pretrained', checkpoint=str(path))
        models.append(DDAEDiT(**OURS, out_blocks=['layer-1'], time=3, init_cfg=pretrained))
        models[-1].init_weights()
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    with pytest.raises(UserError, match='exists; name another file'):
        convert_file(folder, tmp_path / 'dit.pth')


def without(name):
    return lambda tensors: tensors.pop(name)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (without('transformer_blocks.1.attn1.to_k.weight'), r'missing: \S+1.attn1.to_k.weight'),
        (without('transformer_blocks.2.norm1.linear.bias'), r'missing: \S+2.norm1.linear.bias'),
        (without('proj_out_1.bias'), 'missing: proj_out_1.bias'),
        (without('pos_embed.pos_embed'), 'which config.json beside it tells: name the folder'),
        (
            lambda tensors: tensors.update({f'{BLOCK}.0.attn2.to_q.weight': torch.ones(1)}),
            r'left over: \S+attn2.to_q.weight',
        ),
        (
            lambda tensors: tensors.update({'proj_out_2.bias': torch.ones(3)}),
            r'wrong shape: proj_out_2.bias is \(3,\), expected \(32,\)',
        ),
        (
            lambda tensors: tensors[f'{BLOCK}.2.norm1.emb.timestep_embedder.linear_1.bias'].add_(1),
            r'linear_1.bias is not that of block 0: DDAEDiT has one embedding',
        ),
    ],
)
def test_what_does_not_fit_is_named(dit, change, message):
    tensors = {k: v.clone() for k, v in read_checkpoint(dit[0])['state_dict'].items()}
    change(tensors)
    with pytest.raises(UserError, match=message) as error:
        convert_checkpoint(tensors)
    assert '\n' not in str(error.value)


def test_folders_that_are_refused(dit, tmp_path):
    def message(**config):
        (tmp_path / 'config.json').write_text(json.dumps(config))
        with pytest.raises(UserError) as error:
            read_checkpoint(tmp_path)
        assert '\n' not in str(error.value)
        return str(error.value)

    assert 'holds AutoencoderKL, which no network here' in message(_class_name='AutoencoderKL')
    assert 'has neither diffusion_pytorch_model' in message(_class_name='UNet2DModel')
    weights = dit[0] / 'transformer/diffusion_pytorch_model.safetensors'
    (tmp_path / weights.name).write_bytes(weights.read_bytes())
    name = 'DiTTransformer2DModel'
    assert "has activation_fn='geglu', other than our network" in message(
        _class_name=name, activation_fn='geglu'
    )


def test_a_unet_keeps_its_names(tmp_path):
    """Attention in the names of 2022 becomes today's."""
    network = save_unet(tmp_path)
    state = convert_checkpoint(read_checkpoint(tmp_path))
    assert list(state) == [f'unet.{name}' for name in read_checkpoint(tmp_path)['state_dict']]
    old = {
        name.replace('to_q', 'query')
        .replace('to_k', 'key')
        .replace('to_v', 'value')
        .replace('to_out.0', 'proj_attn'): tensor
        for name, tensor in network.state_dict().items()
    }
    assert old.keys() != network.state_dict().keys()
    assert convert_checkpoint(old).keys() == state.keys()
    trained = {f'network.{name}': tensor for name, tensor in state.items()}
    assert convert_checkpoint({**trained, 'head.bias': torch.ones(1)}).keys() == state.keys()
