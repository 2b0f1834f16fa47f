"""Images of DARL's pre-training are of what they say."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_darl import NOISE, TOKENIZER, darl_pretraining, random_images, tiny_darl
from tiny_runs import last_checkpoint, run_training, write_images

from mmaddp.utils import UserError


def views_of(model, images, **settings):
    """The columns of the grid, (B, 3, H, W) each."""
    with torch.no_grad():
        ((name, rows, columns),) = model.visualize(images, **settings)
    assert name == 'predictions'
    assert len(rows) == columns * len(images)
    return rows.unflatten(0, (-1, columns)).unbind(1)


def pixels_of(model, images):
    return images * model.std + model.mean


@pytest.mark.parametrize('target', ['pixels', 'normalized-pixels'])
def test_mean_squared_error(target, monkeypatch):
    model = tiny_darl(target=target)
    images = random_images(model)
    image, predicted = views_of(model, images)
    torch.testing.assert_close(image, pixels_of(model, images))
    assert (predicted - image).abs().max() > 0.1
    monkeypatch.setattr(model, 'decode', lambda z, *_: model.clean_patches(images))
    torch.testing.assert_close(views_of(model, images)[1], image)


@pytest.mark.parametrize('prediction', ['x0', 'epsilon'])
def test_diffusion(prediction):
    model = tiny_darl(noise=NOISE, prediction=prediction)
    images = random_images(model)
    _, corrupted, predicted = views_of(model, images, gamma=0.25)
    # Half of the pixels' values is left, and normal noise beside it.
    noise = (corrupted - model.mean) / model.std - 0.5 * images
    assert noise.std().item() == pytest.approx(0.75**0.5, abs=0.04)
    x_s = model.patchify((corrupted - model.mean) / model.std)
    with torch.no_grad():
        z = model(images, mode='tensor')
        x_0 = model.denoise(z, x_s, torch.full((2, 16, 1), 0.25))
    expected = pixels_of(model, model.unpatchify(x_0, (4, 4)))
    torch.testing.assert_close(predicted, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(corrupted, views_of(model, images, gamma=0.25)[1])
    assert not torch.equal(corrupted, views_of(model, images, gamma=0.25, seed=1)[1])


def test_tokens(monkeypatch):
    model = tiny_darl(tokenizer=TOKENIZER, target='tokens')
    images = random_images(model)
    _, reconstruction, predicted = views_of(model, images)
    tokenizer, ids = model.tokenizer, model.tokenize(images)
    with torch.no_grad():
        torch.testing.assert_close(reconstruction, tokenizer.decode(tokenizer.embed(ids)))
    assert not torch.equal(predicted, reconstruction)
    truth = torch.nn.functional.one_hot(ids, 32)
    monkeypatch.setattr(model, 'decode', lambda z: truth)
    assert torch.equal(views_of(model, images)[2], reconstruction)


def test_level_out_of_range():
    model = tiny_darl(noise=NOISE)
    with pytest.raises(UserError, match=r'gamma=0: must be in \[0.0001, 1\]'):
        views_of(model, random_images(model), gamma=0)


def test_sampled_in_a_training_that_goes_on_as_without(tmp_path):
    images = write_images(tmp_path / 'images')
    run_training(darl_pretraining(images, tmp_path / 'plain', noise=NOISE))
    config = darl_pretraining(images, tmp_path / 'drawn', noise=NOISE)
    hook = dict(type='mmaddp.VisualizationHook', interval=5, num_images=2)
    config.custom_hooks.append(hook)
    run_training(config)
    folder = tmp_path / 'drawn' / 'visualizations'
    files = sorted(path.name for path in folder.iterdir())
    assert files == [f'predictions_{step:08d}.png' for step in (5, 10, 12)]
    grids = [np.asarray(Image.open(folder / name)) for name in files]
    # Two rows of three views of 16 pixels, each with a border of 2; images and noise stay.
    assert grids[0].shape == (2 * 18 + 2, 3 * 18 + 2, 3)
    assert np.array_equal(grids[0][:, : 2 * 18], grids[2][:, : 2 * 18])
    assert not np.array_equal(grids[0], grids[2])
    states = [last_checkpoint(tmp_path / name)['state_dict'] for name in ('plain', 'drawn')]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
