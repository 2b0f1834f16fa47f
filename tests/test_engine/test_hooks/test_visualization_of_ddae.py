"""Images of DDAE's pre-training are of what they say, and change nothing of it."""

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dist import utils as processes
from mmengine.hooks import EMAHook
from PIL import Image
from tiny_addp import pretraining
from tiny_ddae import EDM, SIDE, ddae, random_images, tiny_ddae
from tiny_latents import build_latent, latent_ddae, random_rgb_images
from tiny_runs import assert_same_training, last_checkpoint, run_training, write_images

from mmaddp.diffusion import DDIMSampler, HeunSampler, ImageNoise
from mmaddp.engine import VisualizationHook

HOOK = dict(
    type='mmaddp.VisualizationHook',
    interval=5,
    num_images=2,
    num_samples=2,
    sample_steps=3,
)
AVERAGE = dict(type='EMAHook', ema_type='mmaddp.RisingEMA', momentum=1e-4)
DROPOUT = ddae(dict(dropout=0.5))


@torch.no_grad()
def grids_of(model, images, **settings):
    """The columns of 'predictions' (B, 3, H, W), and the samples, all in [-1, 1]."""
    grids = model.visualize(images, **settings)
    (first, rows, columns), *samples = grids
    assert (first, len(rows)) == ('predictions', columns * len(images))
    views = [2 * view - 1 for view in rows.unflatten(0, (-1, columns)).unbind(1)]
    assert [name for name, _, _ in samples] == ['samples'] * len(samples)
    return views, [2 * images - 1 for _, images, _ in samples]


def ddpm_scales(level):
    """The shares of image and noise at one of 1,000 timesteps with linear betas."""
    kept = np.prod(1 - np.linspace(1e-4, 0.02, 1000)[:level])
    return kept**0.5, (1 - kept) ** 0.5


def edm_scales(number):
    """Those at one of EDM's 18 sigmas, by equation 5 of its paper."""
    root = 0.002 ** (1 / 7) + (number - 1) / 17 * (80 ** (1 / 7) - 0.002 ** (1 / 7))
    return 1.0, root**7


@pytest.mark.parametrize(
    ('process', 'scales'),
    [
        (dict(type='mmaddp.DDPM'), [ddpm_scales(100), ddpm_scales(500)]),
        (EDM, [edm_scales(2), edm_scales(9)]),
    ],
)
def test_noised_and_denoised(process, scales, monkeypatch):
    model, images = tiny_ddae(ddae(process=process)), random_images(16)
    settings = dict(levels=(0.1, 0.5), num_samples=0)
    (image, *views), samples = grids_of(model, images, **settings)
    assert not samples
    torch.testing.assert_close(image, images)
    noises = [(x_t - a * images) / b for x_t, (a, b) in zip(views[::2], scales)]
    assert noises[0].std().item() == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(noises[0], noises[1], atol=1e-2, rtol=0)
    assert not torch.equal(grids_of(model, images, **settings, seed=1)[0][1], views[0])
    for x_t, predicted, number in zip(views[::2], views[1::2], (0.1, 0.5)):
        level = model.process.level(round(number * model.process.num_levels))
        with torch.no_grad():
            # What leaves [0, 1] and comes back has lost a little.
            torch.testing.assert_close(predicted, model.denoise(x_t, level), atol=1e-3, rtol=1e-3)
    if process is not EDM:
        # A network that tells all noise leaves the image.
        monkeypatch.setattr(model, 'predict', lambda x, time: noises[1])
        (_, *views), _ = grids_of(model, images, **settings)
        torch.testing.assert_close(views[3], images, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ('process', 'steps', 'sampler'),
    [
        (dict(type='mmaddp.DDPM'), 3, DDIMSampler(3)),
        (dict(type='mmaddp.DDPM', num_timesteps=4), 20, DDIMSampler(4)),
        (dict(EDM, num_steps=4), 20, HeunSampler(4)),
    ],
)
def test_samples_are_the_default_samplers(process, steps, sampler):
    model = tiny_ddae(ddae(process=process))
    _, (samples,) = grids_of(
        model, random_images(1), levels=(), num_samples=3, sample_steps=steps, seed=2
    )
    torch.testing.assert_close(samples, 2 * model.sample(ImageNoise(2, range(3)), sampler) - 1)
    assert not torch.equal(samples[0], samples[1])


def test_latents_are_decoded():
    model, images = build_latent(latent_ddae()), random_rgb_images()
    (image, kept, x_t, predicted), (samples,) = grids_of(
        model, images, levels=(0.5,), num_samples=2
    )
    torch.testing.assert_close(image, images)
    means = images.unflatten(2, (8, 2)).unflatten(4, (8, 2)).mean((3, 5), keepdim=True)
    means = means.expand(-1, -1, -1, 2, -1, 2).flatten(4).flatten(2, 3)
    torch.testing.assert_close(kept, means)
    # The betas of 8 timesteps, of which the fourth is the middle one.
    share = np.prod(1 - np.linspace(1e-4, 0.02, 8)[:4])
    noise = (x_t - share**0.5 * means) / (1 - share) ** 0.5
    assert noise.std().item() == pytest.approx(1 / 3, abs=0.05)
    assert predicted.shape == images.shape
    expected = 2 * model.sample(ImageNoise(0, [0, 1]), DDIMSampler(8, clip=False)) - 1
    torch.testing.assert_close(samples, expected)


def test_settings_of_another_method(tmp_path):
    """The first image comes late in a training; its settings are checked before."""
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'gamma'"):
        VisualizationHook(gamma=0.1).before_train(runner_of(tiny_ddae(DROPOUT), tmp_path))


class RandomDataset(list):
    """Images drawn anew, from every generator that a pipeline could use."""

    def __getitem__(self, index):
        value = random.randrange(9) + np.random.randint(9)
        return dict(inputs=torch.randint(200, (3, SIDE, SIDE), dtype=torch.uint8) + value)


def runner_of(model, work_dir, *hooks):
    """As much of a runner as the hook looks at."""
    return SimpleNamespace(
        model=model,
        hooks=hooks,
        iter=4,
        work_dir=work_dir,
        train_dataloader=SimpleNamespace(dataset=RandomDataset(range(8))),
        visualizer=SimpleNamespace(add_image=lambda *_: None),
    )


def states_of(model):
    """The generators, and all weights."""
    generators = (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())
    return generators, {name: value.clone() for name, value in model.state_dict().items()}


def test_generators_weights_and_mode_stay(tmp_path):
    model = tiny_ddae(DROPOUT).train()
    average = EMAHook()
    average.before_run(SimpleNamespace(model=model))
    with torch.no_grad():
        for weights in average.ema_model.module.parameters():
            weights.add_(0.1)
    before = [states_of(one) for one in (model, average.ema_model)]
    VisualizationHook(sample_steps=2).visualize(runner_of(model, tmp_path, average))
    assert len(list((tmp_path / 'visualizations').iterdir())) == 2
    after = [states_of(one) for one in (model, average.ema_model)]
    for (generators, weights), (generators_after, weights_after) in zip(before, after):
        assert generators == generators_after
        assert all(torch.equal(value, weights_after[name]) for name, value in weights.items())
    assert model.training


def test_one_process_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, 'get_rank', lambda group=None: 1)
    VisualizationHook().visualize(runner_of(tiny_ddae(DROPOUT), tmp_path))
    assert not list(tmp_path.iterdir())


def trained(images, work_dir, *hooks):
    """12 iterations with dropout, random crops and flips."""
    config = pretraining(images, work_dir, by_epoch=False)
    config.model = DROPOUT
    config.train_dataloader.dataset.pipeline[1].scale = SIDE
    config.optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-2))
    config.custom_hooks += hooks
    run_training(config)
    return work_dir


@pytest.fixture(scope='module')
def runs(tmp_path_factory) -> Path:
    """Without the hook and with it."""
    folder = tmp_path_factory.mktemp('runs')
    images = write_images(folder / 'images')
    trained(images, folder / 'plain', AVERAGE)
    trained(images, folder / 'drawn', AVERAGE, HOOK)
    return folder


def read_grid(work_dir, name):
    return np.asarray(Image.open(work_dir / 'visualizations' / f'{name}.png'))


def test_training_is_as_without_it(runs):
    assert_same_training(runs / 'plain', runs / 'drawn')


def test_files(runs):
    names = sorted(path.stem for path in (runs / 'drawn/visualizations').iterdir())
    steps = ('00000005', '00000010', '00000012')
    assert names == [f'{what}_{step}' for what in ('predictions', 'samples') for step in steps]
    first, last = (
        read_grid(runs / 'drawn', f'predictions_{step}') for step in (steps[0], steps[2])
    )
    # Two rows of seven views of 8 pixels, each with a border of 2; image and first noise stay.
    assert first.shape == (2 * 10 + 2, 7 * 10 + 2, 3)
    assert np.array_equal(first[:, : 2 * 10], last[:, : 2 * 10])
    assert not np.array_equal(first, last)


def test_images_are_of_the_averaged_weights(runs):
    checkpoint = last_checkpoint(runs / 'drawn')
    drawn = read_grid(runs / 'drawn', 'samples_00000012')
    assert np.array_equal(drawn, samples_of(checkpoint['state_dict']))
    last = {k[7:]: v for k, v in checkpoint['ema_state_dict'].items() if k != 'steps'}
    assert not np.array_equal(drawn, samples_of(last))


def samples_of(state):
    """Two images in a row with borders of 2, by the weights."""
    model = tiny_ddae(DROPOUT)
    model.load_state_dict(state)
    images = model.sample(ImageNoise(0, [0, 1]), DDIMSampler(3))
    row = np.full((SIDE + 4, 2 * (SIDE + 2) + 2, 3), 255, np.uint8)
    for number, image in enumerate(images.clamp(0, 1).mul(255).round().byte()):
        left = 2 + number * (SIDE + 2)
        row[2:-2, left : left + SIDE] = image.permute(1, 2, 0).numpy()
    return row
