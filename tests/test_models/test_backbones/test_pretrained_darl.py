"""A config names a file of DARL's pre-training; the backbone takes it, adapted, or says why not."""

import pytest
import torch
from torch.nn import functional as F

from mmaddp.models import ADDPViT, DARLViT
from mmaddp.utils import UserError

ARCH = {'embed_dims': 32, 'num_layers': 2, 'num_heads': 2}


def darl_vit(**settings):
    torch.manual_seed(settings.pop('seed', 0))
    return DARLViT(**{'arch': ARCH, 'img_size': 64, **settings})


def addp_vit(**settings):
    return ADDPViT(**{'arch': ARCH, 'img_size': 64, **settings})


@pytest.fixture
def pretrained(tmp_path):
    """A file with random weights of an encoder, as the pre-training saves them; and the weights."""

    def write(encoder, prefix='backbone.'):
        for parameter in encoder.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        state = {f'{prefix}{name}': tensor for name, tensor in encoder.state_dict().items()}
        path = tmp_path / 'epoch_800.pth'
        torch.save({'state_dict': {**state, 'patch_decoder.head.bias': torch.ones(3)}}, path)
        return path, encoder.state_dict()

    return write


def loaded(module, path):
    module.init_cfg = {'type': 'Pretrained', 'checkpoint': str(path)}
    module.init_weights()
    return module


def test_a_causal_pretraining_fills_an_encoder_without_mask(pretrained):
    path, weights = pretrained(darl_vit(causal=True, order='nested-raster', block_size=2))
    module = loaded(darl_vit(seed=1), path)
    assert all(torch.equal(tensor, weights[n]) for n, tensor in module.state_dict().items())
    assert set(module.state_dict()) == set(weights)


def test_a_detection_backbone_drops_start_token_and_norm(pretrained):
    path, weights = pretrained(darl_vit())
    module = loaded(
        darl_vit(
            img_size=128,
            pretrain_img_size=64,
            with_start_token=False,
            final_norm=False,
            window_size=2,
            global_attn_indexes=(1,),
        ),
        path,
    )
    lacking = set(weights) - set(module.state_dict())
    assert lacking == {'start_token', 'norm.weight', 'norm.bias'}
    assert all(torch.equal(tensor, weights[n]) for n, tensor in module.state_dict().items())


def test_two_streams_leave_the_content_stream(pretrained):
    path, weights = pretrained(darl_vit(two_stream=True))
    module = loaded(darl_vit(), path)
    assert all(torch.equal(tensor, weights[n]) for n, tensor in module.state_dict().items())


def test_learned_positions_are_resized_bicubically(pretrained):
    path, weights = pretrained(darl_vit(positions='learnable'))
    module = loaded(darl_vit(positions='learnable', img_size=96), path)
    grid = weights['pos_embed'][:, 1:].reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, size=(6, 6), mode='bicubic', align_corners=False)
    torch.testing.assert_close(module.pos_embed[:, 1:], expected.flatten(2).transpose(1, 2))
    assert torch.equal(module.pos_embed[:, :1], weights['pos_embed'][:, :1])


def test_learned_positions_without_their_start_token(pretrained):
    path, weights = pretrained(darl_vit(positions='learnable'))
    module = loaded(darl_vit(positions='learnable', with_start_token=False), path)
    assert torch.equal(module.pos_embed, weights['pos_embed'][:, 1:])


MISFITS = {
    "ADDP's in DARL's": (addp_vit, darl_vit, "holds ADDPViT.*set type='mmaddp.ADDP"),
    "DARL's in ADDP's": (darl_vit, addp_vit, 'holds DARLViT, the config builds ADDPViT: set'),
    'ADDP without class token': (
        lambda: addp_vit(with_cls_token=False),
        darl_vit,
        'set .*with_start_token=False.*missing: .*start_token',
    ),
    'learned positions': (
        lambda: darl_vit(positions='learnable'),
        darl_vit,
        "set .*positions='learnable'.*left over: .*pos_embed",
    ),
    'no learned positions': (
        darl_vit,
        lambda: darl_vit(positions='learnable'),
        "set positions='rope-2d'.*missing: .*pos_embed",
    ),
    'no start token': (
        lambda: darl_vit(with_start_token=False),
        darl_vit,
        'set with_start_token=False.*missing: .*start_token',
    ),
    'query stream': (darl_vit, lambda: darl_vit(two_stream=True), 'set two_stream=False'),
    'size': (
        darl_vit,
        lambda: darl_vit(arch={**ARCH, 'num_layers': 3}),
        'set arch=dict.embed_dims=32, num_layers=2',
    ),
    'patch': (darl_vit, lambda: darl_vit(patch_size=8), 'set patch_size=16.*patch_embed.* is '),
}


@pytest.mark.parametrize('name', MISFITS)
def test_a_file_that_does_not_fit_says_what_to_set_and_loads_nothing(pretrained, name):
    source, build, message = MISFITS[name]
    encoder = source()
    path, _ = pretrained(encoder, 'encoder.' if isinstance(encoder, ADDPViT) else 'backbone.')
    module = build()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(UserError, match=message) as error:
        module.load(path)
    assert str(error.value).startswith(f'{path}: ')
    assert '\n' not in str(error.value)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
