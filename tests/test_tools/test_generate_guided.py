"""tools/generate.py with a noise-conditional classifier: images of a class."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from scripts import assert_same_images, load_script, read_image_folder
from tiny_ddae import ddae

from mmaddp.apis import generate, load_pretrainer
from mmaddp.diffusion import ImageNoise
from mmaddp.models import DDAEUNet
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

PRETRAINER = ddae(process=dict(type='mmaddp.DDPM', num_timesteps=8))
CLASSIFIER = dict(
    type='mmaddp.NoiseConditionalClassifier', pretrainer=PRETRAINER, layer='out_2', num_classes=3
)


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return MODELS.build(CLASSIFIER).eval()


@pytest.fixture
def run(repository, model, tmp_path, monkeypatch):
    """Calls the tool's main in this process."""
    monkeypatch.chdir(tmp_path)
    for name, options, weights in (
        ('guided', CLASSIFIER, model),
        ('ddae', PRETRAINER, model.pretrainer),
    ):
        Config(dict(default_scope='mmaddp', model=options)).dump(f'{name}.py')
        torch.save({'state_dict': weights.state_dict()}, f'{name}.pth')
    main = load_script(repository / 'tools/generate.py').main

    def call(name, out_dir, *options):
        words = [f'{name}.py', f'{name}.pth', '--num-images', '3', '--out-dir', out_dir]
        main([*words, '--device', 'cpu', *options])

    return call


def test_images_of_a_class(run, model, tmp_path):
    run('guided', 'out', '--label', '2', '--guidance', '50', '--steps', '4', '--batch-size', '2')
    images = model.sample(ImageNoise(0, range(3)), model.sampler(2, 50.0, steps=4))
    images = (images.clamp(0, 1) * 255).round().byte()
    wanted = dict(zip(('000000.png', '000001.png', '000002.png'), images.movedim(1, -1).numpy()))
    drawn = read_image_folder(tmp_path / 'out')
    assert_same_images(drawn, wanted)
    settings = json.loads((tmp_path / 'out/settings.json').read_text())
    assert (settings['label'], settings['guidance'], settings['sampler']['steps']) == (2, 50, 4)
    run('ddae', 'plain', '--steps', '4')
    assert np.abs(
        drawn['000000.png'] - 1.0 * read_image_folder(tmp_path / 'plain')['000000.png']
    ).any()
    with pytest.raises(UserError, match='label 2, not 1'):
        run('guided', 'out', '--label', '1', '--guidance', '50', '--steps', '4')


def test_guidance_of_0_is_the_ddae(run, tmp_path):
    run('guided', 'guided', '--label', '0', '--guidance', '0', '--intermediate')
    run('ddae', 'plain', '--intermediate')
    for folder in ('', 'steps'):
        sampled = [read_image_folder(tmp_path / name / folder) for name in ('guided', 'plain')]
        assert_same_images(*sampled)


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('guided', [], 'label: give a class, 0 to 2'),
        ('guided', ['--label', '3'], r'label=3: must be in \[0, 2\]'),
        (
            'guided',
            ['--label', '0', '--schedule', 'linear'],
            '--schedule: the settings of NoiseConditionalClassifier are',
        ),
        ('guided', ['--label', '0', '--sampler', 'heun'], "sampler='heun' is none of"),
        ('ddae', ['--label', '1'], '--label: the settings of DDAE are'),
    ],
)
def test_what_is_refused(run, name, options, message):
    with pytest.raises(UserError, match=message):
        run(name, 'out', *options)


def test_in_python(run, model):
    """The notebook's functions, from the files."""
    loaded = load_pretrainer('guided.py', 'guided.pth', 'cpu')
    assert isinstance(loaded.network, DDAEUNet)
    sampled = generate(loaded, 2, label=1, guidance=3.0, steps=2)
    images = model.sample(ImageNoise(0, range(2)), model.sampler(1, 3.0, steps=2))
    wanted = (images.clamp(0, 1) * 255).movedim(1, -1).numpy()
    assert np.abs(sampled - wanted).max() <= 1


def test_a_checkpoint_of_the_pretraining_alone_is_refused(run):
    with pytest.raises(UserError, match=r'has no pretrainer\.\* and head\.\*'):
        load_pretrainer('guided.py', 'ddae.pth', 'cpu')
