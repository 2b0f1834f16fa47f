"""The package's own encoders by the same door."""

import pytest
import torch

from mmaddp.models import ADDPViT, DDAEUNet, Encoder
from mmaddp.utils import UserError

ARCH = dict(embed_dims=32, num_layers=3, num_heads=4)
OWN = {
    'ADDPViT': dict(arch=ARCH, img_size=32, patch_size=8),
    'DARLViT': dict(arch=ARCH, img_size=32, patch_size=8),
    'DDAEDiT': dict(arch=ARCH, input_size=8, in_channels=3, num_classes=2),
    'DDAEUNet': dict(base_channels=32, channel_multipliers=(1, 2), num_blocks=1),
}


@pytest.mark.parametrize('name', OWN)
def test_maps_are_the_encoders_own(name):
    torch.manual_seed(0)
    time = 3.0 if 'DDAE' in name else None
    encoder = Encoder(f'mmaddp:{name}', time=time, arguments=OWN[name]).eval()
    images = torch.randn(1, 3, 30, 20)
    with torch.no_grad():
        expected = encoder.network.forward_intermediates(images, time=time)
        found = encoder.forward_intermediates(images, time=time)
    assert encoder.layers == encoder.network.layers == list(found)
    for layer, ours in found.items():
        assert ours.shape[1] == encoder.channels(layer)
        torch.testing.assert_close(ours, expected[layer], atol=1e-5, rtol=1e-5)
    encoder.train()
    sum(one.square().sum() for one in encoder(images)).backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.requires_grad or parameter.grad is None, parameter_name


def test_positions_are_resized_where_the_network_is_measured():
    # Made for 256 x 256 pixels, and measured with 64 x 64.
    assert Encoder('mmaddp:ADDPViT', arguments=dict(arch=ARCH)).stride('block_1') == 16


def test_files_load_by_the_encoders_own_rules(tmp_path):
    trained = ADDPViT(**OWN['ADDPViT'])
    torch.save({'state_dict': trained.state_dict(), 'meta': {}}, tmp_path / 'encoder.pth')
    encoder = Encoder('mmaddp:ADDPViT', arguments=OWN['ADDPViT'])
    encoder.load(tmp_path / 'encoder.pth')
    for name, tensor in encoder.network.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name])
    # As a training of a detector saves it.
    held = {f'backbone.{name}': tensor + 1 for name, tensor in encoder.state_dict().items()}
    torch.save({'state_dict': held, 'meta': {}}, tmp_path / 'iter_1.pth')
    again = Encoder('mmaddp:ADDPViT', arguments=OWN['ADDPViT'])
    again.load(tmp_path / 'iter_1.pth')
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, held[f'backbone.{name}'])


UNET = dict(OWN['DDAEUNet'], process=dict(type='mmaddp.EDM'))


def test_a_denoisers_images_are_shrunk_and_scaled_as_by_itself():
    torch.manual_seed(0)
    encoder = Encoder('mmaddp:DDAEUNet', time=0.1, arguments=dict(UNET, reduction=2)).eval()
    blocks = encoder.layers
    alone = DDAEUNet(**UNET, out_blocks=blocks, time=0.1, reduction=2).eval()
    alone.load_state_dict(encoder.network.state_dict(), strict=False)
    images = torch.randn(1, 3, 40, 24)
    with torch.no_grad():
        found = encoder.forward_intermediates(encoder.network_input(images), time=0.1)
        expected = alone(images)
    for layer, theirs in zip(blocks, expected):
        torch.testing.assert_close(found[layer], theirs, atol=1e-5, rtol=1e-5)
        assert encoder.stride(layer) == 40 // theirs.shape[2]


def test_a_file_of_a_process_needs_the_process(tmp_path):
    network = DDAEUNet(**UNET, out_blocks=['out_2'], time=0.1)
    meta = {'mmaddp': {'model': network.checkpoint_meta}}
    file = tmp_path / 'edm.pth'
    torch.save({'state_dict': DDAEUNet(**OWN['DDAEUNet']).state_dict(), 'meta': meta}, file)
    with pytest.raises(UserError, match=r'edm\.pth: was trained with process=.*arguments\.process'):
        Encoder('mmaddp:DDAEUNet', time=0.1, arguments=OWN['DDAEUNet']).load(file)
    Encoder('mmaddp:DDAEUNet', time=0.1, arguments=UNET).load(file)


def test_an_autoencoder_belongs_to_the_encoder_itself():
    settings = dict(OWN['DDAEDiT'], autoencoder=dict(type='mmaddp.KLAutoencoder', folder='vae'))
    with pytest.raises(UserError, match=r"type='mmaddp\.DDAEDiT'"):
        Encoder('mmaddp:DDAEDiT', time=3, arguments=settings)


def test_names_of_no_encoder_are_one_line():
    with pytest.raises(UserError, match='did you mean ADDPViT'):
        Encoder('mmaddp:ADDPVit')
    with pytest.raises(UserError, match='no such encoder'):
        Encoder('mmaddp:VQGAN')
    with pytest.raises(UserError, match=r'img_size: not for mmaddp:ADDPViT: set arguments'):
        Encoder('mmaddp:ADDPViT', img_size=32, arguments=OWN['ADDPViT'])
