"""A pre-training's benchmark breaks its step into the method's own parts."""

import pytest
from tiny_darl import darl_pretraining
from tiny_runs import write_images

from mmaddp.experiments.speed import benchmark


@pytest.mark.parametrize('noise', [None, dict(a=1.0, b=1.0)])
def test_a_step_of_darl_by_its_parts(tmp_path, noise):
    images = write_images(tmp_path / 'images')
    config = darl_pretraining(images, tmp_path / 'run', noise=noise)
    figures = benchmark(config, 2, None, 1, 1, 'cpu')
    parts = ['embed', 'encode', 'corrupt', 'decode', 'loss', 'backward', 'optimizer']
    assert sorted(figures['training']['milliseconds']) == sorted(parts)
    assert 'inference' not in figures
