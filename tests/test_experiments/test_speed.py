"""A pre-training's benchmark breaks its step into the method's own parts."""

import pytest
from tiny_darl import darl_pretraining
from tiny_runs import write_images

from mmaddp.engine.runs import load_config
from mmaddp.experiments.speed import benchmark


@pytest.mark.parametrize('noise', [None, dict(a=1.0, b=1.0)])
def test_a_step_of_darl_by_its_parts(tmp_path, noise):
    images = write_images(tmp_path / 'images')
    config = darl_pretraining(images, tmp_path / 'run', noise=noise)
    figures = benchmark(config, 2, None, 1, 1, 'cpu')
    parts = ['embed', 'encode', 'corrupt', 'decode', 'loss', 'backward', 'optimizer']
    assert sorted(figures['training']['milliseconds']) == sorted(parts)
    assert 'inference' not in figures


def test_a_step_on_tokens_computed_ahead(tmp_path, monkeypatch):
    places = dict(TOKENIZER='zoo://vqgan-toy', TOKEN_PREDICTOR='zoo://mage-toy', TOKEN_DIR=tmp_path)
    for name, value in places.items():
        monkeypatch.setenv(name, str(value))
    config = load_config('addp_vit-toy_1xb32-1000i_tokens-64px.py')
    figures = benchmark(config, 1, None, 1, 1, 'cpu')
    assert figures['training']['images_per_second'] > 0
