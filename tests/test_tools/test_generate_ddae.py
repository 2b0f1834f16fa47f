"""tools/generate.py with DDAE: its samplers, in pixels and over latents, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from scripts import assert_same_images, load_script, read_image_folder
from tiny_ddae import EDM, SIDE, ddae, tiny_ddae
from tiny_generation import tiny_generator
from tiny_latents import build_latent, latent_ddae
from tiny_unet import training_file

from mmaddp.apis import extract_features, generate, reconstruct
from mmaddp.checkpoints.rules import rename
from mmaddp.checkpoints.sources.ddae import AVERAGE, DDAE
from mmaddp.diffusion import AncestralSampler, DDIMSampler, HeunSampler, ImageNoise
from mmaddp.experiments import generation_folder
from mmaddp.experiments.sampling import parse_settings
from mmaddp.utils import UserError

DDPM8 = dict(type='mmaddp.DDPM', num_timesteps=8)
CONFIGS = {
    'ddpm': ddae(process=DDPM8),
    'edm': ddae(process=dict(EDM, num_steps=4)),
    'latent': latent_ddae(),
}


@pytest.fixture(scope='module')
def models():
    latent = build_latent(CONFIGS['latent'])
    return {'latent': latent, **{name: tiny_ddae(CONFIGS[name]) for name in ('ddpm', 'edm')}}


@pytest.fixture(scope='module')
def folder(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp('generate')
    for name, model in models.items():
        Config(dict(default_scope='mmaddp', model=CONFIGS[name])).dump(folder / f'{name}.py')
        # As MMEngine's EMAHook leaves it: the average in front, the last weights beside it.
        last = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
        meta = {'mmengine_version': '0.10.4'}
        file = {'meta': meta, 'state_dict': model.state_dict(), 'ema_state_dict': last}
        torch.save(file, folder / f'{name}.pth')
    given = np.zeros((SIDE, SIDE, 3), np.uint8)
    Image.fromarray(given).save(folder / 'image.png')
    Image.fromarray(given[..., 0] + 255).save(folder / 'mask.png')
    return folder


@pytest.fixture
def run(repository, folder, monkeypatch):
    """Calls the tool's main in this process."""
    monkeypatch.chdir(folder)
    main = load_script(repository / 'tools/generate.py').main

    def call(name, out_dir, num_images, *options, checkpoint=None):
        words = [f'{name}.py', checkpoint or f'{name}.pth', '--num-images', num_images]
        words += ['--out-dir', out_dir, '--device', 'cpu', *options]
        main([str(word) for word in words])

    return call


def expected(model, sampler, indices, seed=0):
    """The images as the model's own sampling gives them."""
    with torch.no_grad():
        images = model.sample(ImageNoise(seed, indices), sampler)
    array = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return {f'{index:06d}.png': one for index, one in zip(indices, array)}


@pytest.mark.parametrize(
    ('name', 'options', 'sampler'),
    [
        ('ddpm', (), DDIMSampler(8)),
        ('ddpm', ('--sampler', 'ddim', '--steps', 4, '--eta', 0.5), DDIMSampler(4, 0.5)),
        ('ddpm', ('--sampler', 'ancestral'), AncestralSampler()),
        (
            'ddpm',
            ('--sampler', 'ancestral', '--variance', 'posterior', '--no-clip'),
            AncestralSampler('posterior', clip=False),
        ),
        ('edm', (), HeunSampler(4)),
        (
            'edm',
            ('--steps', 3, '--S-churn', 40, '--S-min', 0.1, '--S-max', 50, '--S-noise', 1),
            HeunSampler(3, 40.0, 0.1, 50.0, 1.0),
        ),
        ('latent', (), DDIMSampler(8, clip=False)),
        ('latent', ('--sampler', 'ancestral'), AncestralSampler(clip=False)),
    ],
)
def test_images_of_each_sampler(run, models, tmp_path, name, options, sampler):
    run(name, tmp_path / 'a', 3, '--batch-size', 2, '--seed', 5, *options)
    images = read_image_folder(tmp_path / 'a')
    assert_same_images(images, expected(models[name], sampler, [0, 1, 2], seed=5))
    assert images['000000.png'].std() > 10
    settings = json.loads((tmp_path / 'a/settings.json').read_text())
    assert settings['clip'] is sampler.clip


def test_processes_and_batches_do_not_matter(run, models, tmp_path, monkeypatch):
    for rank in (1, 0):
        monkeypatch.setattr(generation_folder, 'get_dist_info', lambda rank=rank: (rank, 2))
        run('ddpm', tmp_path / 'a', 3, '--sampler', 'ancestral', '--batch-size', 1)
    images = read_image_folder(tmp_path / 'a')
    assert_same_images(images, expected(models['ddpm'], AncestralSampler(), [0, 1, 2]))


def test_grid_and_steps(run, tmp_path):
    run('ddpm', tmp_path / 'a', 2, '--grid', 2, '--intermediate')
    images = read_image_folder(tmp_path / 'a')
    assert read_image_folder(tmp_path / 'a/grid')['first-2.png'].shape[1] == 2 * SIDE
    for name, strip in read_image_folder(tmp_path / 'a/steps').items():
        assert strip.shape == (2 * SIDE, 8 * SIDE, 3)
        # At the end the image is its own prediction.
        assert_same_images({name: strip[:SIDE, -SIDE:]}, {name: images[name]})
        assert_same_images({name: strip[SIDE:, -SIDE:]}, {name: images[name]})


def test_many_steps_are_thinned_out(models):
    _, views = generate(models['edm'], 1, steps=40, record=True)
    assert views.shape == (1, 14, 2, SIDE, SIDE, 3)


def test_the_authors_file_is_used_by_its_average(run, models, folder, tmp_path):
    """And a file without one is refused, as is one of a transfer."""
    average = authors_names(models['ddpm'].network.state_dict())
    torch.save(training_file(average), folder / 'authors.pth')
    run('ddpm', tmp_path / 'a', 1, checkpoint='authors.pth')
    run('ddpm', tmp_path / 'b', 1)
    assert_same_images(read_image_folder(tmp_path / 'a'), read_image_folder(tmp_path / 'b'))
    torch.save({'MODEL': training_file(average)['MODEL']}, folder / 'last.pth')
    with pytest.raises(UserError, match=r'last\.pth: .* it holds no EMA weights') as error:
        run('ddpm', tmp_path / 'c', 1, checkpoint='last.pth')
    assert '\n' not in str(error.value)


def authors_names(state):
    """A network's weights in the names of DDAE's authors."""
    table = rename({}, DDAE.tables['backbone'])
    return {table.in_file(name)[len(AVERAGE) :]: tensor for name, tensor in state.items()}


def test_other_checkpoints_are_named(run, folder, models, tmp_path):
    state = {f'backbone.{k}': v for k, v in models['ddpm'].network.state_dict().items()}
    state = {name: tensor for name, tensor in state.items() if 'up.3' not in name}
    torch.save({'state_dict': state}, folder / 'transfer.pth')
    with pytest.raises(UserError, match=r'transfer.pth: (lacks|does not convert)'):
        run('ddpm', tmp_path / 'a', 1, checkpoint='transfer.pth')
    with pytest.raises(UserError, match=r'latent.pth: none of its .* it is of another model'):
        run('ddpm', tmp_path / 'a', 1, checkpoint='latent.pth')
    assert not (tmp_path / 'a').exists()


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('ddpm', ('--sampler', 'heun'), "sampler='heun' is none of 'ddim', 'ancestral'"),
        ('edm', ('--sampler', 'ddim'), '--sampler: the settings of DDAE are --steps'),
        ('ddpm', ('--steps', 9), r'steps=9: must be in \[1, 8\]'),
        ('edm', ('--steps', 1), 'steps=1: must be 2 or more'),
        (
            'ddpm',
            ('--sampler', 'ancestral', '--steps', 4),
            'steps: AncestralSampler has the settings variance, clip',
        ),
        (
            'ddpm',
            ('--temperature', 2),
            '--temperature: the settings of DDAE are --sampler, --steps, --eta',
        ),
        ('ddpm', ('--image', 'image.png', '--mask', 'mask.png'), 'DDAE generates whole images'),
    ],
)
def test_bad_input_leaves_nothing_behind(run, tmp_path, name, options, message):
    with pytest.raises(UserError, match=message) as error:
        run(name, tmp_path / 'a', 1, *options)
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'a').exists()


def test_a_latent_model_without_its_autoencoder(run, tmp_path):
    option = 'model.autoencoder=None'
    with pytest.raises(UserError, match=r'a latent model sees images through an autoencoder'):
        run('latent', tmp_path / 'a', 1, '--cfg-options', option)


def test_other_methods_have_no_sampler_to_choose():
    with pytest.raises(UserError, match='--sampler: the settings of ADDP are --steps, --schedule'):
        parse_settings(tiny_generator(), ['--sampler', 'ddim'])


@torch.no_grad()
def test_reconstruction_is_one_pass_from_a_level(models):
    """The least noise leaves an image as it is, much noise does not."""
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    model = models['edm']
    least = reconstruct(model, images, level=1, batch_size=2)
    assert np.abs(least.astype(int) - images).max() <= 4
    x_0 = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    sigma = model.process.level(2)
    noise = ImageNoise(7, [0, 1, 2]).normal(x_0)
    done = model.to_unit_range(model.denoise(x_0 + sigma * noise, sigma)).clamp(0, 1) * 255
    middle = reconstruct(model, images, seed=7, batch_size=2)
    expected = done.round().byte().permute(0, 2, 3, 1).numpy()
    assert_same_images(dict(enumerate(middle)), dict(enumerate(expected)))
    with pytest.raises(UserError, match='noise level 5: EDM has the levels 1 to 4'):
        reconstruct(model, images, level=5)


@torch.no_grad()
def test_features_of_layers_at_a_level(models):
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    model = models['ddpm']
    maps = extract_features(model, images, batch_size=2, level=3, layers=['out_3', 'out_1'])
    x_0 = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    noise = ImageNoise(0, [0, 1, 2]).normal(x_0)
    expected = model.forward_intermediates(x_0, level=3, noise=noise)
    for name, one in zip(('out_3', 'out_1'), maps):
        torch.testing.assert_close(one, expected[name])
    assert len(extract_features(model, images)) == 4
    latent = models['latent']
    wide = np.zeros((1, 16, 24, 3), np.uint8)
    (tokens,) = extract_features(latent, wide, layers=['layer-1'])
    assert tokens.shape == (1, 32, 4, 6)
    with pytest.raises(UserError, match='noise level 3: ADDP has no noise levels'):
        extract_features(tiny_generator(), wide, level=3)
