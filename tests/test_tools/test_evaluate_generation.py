import json
import re

import numpy as np
import pytest
import torch
from generation_images import cube, draw_colors, use_color_networks
from mmengine.config import Config
from PIL import Image
from scipy.linalg import sqrtm
from scripts import load_script
from tiny_addp import SIZES, addp, tiny_addp
from tiny_darl_generation import build, diffusion, mse
from tiny_ddae import ddae, tiny_ddae

from mmaddp.apis import extract_features
from mmaddp.utils import UserError

pytest.importorskip('torch_fidelity')

SIDE = 16 * int(SIZES['num_patches'] ** 0.5)


def squeezed(text):
    """Without what aligns the columns of tables."""
    return re.sub(' +', ' ', text)


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/evaluate_generation.py')


@pytest.fixture
def options(tmp_path, monkeypatch):
    use_color_networks(monkeypatch)
    real = draw_colors(tmp_path / 'real', cube((100, 120, 90), (20, 30, 40)), size=(SIDE + 8, SIDE))
    return [
        *('--reference', str(real), '--cache-dir', str(tmp_path / 'cache')),
        *('--num-workers', '0', '--device', 'cpu', '--reference-size', str(SIDE)),
    ]


@pytest.fixture
def trained(tmp_path):
    """A config and a checkpoint that holds all parts."""
    Config(dict(default_scope='mmaddp', model=addp())).dump(tmp_path / 'tiny.py')
    model = tiny_addp()
    torch.save({'state_dict': {**model.state_dict(), **model.frozen_state()}}, tmp_path / 'a.pth')
    return ['--config', str(tmp_path / 'tiny.py'), '--checkpoint', str(tmp_path / 'a.pth')]


def test_folder_of_images(tool, options, tmp_path, capsys):
    images = draw_colors(tmp_path / 'images', cube((90, 120, 90), (20, 30, 40)), size=(SIDE, SIDE))
    tool.main([str(images), *options])
    figures = json.loads((images / 'metrics.json').read_text())
    assert figures['fid'] == pytest.approx(100)
    out = capsys.readouterr().out
    assert re.search(r'^\| 100\.00 \| \d\.\d\d \| ', squeezed(out), re.MULTILINE)
    statistics = re.search('^reference: (.*)$', out, re.MULTILINE).group(1)
    tool.main([str(images), '--reference', statistics, '--out-dir', str(tmp_path / 'other')])
    assert json.loads((tmp_path / 'other/metrics.json').read_text())['fid'] == figures['fid']


@pytest.fixture
def encoder(tmp_path):
    """A DARL's config and checkpoint, and a layer of it."""
    words = darl_messages(tmp_path, mse())
    return ['--encoder', words[1], words[3], 'block_1']


def test_distance_in_features_of_an_encoder(tool, options, encoder, tmp_path, capsys):
    colors = cube((90, 120, 90), (20, 30, 40), copies=3)
    images = draw_colors(tmp_path / 'images', colors, size=(16, 16))
    sizes = ['--reference-size', '16']
    tool.main([str(images), *options, *sizes, *encoder])
    figures = json.loads((images / 'metrics.json').read_text())
    assert 'fid' not in figures
    assert figures['inception_score'] is None
    assert re.fullmatch('darl-[0-9a-f]{8}_block_1', figures['networks'])
    # The closed form, of features that the package gives otherwise.
    model = build(mse())
    moments = []
    for folder in (images, tmp_path / 'real'):
        pixels = [np.asarray(Image.open(path))[:16, :16] for path in sorted(folder.glob('*.png'))]
        (maps,) = extract_features(model, np.stack(pixels), layers=['block_1'])
        rows = maps.mean((2, 3)).double().numpy()
        moments.append((rows.mean(0), np.cov(rows.T)))
    (mean, covariance), (other, another) = moments
    expected = ((mean - other) ** 2).sum() + np.trace(covariance + another)
    expected -= 2 * np.trace(sqrtm(covariance @ another).real)
    assert figures['frechet_distance'] == pytest.approx(expected, rel=1e-3)
    assert figures['frechet_distance'] > 0.01
    assert '| Fréchet distance | precision |' in squeezed(capsys.readouterr().out)
    with pytest.raises(UserError, match=r'block_9.*block_1, block_2'):
        tool.main([str(images), *options, *sizes, *encoder[:-1], 'block_9'])
    with pytest.raises(UserError, match='--encoder takes the place of --weights'):
        tool.main([str(images), *options, *encoder, '--weights', 'file'])


def test_settings_are_compared_in_features_of_an_encoder(tool, options, tmp_path, capsys):
    words = darl_messages(tmp_path, diffusion())
    torch.save(build(mse()).state_dict(), tmp_path / 'encoder.pth')
    Config(dict(default_scope='mmaddp', model=mse())).dump(tmp_path / 'encoder.py')
    encoder = ['--encoder', str(tmp_path / 'encoder.py'), str(tmp_path / 'encoder.pth'), 'block_2']
    tool.main([*words, *options, '--reference-size', '16', *encoder, '--settings', 'steps=1,2'])
    out = squeezed(capsys.readouterr().out)
    assert '| steps | eta | clip | Fréchet distance | precision |' in out
    assert (tmp_path / 'out/results.png').is_file()


def test_settings_side_by_side(tool, options, trained, tmp_path, capsys):
    settings = ['--settings', 'steps=1,2', 'temperature=6', 'decaying=False', '--num-images', '10']
    tool.main([*trained, *options, *settings, '--out-dir', str(tmp_path / 'out')])
    results = json.loads((tmp_path / 'out/results.json').read_text())
    assert [result['settings']['steps'] for result in results.values()] == [1, 2]
    assert not any(result['settings']['decaying'] for result in results.values())
    assert '| 2 | cosine | 6 | 1 |' in squeezed(capsys.readouterr().out)


def darl_messages(tmp_path, settings):
    """A DARL's config and checkpoint on the command line."""
    Config(dict(default_scope='mmaddp', model=settings)).dump(tmp_path / 'darl.py')
    torch.save(build(settings).state_dict(), tmp_path / 'darl.pth')
    words = ['--config', str(tmp_path / 'darl.py'), '--checkpoint', str(tmp_path / 'darl.pth')]
    return [*words, '--num-images', '10', '--out-dir', str(tmp_path / 'out')]


def test_darl_over_steps_and_eta(tool, options, tmp_path, capsys):
    words = darl_messages(tmp_path, diffusion())
    sizes = ['--reference-size', '16']
    tool.main([*words, *options, *sizes, '--settings', 'eta=0,1', 'steps=1,2'])
    results = json.loads((tmp_path / 'out/results.json').read_text())
    assert list(results) == [
        f'steps-{steps}_eta-{eta}_clip-True' for eta in (0, 1) for steps in (1, 2)
    ]
    out = squeezed(capsys.readouterr().out)
    assert '| steps | eta | clip | FID | IS |' in out
    assert '| 2 | 0 | True | ' in out
    assert (tmp_path / 'out/results.png').is_file()
    with pytest.raises(UserError, match='schedule, top_p: PatchSampler has the settings steps'):
        tool.main([*words, *options, *sizes, '--settings', 'schedule=linear', 'top_p=1'])


def test_one_image_only_is_not_measured(tool, options, tmp_path):
    words = darl_messages(tmp_path, mse())
    with pytest.raises(UserError, match='MeanSampler: nothing is random'):
        tool.main([*words, *options, '--reference-size', '16'])
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('arguments', [[], ['images', '--config', 'a.py'], ['--config', 'a.py']])
def test_command_lines_that_mean_nothing(tool, options, arguments, capsys):
    with pytest.raises(SystemExit):
        tool.main([*options, *arguments])
    assert 'give a folder of images, or --config, --checkpoint' in capsys.readouterr().err


def test_a_folder_that_is_not_there(tool, options):
    with pytest.raises(UserError, match='absent: not a folder with images'):
        tool.main([*options, 'absent'])


def test_ddae_over_samplers(tool, options, tmp_path, capsys):
    """Samplers with other settings stand in one table, one without numbers too."""
    settings = ddae(process=dict(type='mmaddp.DDPM', num_timesteps=4))
    Config(dict(default_scope='mmaddp', model=settings)).dump(tmp_path / 'ddae.py')
    torch.save(tiny_ddae(settings).state_dict(), tmp_path / 'ddae.pth')
    words = ['--config', str(tmp_path / 'ddae.py'), '--checkpoint', str(tmp_path / 'ddae.pth')]
    words += ['--num-images', '10', '--out-dir', str(tmp_path / 'out'), *options]
    words += ['--reference-size', '8']
    tool.main([*words, '--settings', 'sampler=ancestral'])
    tool.main([*words, '--settings', 'sampler=ddim', 'steps=1,2', 'eta=0'])
    results = json.loads((tmp_path / 'out/results.json').read_text())
    assert list(results) == [
        'variance-beta_clip-True',
        'steps-1_eta-0_clip-True',
        'steps-2_eta-0_clip-True',
    ]
    table = squeezed(capsys.readouterr().out)
    assert '| variance | clip | steps | eta | FID |' in table
    assert '| beta | True | - | - |' in table
    assert '| - | True | 2 | 0 |' in table
    with pytest.raises(UserError, match=r'schedule: DDIMSampler has the settings steps, eta'):
        tool.main([*words, '--settings', 'schedule=linear'])
