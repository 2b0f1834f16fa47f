"""All encoders give their layers by the same call."""

import pytest
import torch
from tiny_diffusers import save_unet

from mmaddp.models import ADDPViT, DARLViT, DDAEDiT, DDAEUNet, DiffusersUNet
from mmaddp.models.backbones import BaseEncoder
from mmaddp.models.pixel_values import IMAGES_TO_SIGNED_RANGE, NORMALIZED_IMAGES
from mmaddp.utils import UserError

ARCH = dict(embed_dims=32, num_layers=3, num_heads=4)
UNET = dict(base_channels=32, channel_multipliers=(1, 2), num_blocks=1)
ENCODERS = {
    'ADDPViT': lambda **k: ADDPViT(ARCH, img_size=32, patch_size=8, **k),
    'DARLViT': lambda **k: DARLViT(ARCH, img_size=32, patch_size=8, causal=True, **k),
    'DDAEDiT': lambda **k: DDAEDiT(ARCH, input_size=8, in_channels=3, num_classes=2, **k),
    'DDAEUNet': lambda **k: DDAEUNet(**UNET, **k),
}


@pytest.fixture(params=[*ENCODERS, 'DiffusersUNet'])
def build(request, tmp_path):
    if request.param in ENCODERS:
        return ENCODERS[request.param]
    pytest.importorskip('diffusers')
    save_unet(tmp_path)
    return lambda **settings: DiffusersUNet(str(tmp_path), **settings)


def test_every_encoder_gives_its_layers_by_one_call(build):
    torch.manual_seed(0)
    encoder = build().eval()
    time = 3.0 if encoder.takes_time else None
    images = torch.randn(2, 3, 30, 20)
    assert isinstance(encoder, BaseEncoder)
    with torch.no_grad():
        every = encoder.forward_intermediates(images, time=time)
        assert list(every) == encoder.layers
        for layer, feature in every.items():
            assert feature.ndim == 4
            assert feature.shape[:2] == (2, encoder.channels(layer))
            alone = encoder.forward_intermediates(images, [layer], time)
            assert list(alone) == [layer]
            assert torch.equal(alone[layer], feature)
        if encoder.takes_time:
            times = torch.full((2,), time)
            layer = encoder.layers[-1]
            found = encoder.forward_intermediates(images, [layer], times)[layer]
            assert torch.equal(found, every[layer])


def test_the_pass_ends_behind_the_last_layer(build, monkeypatch):
    encoder, computed = build().eval(), []
    outputs = encoder.layer_outputs

    def counted(x, time):
        for output in outputs(x, time):
            computed.append(output)
            yield output

    monkeypatch.setattr(encoder, 'layer_outputs', counted)
    time = 3.0 if encoder.takes_time else None
    encoder.forward_intermediates(torch.randn(1, 3, 16, 16), encoder.layers[1::-1], time)
    assert len(computed) == 2


def test_layer_settings_make_a_backbone_of_a_layer(build):
    torch.manual_seed(0)
    whole = build().eval()
    time = 3 if whole.takes_time else None
    layer = whole.layers[1]
    backbone = build(**whole.layer_settings(layer, time)).eval()
    own = backbone.state_dict()
    backbone.load_state_dict({name: whole.state_dict()[name] for name in own})
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        (feature,) = backbone(images)
        expected = whole.forward_intermediates(images, [layer], time)[layer]
    torch.testing.assert_close(feature, expected)


def test_each_encoder_says_which_pixels_it_expects(build):
    encoder = build()
    expected = IMAGES_TO_SIGNED_RANGE if encoder.takes_time else NORMALIZED_IMAGES
    assert encoder.pixel_values == expected


def test_unknown_layers_and_times_of_no_use_are_refused(build):
    encoder = build()
    time, useless = (3.0, None) if encoder.takes_time else (None, 3.0)
    images = torch.zeros(1, 3, 16, 16)
    with pytest.raises(UserError, match=f'layers out_99: the network has {encoder.layers[0]}'):
        encoder.forward_intermediates(images, ['out_99'], time)
    with pytest.raises(UserError, match=r'time'):
        encoder.forward_intermediates(images, time=useless)
