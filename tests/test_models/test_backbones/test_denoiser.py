"""A denoising network and its diffusion process: c_in for clean images, and foreign checkpoints."""

import json
from math import exp, sqrt

import pytest
import torch
from mmengine.config import Config
from tiny_ddae import EDM, UNET, ddae, random_images, tiny_ddae
from tiny_probe import tiny_probe
from tiny_runs import classifier, last_checkpoint, run_training, write_images

from mmaddp.apis import load_pretrainer
from mmaddp.checkpoints import check_meta, convert_file, meta_of, read_checkpoint
from mmaddp.engine.best_cell import apply_best_cell
from mmaddp.experiments.probing import best_cell
from mmaddp.models.probing import Cell, PlainEncoder
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

DDPM = dict(type='mmaddp.DDPM')
SHORT = dict(DDPM, num_timesteps=64)
# The time input of the authors' level 4 of 18, and c_in there: table 1 of EDM's paper.
TIME = -0.7036
C_IN = 1 / sqrt(0.5**2 + exp(4 * TIME) ** 2)


def backbone(model=None, **settings):
    """A truncated network of a pre-training's weights."""
    network = MODELS.build(dict(UNET, out_blocks=['out_3'], **settings)).eval()
    if model is not None:
        weights = model.network.state_dict()
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return network


def save(model, path):
    """The file of a training."""
    meta = dict(epoch=1, mmaddp=meta_of(model))
    torch.save(dict(state_dict=model.state_dict(), meta=meta, optimizer={}), path)
    return str(path)


def test_c_in_is_that_of_the_authors_level():
    assert pytest.approx(1.98578, abs=1e-5) == C_IN
    assert exp(4 * TIME) == pytest.approx(0.0599, abs=1e-4)


@torch.no_grad()
def test_a_backbone_by_edm_scales_clean_images():
    """As in pre-training and probing, where the authors' EDM.D_x multiplies by c_in."""
    model, images = tiny_ddae(ddae(process=EDM)), random_images()
    encoder = backbone(model, time=TIME, process=EDM)
    (found,) = encoder(images)
    expected = model.network.forward_intermediates(C_IN * images, ['out_3'], TIME)['out_3']
    torch.testing.assert_close(found, expected)
    # The map that is probed at level 4, but for the noise.
    probed = model.forward_intermediates(images, ['out_3'], 4, torch.zeros_like(images))['out_3']
    torch.testing.assert_close(found, probed, rtol=1e-3, atol=1e-4)
    # A probe of the backbone itself sees the same.
    plain = PlainEncoder(encoder)
    maps = plain.forward_intermediates(plain.encoder_inputs(images), ['out_3'])
    assert torch.equal(maps['out_3'], found)
    (unscaled,) = backbone(model, time=TIME)(images)
    assert not torch.allclose(unscaled, found, rtol=0.1)


@torch.no_grad()
def test_a_backbone_by_ddpm_takes_clean_images_as_they_are():
    model, images = tiny_ddae(ddae()), random_images()
    (found,) = backbone(model, time=0.011, process=DDPM)(images)
    expected = model.network.forward_intermediates(images, ['out_3'], 0.011)['out_3']
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ('process', 'time', 'level'),
    [
        (DDPM, 0.011, 11),
        (SHORT, 11 / 64, 11),
        (dict(DDPM, time_input='index'), 121, 122),
        (EDM, TIME, pytest.approx(0.05994, abs=1e-5)),
    ],
)
def test_a_time_tells_its_level(process, time, level):
    process = tiny_ddae(ddae(process=process)).process
    assert process.level_at(time) == level
    assert process.level_at(float(process.time(process.level(9)))) == pytest.approx(
        process.level(9), rel=1e-5
    )


MISMATCHES = [(SHORT, DDPM), (DDPM, SHORT), (DDPM, EDM), (EDM, dict(EDM, sigma_data=1.0))]


@pytest.mark.parametrize(('trained', 'wanted'), MISMATCHES)
def test_a_checkpoint_of_another_process_is_refused(trained, wanted, tmp_path):
    """In probing, fine-tuning, generation and training alike."""
    path = save(tiny_ddae(ddae(process=trained)), tmp_path / 'epoch_1.pth')
    kind = trained['type']
    message = f"epoch_1.pth: was trained with process=dict\\(type='{kind}'.*: set process="
    probe = dict(
        type='mmaddp.GridProbe',
        encoder=ddae(process=wanted),
        head=dict(type='mmaddp.LinearClassifier', num_classes=3),
        levels=[1],
    )
    for refused in (
        lambda: MODELS.build(dict(probe, checkpoint=path)).init_weights(),
        lambda: backbone(time=0.1, process=wanted).load(path),
        lambda: load_pretrainer(Config(dict(model=ddae(process=wanted))), path),
    ):
        with pytest.raises(UserError, match=message) as caught:
            refused()
        assert '\n' not in str(caught.value)
    same = backbone(time=0.1, process=trained)
    same.load(path)


def test_a_backbone_without_a_process_is_told_to_name_it(tmp_path):
    path = save(tiny_ddae(ddae(process=EDM)), tmp_path / 'epoch_1.pth')
    with pytest.raises(UserError, match=r"has process=None: set process=dict\(type='mmaddp.EDM'"):
        backbone(time=TIME).load(path)
    # A whole network alone is given inputs that are scaled already.
    MODELS.build(UNET).load(path)


def test_the_sigmas_of_sampling_may_change(tmp_path):
    path = save(tiny_ddae(ddae(process=EDM)), tmp_path / 'epoch_1.pth')
    other = dict(EDM, num_steps=50, sigma_max=40.0, p_mean=-0.4)
    load_pretrainer(Config(dict(model=ddae(process=other))), path)


def test_a_training_keeps_its_process(tmp_path):
    config = classifier(write_images(tmp_path / 'images'), tmp_path / 'run')
    config.model = ddae(process=SHORT)
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    run_training(config)
    held = last_checkpoint(tmp_path / 'run')['meta']['mmaddp']['model']['process']
    assert (held['type'], held['num_timesteps']) == ('mmaddp.DDPM', 64)
    config.model = ddae(process=DDPM)
    with pytest.raises(UserError, match=r'epoch_3.pth: was trained with .*num_timesteps=64'):
        run_training(config, resume=True)
    config.load_from = str(tmp_path / 'run/epoch_3.pth')
    with pytest.raises(UserError, match=r'epoch_3.pth: was trained with .*num_timesteps=64'):
        run_training(config)


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_converted_file_keeps_the_process(suffix, tmp_path):
    path = save(tiny_ddae(ddae(process=SHORT)), tmp_path / 'epoch_1.pth')
    converted = tmp_path / f'backbone.{suffix}'
    convert_file(path, converted)
    assert read_checkpoint(converted)['meta']['mmaddp']['model'] == {
        'process': dict(
            type='mmaddp.DDPM',
            num_timesteps=64,
            beta_start=1e-4,
            beta_end=0.02,
            time_input='fraction',
            schedule='linear',
        )
    }
    with pytest.raises(UserError, match='num_timesteps=64'):
        backbone(time=0.1, process=DDPM).load(converted)


def test_files_that_do_not_tell_stay_loadable(tmp_path):
    model = tiny_ddae(ddae(process=SHORT))
    torch.save(model.state_dict(), tmp_path / 'published.pth')
    backbone(time=0.1, process=DDPM).load(tmp_path / 'published.pth')
    check_meta(model, {'meta': {'mmaddp': 'another thing'}})


def test_the_best_cell_brings_its_process(tmp_path):
    probe = tiny_probe(ddae(process=EDM), layers=['out_3'], levels=[4])
    cell = best_cell(probe, Cell('out_3', 4), 90.0)
    (tmp_path / 'best_cell.json').write_text(json.dumps(cell))
    head = dict(type='LinearClsHead', in_channels=1)
    config = Config(dict(model=dict(backbone=dict(UNET, process=DDPM), head=head)))
    apply_best_cell(config, str(tmp_path / 'best_cell.json'))
    encoder = MODELS.build(config.model.backbone)
    images = random_images()
    torch.testing.assert_close(encoder.network_input(images), C_IN * images, rtol=1e-3, atol=0)
