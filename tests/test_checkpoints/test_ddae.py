"""DDAE's training files and UNets of this package: every tensor is used, or dropped and told."""

import pytest
import torch
from tiny_unet import PUBLISHED, TIME, TINY, TINY_PP, build, encoder_of, training_file

from mmaddp.checkpoints import convert_checkpoint, convert_file, read_checkpoint, recognize_source
from mmaddp.checkpoints.convert import convert
from mmaddp.models import ADDPViT, DDAEUNet
from mmaddp.utils import UserError

from .layouts import addp_encoder_shapes, equal, published, random_weights


@pytest.fixture(scope='module')
def tiny(reference_layout):
    """The small DDPM network in the authors' names."""
    return reference_layout('ddae-unet-ddpm-tiny')


@pytest.mark.parametrize('name', list(PUBLISHED))
def test_published_files_fill_the_full_networks(shared, name):
    checkpoint = training_file(published(f'ddae-unet-{name}', shared))
    assert recognize_source(checkpoint) == 'ddae'
    with torch.device('meta'):
        model = DDAEUNet(**PUBLISHED[name])
    model.load_state_dict(convert_checkpoint(checkpoint), strict=True)
    whole = convert_checkpoint(checkpoint, 'ddae', 'pretrain')
    assert list(whole) == [f'network.{key}' for key in convert_checkpoint(checkpoint)]


def test_every_tensor_is_accounted_for(tiny):
    conversion = convert(training_file(tiny), 'ddae', 'backbone')
    fates = {(part.name, part.fate): part for part in conversion.parts}
    kept = [part for part in conversion.parts if part.fate == 'kept']
    assert sum(part.parameters for part in kept) == sum(t.numel() for t in tiny.values())
    last = fates['last step', 'dropped: its moving average is used']
    assert last.tensors == 2 * len(tiny)
    assert fates['state of the average', 'dropped: only training uses it'].tensors == 2


def test_the_average_is_taken_and_not_the_last_step(tiny):
    state = convert_checkpoint(training_file(tiny))
    assert torch.equal(state['down.3.attn.qkv.weight'], tiny['down.3.attn.projection.weight'])
    assert torch.equal(state['middle.1.res.conv2.bias'], tiny['middle.res2.conv2.1.bias'])
    assert torch.equal(state['conv_out.weight'], tiny['final.weight'])


@pytest.mark.parametrize(
    'strip',
    [
        lambda file: file.pop('EMA'),
        lambda file: file.update(EMA={'online_model.x': torch.zeros(1)}),
    ],
)
def test_a_file_without_an_average_is_refused_in_one_line(tiny, strip):
    checkpoint = training_file(tiny)
    strip(checkpoint)
    with pytest.raises(UserError, match='holds no EMA weights') as error:
        convert_checkpoint(checkpoint)
    assert '\n' not in str(error.value)


def changed(name, tensor=None):
    """Take a tensor of the average away, or put another in its place."""

    def change(average):
        average.pop(name, None)
        if tensor is not None:
            average[name] = tensor

    return change


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (changed('down.2.conv.bias'), r'missing: EMA\S+down.2.conv.bias'),
        (changed('down.3.attn.norm.weight'), r'missing: EMA\S+down.3.attn.norm.weight'),
        (changed('up.14.res.shortcut.bias'), r'missing: EMA\S+up.14.res.shortcut.bias'),
        (changed('final.bias'), r'missing: EMA\S+final.bias'),
        (changed('down.3.extra', torch.zeros(1)), r'left over: EMA\S+down.3.extra'),
        (
            changed('middle.attn.output.bias', torch.zeros(7)),
            r'wrong shape: EMA\S+middle.attn.output.bias is \(7,\), expected \(64,\)',
        ),
        (changed('up.2.res.conv1.bias', torch.zeros(7)), r'wrong shape: EMA\S+up.2.res.conv1.bias'),
    ],
)
def test_what_does_not_fit_is_named(tiny, change, message):
    average = dict(tiny)
    change(average)
    with pytest.raises(UserError, match=message):
        convert_checkpoint(training_file(average))


def test_a_layer_that_is_gone_is_missed(tiny):
    weights = {name: tensor for name, tensor in tiny.items() if not name.startswith('down.1.')}
    with pytest.raises(UserError, match=r'missing: EMA\S+down.1.res.norm1.weight'):
        convert_checkpoint(training_file(weights))


@pytest.mark.parametrize('settings', [TINY, TINY_PP])
def test_our_own_files_give_the_network(settings, tmp_path):
    model = build(settings)
    pretraining = {f'network.{name}': tensor for name, tensor in model.state_dict().items()}
    torch.save({'state_dict': {**pretraining, 'head.bias': torch.ones(2)}}, tmp_path / 'a.pth')
    assert recognize_source(read_checkpoint(tmp_path / 'a.pth')) == 'mmaddp'
    report = convert_file(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert equal(read_checkpoint(tmp_path / 'b.pth')['state_dict'], model.state_dict())
    fates = {part.name: part.fate for part in report.parts}
    assert fates['head'] == 'dropped: another network has its own'
    encoder = encoder_of(model, settings, 'out_3')
    fine_tuned = {f'backbone.{name}': tensor for name, tensor in encoder.state_dict().items()}
    assert equal(convert_checkpoint(fine_tuned), encoder.state_dict())
    assert equal(convert_checkpoint(pretraining, target='pretrain'), pretraining)


def with_file(path, settings, **more):
    pretrained = dict(type='Pretrained', checkpoint=str(path))
    model = build(settings, seed=1, **more, init_cfg=pretrained)
    model.init_weights()
    return model


def test_a_config_takes_the_authors_file_for_a_truncated_network(tiny, tmp_path):
    torch.save(training_file(tiny), tmp_path / 'model_1999.pth')
    settings = dict(PUBLISHED['ddpm'], base_channels=32)
    encoder = with_file(tmp_path / 'model_1999.pth', settings, out_blocks=['out_7'], time=TIME)
    state = convert_checkpoint(training_file(tiny))
    assert all(torch.equal(state[name], value) for name, value in encoder.state_dict().items())


def test_augmentations_are_dropped_with_the_truncation_and_else_wanted(tmp_path):
    torch.save(build(TINY_PP).state_dict(), tmp_path / 'unet.pth')
    plain = dict(TINY_PP, augment_dim=0)
    encoder = with_file(tmp_path / 'unet.pth', plain, out_blocks=['out_1'], time=TIME)
    assert equal(encoder.state_dict(), encoder_of(build(TINY_PP), plain, 'out_1').state_dict())
    with pytest.raises(UserError, match='holds DDAEUNet with augment_dim=2, the config builds'):
        with_file(tmp_path / 'unet.pth', plain)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(base_channels=64), r'set base_channels=32'),
        (dict(in_channels=4), 'set in_channels=3'),
        (dict(channel_multipliers=(1, 2, 2)), r'set channel_multipliers=\(1, 2\)'),
        (dict(attention_stages=(0, 1)), r'set attention_stages=\(1,\)'),
        (dict(num_blocks=2), 'set num_blocks=1'),
        (dict(resblock_updown=True), 'set resblock_updown=False'),
    ],
)
def test_a_file_of_another_size_names_the_setting(settings, message, tmp_path):
    torch.save(build(TINY).state_dict(), tmp_path / 'unet.pth')
    with pytest.raises(UserError, match=message) as error:
        with_file(tmp_path / 'unet.pth', TINY, **settings)
    assert str(error.value).startswith(f'{tmp_path}/unet.pth: holds DDAEUNet')
    assert '\n' not in str(error.value)


def test_what_a_truncated_file_lacks_is_named(tmp_path):
    encoder = build(TINY, out_blocks=['out_2'], time=TIME)
    torch.save(encoder.state_dict(), tmp_path / 'encoder.pth')
    shorter = with_file(tmp_path / 'encoder.pth', TINY, out_blocks=['out_1'], time=TIME)
    assert len(shorter.state_dict()) < len(encoder.state_dict())
    with pytest.raises(UserError, match=r'set out_blocks=.*missing: up\.2\.conv\.weight'):
        with_file(tmp_path / 'encoder.pth', TINY, out_blocks=['out_3'], time=TIME)


@pytest.mark.parametrize('with_cls_token', [False, True])
def test_a_vit_refuses_a_unet(with_cls_token, tmp_path):
    torch.save(build(TINY).state_dict(), tmp_path / 'unet.pth')
    arch = dict(embed_dims=16, num_layers=1, num_heads=1)
    vit = ADDPViT(arch, img_size=32, with_cls_token=with_cls_token)
    with pytest.raises(UserError, match='holds DDAEUNet, the config builds ADDPViT'):
        vit.load(tmp_path / 'unet.pth')


def test_another_encoders_file_is_refused(tmp_path):
    torch.save(random_weights(addp_encoder_shapes()), tmp_path / 'vit.pth')
    with pytest.raises(UserError, match=r'vit\.pth: holds ADDPViT, the config builds DDAEUNet'):
        with_file(tmp_path / 'vit.pth', TINY)
