"""Images of a pre-training are of what they say, and change nothing of it."""

import random

import numpy as np
import pytest
import tiny_faults  # noqa: F401
import torch
from PIL import Image
from tiny_addp import pretraining, tiny_addp
from tiny_runs import last_checkpoint, run_training, seen, write_images

from mmaddp.diffusion import MaskSchedule, masks_from_noise
from mmaddp.engine.resumption import keep_random_state

HOOK = dict(
    type='mmaddp.VisualizationHook', interval=5, num_images=2, num_samples=2, sample_steps=2
)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


@pytest.fixture(scope='module')
def runs(tmp_path_factory, images):
    """Without the hook; with it; with it, stopped before iteration 8 and resumed."""
    folder = tmp_path_factory.mktemp('runs')
    run_training(pretraining(images, folder / 'plain', by_epoch=False))
    run_training(drawing(images, folder / 'drawn'))
    stopped = drawing(images, folder / 'resumed')
    stopped.custom_hooks.append(dict(type='StopBefore', iteration=8))
    with pytest.raises(KeyboardInterrupt):
        run_training(stopped)
    run_training(drawing(images, folder / 'resumed'), resume=True)
    return folder


def drawing(images, work_dir):
    config = pretraining(images, work_dir, by_epoch=False)
    config.custom_hooks.append(HOOK)
    config.visualizer = dict(type='Visualizer', vis_backends=[dict(type='TensorboardVisBackend')])
    return config


@pytest.mark.parametrize('other', ['drawn', 'resumed'])
def test_training_is_as_without_it(runs, other):
    ends = [last_checkpoint(runs / name) for name in ('plain', other)]
    for name, tensor in ends[0]['state_dict'].items():
        assert torch.equal(tensor, ends[1]['state_dict'][name]), name
    assert seen(runs / 'plain') == seen(runs / other)


def test_resumed_run_samples_the_same(runs):
    folders = [runs / name / 'visualizations' for name in ('drawn', 'resumed')]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    steps = ('00000005', '00000010', '00000012')
    assert names[0] == [
        f'{what}_{step}.png' for what in ('predictions', 'samples') for step in steps
    ]
    assert names[0] == names[1]
    for name in names[0]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_images_and_masks_stay_the_same(runs):
    folder = runs / 'drawn' / 'visualizations'
    first, last = (
        np.asarray(Image.open(folder / f'predictions_{step:08d}.png')) for step in (5, 12)
    )
    # Two rows of five views of 32 pixels, each with a border of 2.
    assert first.shape == (2 * 34 + 2, 5 * 34 + 2, 3)
    assert np.array_equal(first[:, : 4 * 34], last[:, : 4 * 34])


def test_tensorboard_has_them(runs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (runs / 'drawn').glob('*/vis_data/events.*')
    log = EventAccumulator(str(events)).Reload()
    assert set(log.Tags()['images']) == {'predictions', 'samples'}
    assert [image.step for image in log.Images('samples')] == [5, 10, 12]


class TestViews:
    @pytest.fixture(autouse=True)
    def _views(self):
        self.model = tiny_addp()
        noise = torch.rand(2, 16, generator=torch.Generator().manual_seed(0))
        self.mask = masks_from_noise(noise, 6)
        self.images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            other = masks_from_noise(noise, 9)
            self.views = self.model.prediction_views(self.images, self.mask, other)
            ids = self.model.tokenize(self.images)
            self.of_tokens = self.model.prediction_views(ids, self.mask, other)

    def test_each(self):
        images, reconstruction, masked, x_t, predicted = self.views
        assert torch.equal(images, self.images)
        model = self.model
        z_0 = model.tokenizer.encode(images)
        expected = model.tokenizer.decode(model.tokenizer.embed(z_0))
        torch.testing.assert_close(reconstruction, expected)
        with torch.no_grad():
            logits = model.decode(model.encode(x_t), z_0, self.mask)[..., :32]
            drawn = torch.where(self.mask, logits.argmax(-1), z_0)
            expected = model.tokenizer.decode(model.tokenizer.embed(drawn))
        assert (drawn != z_0).any()
        torch.testing.assert_close(predicted, expected)
        patches = masked.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5)
        gray = (patches == 0.5).flatten(3).all(-1).flatten(1)
        assert torch.equal(gray, self.mask)

    def test_tokens_show_the_same_but_the_images(self):
        assert len(self.of_tokens) == 4
        for one, other in zip(self.of_tokens, self.views[1:]):
            torch.testing.assert_close(one, other)


def test_random_state_is_kept():
    def draw():
        return random.random(), np.random.rand(), float(torch.rand(()))

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    expected = [draw(), draw()]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    first = draw()
    with keep_random_state():
        draw()
    assert [first, draw()] == expected


def test_schedule_of_one_ratio():
    """Table 6's fixed 50% has no later step to take."""
    model = tiny_addp()
    model.mask_schedule = MaskSchedule(fixed_ratio=0.5)
    masks = model.fixed_masks(3, 0.75, 0, 'cpu')
    assert [mask.sum(1).tolist() for mask in masks] == [[8] * 3] * 2
