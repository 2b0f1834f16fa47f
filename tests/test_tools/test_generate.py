"""tools/generate.py as users call it, on one process and on several."""

import json
import os
import subprocess

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from scripts import assert_same_images, load_script, read_image_folder
from tiny_generation import model_settings, tiny_generator

from mmaddp.apis import inpaint
from mmaddp.experiments import generation_folder
from mmaddp.utils import UserError

STEPS = ('--steps', 4, '--device', 'cpu')


@pytest.fixture(scope='module')
def model():
    return tiny_generator()


@pytest.fixture(scope='module')
def folder(tmp_path_factory, model):
    """Config, checkpoint, a image and a mask."""
    folder = tmp_path_factory.mktemp('generate')
    Config(dict(default_scope='mmaddp', model=model_settings())).dump(folder / 'config.py')
    weights = {**model.state_dict(), **model.frozen_state()}
    torch.save({'state_dict': weights}, folder / 'model.pth')
    weights['decoder.norm.bias'] = weights['decoder.norm.bias'] + 1
    torch.save({'state_dict': weights}, folder / 'other.pth')
    given = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(given).save(folder / 'image.png')
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    Image.fromarray(mask).save(folder / 'mask.png')
    return folder


@pytest.fixture(scope='module')
def generate(repository, folder):
    """Calls the tool's main in this process."""
    module = load_script(repository / 'tools/generate.py')

    def call(out_dir, num_images, *options, checkpoint='model.pth'):
        words = [folder / 'config.py', folder / checkpoint, '--num-images', num_images]
        module.main([str(word) for word in (*words, '--out-dir', out_dir, *STEPS, *options)])

    return call


@pytest.fixture(scope='module')
def three(generate, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp('images') / 'three'
    generate(out_dir, 3, '--grid', 3, '--intermediate')
    return out_dir


def test_the_folder(three):
    images = read_image_folder(three)
    assert list(images) == ['000000.png', '000001.png', '000002.png']
    grid = read_image_folder(three / 'grid')['first-3.png']
    assert grid.shape == (128, 128, 3)
    assert np.array_equal(grid[64:, :64], images['000002.png'])
    strips = read_image_folder(three / 'steps')
    assert strips.keys() == images.keys()
    for name, strip in strips.items():
        assert strip.shape == (2 * 64, 4 * 64, 3)
        assert np.array_equal(strip[:64, -64:], images[name])
    settings = json.loads((three / 'settings.json').read_text())
    assert settings['steps'] == 4
    assert settings['seed'] == 0


def test_more_images_go_on_where_the_folder_ends(generate, three, tmp_path, capsys):
    generate(tmp_path / 'a', 1)
    generate(tmp_path / 'a', 3, '--batch-size', 1)
    assert '1 of 3 images exist' in capsys.readouterr().out
    assert_same_images(read_image_folder(tmp_path / 'a'), read_image_folder(three))


def test_broken_images_are_generated_again(generate, three, tmp_path):
    generate(tmp_path / 'a', 3)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'a').glob('*.png')}
    broken = tmp_path / 'a' / '000001.png'
    broken.write_bytes(broken.read_bytes()[:100])
    generate(tmp_path / 'a', 3)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'a').glob('*.png')}
    assert_same_images(read_image_folder(tmp_path / 'a'), read_image_folder(three))
    assert [name for name in before if before[name] != after[name]] == ['000001.png']


def test_processes_share_the_images(generate, three, tmp_path, monkeypatch):
    """Rank 1 of 2 comes first here; the folder ends as one process would leave it."""
    for rank, there in ((1, {'000001.png'}), (0, set(read_image_folder(three)))):
        monkeypatch.setattr(generation_folder, 'get_dist_info', lambda rank=rank: (rank, 2))
        generate(tmp_path / 'a', 3)
        assert set(read_image_folder(tmp_path / 'a')) == there
    assert_same_images(read_image_folder(tmp_path / 'a'), read_image_folder(three))


def test_completion(generate, folder, model, tmp_path):
    options = ('--image', folder / 'image.png', '--mask', folder / 'mask.png')
    generate(tmp_path / 'a', 2, *options, '--keep-pixels')
    images = read_image_folder(tmp_path / 'a')
    given = np.asarray(Image.open(folder / 'image.png'))
    assert all(np.array_equal(image[32:], given[32:]) for image in images.values())
    done = inpaint(model, folder / 'image.png', folder / 'mask.png', steps=4, keep_pixels=True)
    assert_same_images({'first': images['000000.png']}, {'first': done[0]})
    assert not np.array_equal(images['000000.png'], images['000001.png'])


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (('--seed', 1), 'seed 0, not 1'),
        (('--top-p', 0.5, '--no-decaying'), 'decaying True, not False, top_p 1.0, not 0.5'),
        (('--image', 'image.png', '--mask', 'mask.png'), 'another image, another mask'),
    ],
)
def test_other_settings_want_another_folder(generate, three, folder, options, told, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError) as raised:
        generate(three, 3, *options)
    assert f'holds results of {told}' in str(raised.value)


def test_another_checkpoint_wants_another_folder(generate, three):
    with pytest.raises(UserError, match='another weights'):
        generate(three, 3, checkpoint='other.pth')


def test_a_folder_of_other_images_is_left_alone(generate, folder):
    with pytest.raises(UserError, match=r'has images, but no settings.json'):
        generate(folder, 1)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--steps', 17), r'steps=17: must be in \[1, 16\]'),
        (('--steps', 0), 'steps=0: must be 1 or more'),
        (('--top-p', 1.5), r'top_p=1.5: must be in \(0, 1\]'),
        (('--temperature', -1), 'temperature=-1.0'),
        (('--eta', 0.5), '--eta: the settings of ADDP are --steps, --schedule'),
        (('--no-clip',), '--no-clip: the settings of ADDP'),
        (('--batch-size', 0), 'batch_size=0'),
        (('--seed', -1), 'seed=-1'),
    ],
)
def test_bad_input_leaves_nothing_behind(generate, folder, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message):
        generate(tmp_path / 'a', 1, *options)
    assert not (tmp_path / 'a').exists()


@pytest.mark.parametrize('options', [('--image', 'image.png'), ('--keep-pixels',)])
def test_a_completion_needs_an_image_and_a_mask(generate, tmp_path, capsys, options):
    with pytest.raises(SystemExit):
        generate(tmp_path / 'a', 1, *options)
    assert 'a completion needs --image and --mask' in capsys.readouterr().err


def test_the_launcher(repository, tmp_path):
    fake = tmp_path / 'python'
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ['bash', str(repository / 'tools/dist_generate.sh'), 'a.py', 'b.pth', '2', '--steps', '9'],
        env={**os.environ, 'MMADDP_PYTHON': str(fake)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith('dist_run.py generate a.py 2 b.pth --steps 9\n')
