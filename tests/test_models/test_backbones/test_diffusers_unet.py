"""UNets of diffusers: the library's predictions, features, truncation and generation."""

import pytest
import torch
from mmengine.config import Config
from scripts import load_script, read_image_folder
from tiny_diffusers import save_unet

from mmaddp.apis import extract_features, load_pretrainer
from mmaddp.models import DDAEUNet, DiffusersUNet
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A pipeline's folder and its UNet."""
    folder = tmp_path_factory.mktemp('pipeline')
    network = save_unet(folder / 'unet')
    (folder / 'model_index.json').write_text('{"_class_name": "DDPMPipeline"}')
    return folder, network


def load(folder, **settings):
    model = DiffusersUNet(str(folder), **settings)
    model.init_weights()
    return model.eval()


@torch.no_grad()
def test_predicts_what_the_library_does(published):
    folder, network = published
    x, time = torch.randn(2, 3, 8, 12), torch.tensor([0.0, 999.0])
    for path in (folder, folder / 'unet'):
        expected = network(x, time.long()).sample
        torch.testing.assert_close(load(path).predict(x, time), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_features_are_those_of_the_librarys_layers(published):
    folder, network = published
    seen = {}
    layers = {
        'out_1': network.up_blocks[0].attentions[0],
        'out_2': network.up_blocks[0].attentions[1],
        'out_3': network.up_blocks[1].resnets[0],
        'out_4': network.up_blocks[1].resnets[1],
    }
    hooks = [
        layer.register_forward_hook(lambda *call, name=name: seen.update({name: call[2]}))
        for name, layer in layers.items()
    ]
    x, time = torch.randn(2, 3, 8, 8), torch.tensor([11, 11])
    network(x, time)
    for hook in hooks:
        hook.remove()
    model = load(folder)
    features = model.block_features(x, time)
    assert list(features) == list(layers)
    for name, feature in features.items():
        torch.testing.assert_close(feature, seen[name], atol=1e-5, rtol=1e-5)
        block = model.up_blocks[name]
        assert feature.shape == (2, block.channels, 8 // block.stride, 8 // block.stride)
    assert list(model.forward_intermediates(x, ['out_2'], time)) == ['out_2']


@pytest.mark.parametrize('last', ['out_1', 'out_2', 'out_3', 'out_4'])
def test_truncation_drops_what_is_not_reached(published, last):
    """A backbone takes images of any size; all that it has left gets a gradient."""
    folder, whole = published[0], load(published[0])
    encoder = load(folder, out_blocks=['out_1', last], time=7)
    images = torch.randn(2, 3, 9, 14)
    maps = encoder(images)
    time = torch.tensor([7, 7])
    expected = whole.block_features(images, time)
    for name, map_ in zip(['out_1', last], maps):
        torch.testing.assert_close(map_, expected[name])
    maps[1].sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    whole.forward_intermediates(images, [last], time)[last].sum().backward()
    reached = {name for name, one in whole.named_parameters() if one.grad is not None}
    assert reached == dict(encoder.named_parameters()).keys()
    with pytest.raises(ValueError, match=f'is truncated behind {last} and cannot predict'):
        encoder.predict(images, time)


def test_frozen(published):
    encoder = load(published[0], out_blocks=['out_2'], time=0, frozen=True).train()
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def ddae(folder):
    return dict(
        type='mmaddp.DDAE',
        network=dict(type='mmaddp.DiffusersUNet', folder=str(folder)),
        process=dict(type='mmaddp.DDPM', num_timesteps=8, time_input='index'),
        img_size=8,
    )


def test_generation_and_features(published, repository, tmp_path):
    """From the folder itself and from a checkpoint of our training."""
    folder = published[0]
    Config(dict(default_scope='mmaddp', model=ddae(folder))).dump(tmp_path / 'tiny.py')
    model = load_pretrainer(tmp_path / 'tiny.py', device='cpu')
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'iter_1.pth')
    generate = load_script(repository / 'tools/generate.py').main
    generated = []
    for number, checkpoint in enumerate((folder, tmp_path / 'iter_1.pth')):
        words = [tmp_path / 'tiny.py', checkpoint, '--num-images', 1, '--device', 'cpu']
        generate([str(word) for word in (*words, '--out-dir', tmp_path / str(number))])
        generated.append(read_image_folder(tmp_path / str(number))['000000.png'])
    assert generated[0].std() > 10
    assert model.layers == ['out_1', 'out_2', 'out_3', 'out_4']
    model.encoder_module.load(folder)
    features = model.forward_intermediates(torch.randn(2, 3, 8, 8), ['out_2'], 3)['out_2']
    assert features.shape[:2] == (2, model.channels('out_2')) == (2, 64)
    assert (generated[0] == generated[1]).all()
    images = torch.randint(256, (2, 8, 8, 3), dtype=torch.uint8).numpy()
    (features,) = extract_features(model, images, level=3, layers=['out_3'])
    assert features.shape == (2, 32, 8, 8)
    encoder = DiffusersUNet(
        str(folder),
        out_blocks=['out_3'],
        time=2,
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'iter_1.pth')),
    )
    encoder.init_weights()
    signed = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = encoder.eval()(signed)[0]
    torch.testing.assert_close(extract_features(encoder, images)[0], expected)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_class_embeds=3), r'num_class_embeds=3, DiffusersUNet supports None'),
        (
            dict(down_block_types=('DownBlock2D', 'SkipDownBlock2D')),
            'SkipDown.* supports .*AttnDownBlock2D',
        ),
        (dict(time_embedding_type='fourier'), "time_embedding_type='fourier'"),
    ],
)
def test_other_networks_are_refused(settings, message, tmp_path):
    save_unet(tmp_path, **settings)
    with pytest.raises(UserError, match=message) as error:
        DiffusersUNet(str(tmp_path))
    assert '\n' not in str(error.value)


def test_folders_and_weights_that_do_not_fit(published, tmp_path):
    folder = published[0]
    with pytest.raises(UserError, match=r'has no config\.json: set a folder with'):
        DiffusersUNet(str(tmp_path))
    with pytest.raises(ValueError, match='layers out_9: the network has out_1, out_2, out_3'):
        DiffusersUNet(str(folder), out_blocks=['out_9'], time=0)
    save_unet(tmp_path / 'other', block_out_channels=(32, 32))
    with pytest.raises(
        UserError, match=r'other: does not fit the DiffusersUNet of the config: .*\(missing: '
    ):
        load(folder, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'other')))
    torch.save(DDAEUNet(base_channels=32).state_dict(), tmp_path / 'unet.pth')
    with pytest.raises(UserError, match=r'unet.pth: does not fit .*missing: unet.conv_in.weight'):
        load(folder, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'unet.pth')))
