"""Files of DiT: every tensor is used, and a backbone takes what it reaches."""

import pytest
import torch

from mmaddp.checkpoints import (
    convert_checkpoint,
    convert_file,
    read_checkpoint,
    recognize_source,
)
from mmaddp.models import ADDPViT, DDAEDiT, DDAEUNet
from mmaddp.utils import UserError

from .layouts import equal, published

TINY = {'embed_dims': 32, 'num_layers': 3, 'num_heads': 2, 'input_size': 8, 'num_classes': 5}


def network(**settings):
    torch.manual_seed(0)
    model = DDAEDiT(**{**TINY, **settings})
    for tensor in model.state_dict().values():
        tensor.normal_(std=0.2)
    return model


def pretrained(path, **settings):
    """A backbone that takes a file."""
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(path)}
    model = DDAEDiT(**{**TINY, **settings}, init_cfg=init_cfg)
    model.init_weights()
    return model


def test_the_released_file_fills_the_network(shared):
    tensors = published('DiT-XL-2-256x256', shared)
    assert recognize_source(tensors) == 'dit'
    with torch.device('meta'):
        model = DDAEDiT('xlarge')
    converted = convert_checkpoint(tensors)
    assert len(converted) == len(tensors)
    model.load_state_dict(converted, strict=True)


def test_of_a_training_file_the_moving_average_is_taken(reference_layout):
    average = reference_layout('dit-tiny')
    last = {name: torch.zeros_like(tensor) for name, tensor in average.items()}
    checkpoint = {'model': last, 'ema': average, 'opt': {}, 'args': None}
    assert equal(convert_checkpoint(checkpoint, 'dit'), convert_checkpoint(average, 'dit'))


def test_a_converted_file_and_a_run_of_ours_convert_too(tmp_path):
    state = network().state_dict()
    assert recognize_source(state) == 'mmaddp'
    assert equal(convert_checkpoint(state), state)
    run = {f'network.{name}': tensor for name, tensor in state.items()}
    torch.save({'meta': {}, 'state_dict': {**run, 'other.bias': torch.ones(2)}}, tmp_path / 'a.pth')
    report = convert_file(tmp_path / 'a.pth', tmp_path / 'b.safetensors')
    assert equal(read_checkpoint(tmp_path / 'b.safetensors')['state_dict'], state)
    kept = {part.name: part.fate for part in report.parts}
    assert kept.pop('other').startswith('dropped')
    assert set(kept.values()) == {'kept'}
    assert equal(convert_checkpoint(run, target='pretrain'), run)


def test_a_truncated_backbone_converts_and_goes_on(tmp_path):
    truncated = network(out_blocks=('layer-1',), time=5)
    run = {f'backbone.{name}': tensor for name, tensor in truncated.state_dict().items()}
    torch.save({'state_dict': run}, tmp_path / 'run.pth')
    again = pretrained(tmp_path / 'run.pth', out_blocks=('layer-1',), time=5)
    assert equal(again.state_dict(), truncated.state_dict())
    with pytest.raises(UserError, match=r'run.pth: holds .*num_layers=2.*builds .*num_layers=3'):
        pretrained(tmp_path / 'run.pth')


def test_positions_are_resized_to_other_latents(tmp_path):
    source = network()
    torch.save(source.state_dict(), tmp_path / 'dit.pth')
    model = pretrained(tmp_path / 'dit.pth', input_size=16)
    assert model.pos_embed.shape == (1, 64, 32)
    latents = torch.randn(1, 4, 16, 16)
    timesteps = torch.tensor([7])
    torch.testing.assert_close(
        model.predict(latents, timesteps), source.predict(latents, timesteps), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_classes=10), 'set num_classes'),
        (dict(learn_sigma=False), 'set learn_sigma'),
        (dict(patch_size=4), 'set patch_size'),
        (dict(embed_dims=64), 'set arch=dict.embed_dims=32, num_layers=3'),
    ],
)
def test_other_sizes_are_refused_with_the_setting(settings, message, tmp_path):
    torch.save(network().state_dict(), tmp_path / 'dit.pth')
    with pytest.raises(UserError, match=message):
        pretrained(tmp_path / 'dit.pth', **settings)


def test_another_network_is_refused_by_name(tmp_path):
    arch = {'embed_dims': 32, 'num_layers': 3, 'num_heads': 2}
    others = [ADDPViT(arch, img_size=64), DDAEUNet(base_channels=32, num_blocks=1)]
    for other in others:
        name = type(other).__name__
        torch.save({'state_dict': other.state_dict()}, tmp_path / f'{name}.pth')
        with pytest.raises(UserError, match=f'holds {name}, the config builds DDAEDiT: set t'):
            pretrained(tmp_path / f'{name}.pth')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s.pop('blocks.1.adaLN_modulation.1.bias'), r'missing: blocks\.1\.adaLN'),
        (lambda s: s.pop('t_embedder.mlp.0.bias'), r'missing: t_embedder\.mlp\.0'),
        (lambda s: s.update(extra=torch.zeros(1)), 'left over: extra'),
        (
            lambda s: s.update({'final_layer.linear.bias': torch.zeros(3)}),
            'wrong shape: .*final_layer.linear',
        ),
    ],
)
def test_what_does_not_fit_is_named(change, message, reference_layout):
    state = reference_layout('dit-tiny')
    change(state)
    with pytest.raises(UserError, match=message):
        convert_checkpoint(state, 'dit')
