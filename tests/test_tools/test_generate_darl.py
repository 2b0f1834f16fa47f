"""tools/generate.py with DARL: rows, completion, refused options, and a run that is killed."""

import json
import signal

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from scripts import assert_same_images, load_script, read_image_folder, run_main
from tiny_darl_generation import SIDE, build, diffusion, mse
from tiny_runs import in_child

from mmaddp.apis import inpaint
from mmaddp.experiments import generation_folder
from mmaddp.utils import UserError

STEPS = ('--steps', 3)


@pytest.fixture(scope='module')
def model():
    return build(diffusion(), spread=0.05)


@pytest.fixture(scope='module')
def folder(tmp_path_factory, model):
    """Configs, checkpoints, a image and a mask of its lower half."""
    folder = tmp_path_factory.mktemp('generate')
    for name, settings, one in (('diff', diffusion(), model), ('mse', mse(), build(mse()))):
        Config(dict(default_scope='mmaddp', model=settings)).dump(folder / f'{name}.py')
        torch.save({'state_dict': one.state_dict()}, folder / f'{name}.pth')
    given = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(given).save(folder / 'image.png')
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[SIDE // 2 :] = 255
    Image.fromarray(mask).save(folder / 'mask.png')
    Image.fromarray(255 - mask).save(folder / 'top.png')
    return folder


def command(folder, out_dir, num_images, *options, name='diff'):
    words = [folder / f'{name}.py', folder / f'{name}.pth', '--num-images', num_images]
    return [str(word) for word in (*words, '--out-dir', out_dir, '--device', 'cpu', *options)]


@pytest.fixture(scope='module')
def tool(repository):
    return repository / 'tools/generate.py'


@pytest.fixture(scope='module')
def generate(tool, folder):
    """Calls the tool's main in this process."""
    main = load_script(tool).main

    def call(out_dir, num_images, *options, name='diff'):
        main(command(folder, out_dir, num_images, *options, name=name))

    return call


@pytest.fixture(scope='module')
def three(generate, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp('images') / 'three'
    generate(out_dir, 3, '--grid', 3, '--intermediate', *STEPS)
    return out_dir


def test_the_folder(three):
    images = read_image_folder(three)
    assert list(images) == ['000000.png', '000001.png', '000002.png']
    assert not np.array_equal(images['000000.png'], images['000001.png'])
    grid = read_image_folder(three / 'grid')['first-3.png']
    assert np.array_equal(grid[SIDE:, :SIDE], images['000002.png'])
    for name, strip in read_image_folder(three / 'steps').items():
        assert strip.shape == (SIDE, 4 * SIDE, 3)
        assert np.array_equal(strip[:, -SIDE:], images[name])
        assert (strip[4:, :SIDE] == 128).all()
        assert np.array_equal(strip[:4, :SIDE], images[name][:4])
    settings = json.loads((three / 'settings.json').read_text())
    assert {name: settings[name] for name in ('steps', 'eta', 'clip', 'seed')} == dict(
        steps=3, eta=1.0, clip=True, seed=0
    )


def test_more_images_go_on_where_the_folder_ends(generate, three, tmp_path, capsys):
    generate(tmp_path / 'a', 1, *STEPS)
    generate(tmp_path / 'a', 3, '--batch-size', 1, *STEPS)
    assert '1 of 3 images exist' in capsys.readouterr().out
    assert_same_images(read_image_folder(tmp_path / 'a'), read_image_folder(three))


def test_processes_share_the_images(generate, three, tmp_path, monkeypatch):
    """Rank 1 of 2 comes first here; the folder ends as one process would leave it."""
    for rank, there in ((1, {'000001.png'}), (0, set(read_image_folder(three)))):
        monkeypatch.setattr(generation_folder, 'get_dist_info', lambda rank=rank: (rank, 2))
        generate(tmp_path / 'a', 3, *STEPS)
        assert set(read_image_folder(tmp_path / 'a')) == there
    assert_same_images(read_image_folder(tmp_path / 'a'), read_image_folder(three))


def test_a_killed_run_goes_on(tool, folder, generate, tmp_path):
    options = ('--batch-size', 1, '--steps', 30)
    words = command(folder, tmp_path / 'a', 1000, *options)
    exit_status = in_child(
        run_main, tool, words, kill_when=lambda: num_image_files(tmp_path / 'a') > 2
    )
    assert exit_status == -signal.SIGKILL
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / 'a').glob('*.png')}
    assert 3 <= len(there) < 1000
    count = len(there) + 2
    generate(tmp_path / 'a', count, *options)
    assert {path: path.stat().st_mtime_ns for path in there} == there
    generate(tmp_path / 'b', count, *options)
    assert_same_images(read_image_folder(tmp_path / 'a'), read_image_folder(tmp_path / 'b'))


def num_image_files(folder):
    return len([*folder.glob('*.png')]) if folder.exists() else 0


@pytest.mark.parametrize('keep_pixels', [(), ('--keep-pixels',)])
def test_completion_of_the_top_half(generate, folder, model, tmp_path, keep_pixels):
    options = ('--image', folder / 'image.png', '--mask', folder / 'mask.png')
    generate(tmp_path / 'a', 2, *options, *keep_pixels, *STEPS, '--intermediate')
    images, half = read_image_folder(tmp_path / 'a'), SIDE // 2
    given = np.asarray(Image.open(folder / 'image.png'))
    assert all(np.array_equal(image[:half], given[:half]) for image in images.values())
    done = inpaint(model, folder / 'image.png', folder / 'mask.png', steps=3)
    assert_same_images({'first': images['000000.png']}, {'first': done[0]})
    assert not np.array_equal(images['000000.png'][half:], images['000001.png'][half:])
    # Two rows of patches are generated.
    assert read_image_folder(tmp_path / 'a' / 'steps')['000000.png'].shape == (SIDE, 2 * SIDE, 3)


def test_mse_takes_no_settings(generate, folder, tmp_path):
    generate(tmp_path / 'a', 1, name='mse')
    assert list(read_image_folder(tmp_path / 'a')) == ['000000.png']
    with pytest.raises(UserError, match='--steps: the settings of DARL are none'):
        generate(tmp_path / 'b', 1, *STEPS, name='mse')


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (('--seed', 1), 'seed 0, not 1'),
        (('--eta', 0), 'eta 1.0, not 0.0'),
        (('--no-clip',), 'clip True, not False'),
        (('--image', 'image.png', '--mask', 'mask.png'), 'another image, another mask'),
    ],
)
def test_other_settings_want_another_folder(generate, three, folder, options, told, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError) as raised:
        generate(three, 3, *STEPS, *options)
    assert f'holds results of {told}' in str(raised.value)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--steps', 0), 'steps=0: must be 1 or more'),
        (('--eta', 1.5), r'eta=1.5: must be in \[0, 1\]'),
        (('--top-p', 0.5), '--top-p: the settings of DARL are --steps, --eta, --clip'),
        (('--schedule', 'cosine', '--temperature', 2), '--schedule: the settings of DARL'),
        (('--image', 'image.png', '--mask', 'top.png'), 'the mask keeps patches that come after'),
    ],
)
def test_bad_input_leaves_nothing_behind(generate, folder, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message):
        generate(tmp_path / 'a', 1, *options)
    assert not (tmp_path / 'a').exists()


def test_only_a_completion_keeps_pixels(generate, tmp_path, capsys):
    with pytest.raises(SystemExit):
        generate(tmp_path / 'a', 1, '--keep-pixels')
    assert 'only it takes --keep-pixels' in capsys.readouterr().err
    assert not (tmp_path / 'a').exists()
