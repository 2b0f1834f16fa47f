"""Configs compute their loss under autocast on a CUDA device that is not there."""

from pathlib import Path
from types import MethodType

import pytest
import torch
from fake_cuda import ALL, VARIABLES, failures, rehearse
from mmengine.registry import MODELS

from mmaddp.engine.runs import load_config

FULL = [path for path in sorted(Path(__file__).parents[2].glob(ALL)) if 'toy' not in path.name]


@pytest.fixture
def config(repository, monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return load_config(repository / 'configs/cls/addp/addp_vit-toy_1xb64-20e_image-folder-64px.py')


@pytest.fixture
def change_features(monkeypatch):
    """Have models built that compute something else from their features."""

    def change(function):
        build = MODELS.build

        def build_changed(config):
            model = build(config)
            extract = model.extract_feat
            model.extract_feat = MethodType(
                lambda self, inputs, *args, **kwargs: function(extract(inputs, *args, **kwargs)),
                model,
            )
            return model

        monkeypatch.setattr(MODELS, 'build', build_changed)

    return change


@pytest.mark.parametrize('path', FULL, ids=lambda path: path.stem)
def test_full_configs_compute_their_loss_on_the_device(path):
    assert failures([path]) == {}


def test_products_are_in_half_precision(config, change_features):
    seen = []

    def multiply(features):
        seen.extend((x @ x.T).dtype for x in features)
        return features

    change_features(multiply)
    rehearse(config)
    assert seen == [torch.bfloat16]


def test_a_tensor_left_on_the_cpu_is_found(config, change_features):
    change_features(lambda features: tuple(x + torch.ones(x.shape[-1]) for x in features))
    with pytest.raises(RuntimeError, match='cuda'):
        rehearse(config)


def test_tensors_of_two_types_are_found(config, change_features):
    def multiply(features):
        with torch.autocast('cuda', enabled=False):
            return tuple(x.float() @ x.bfloat16().T for x in features)

    change_features(multiply)
    with pytest.raises(RuntimeError, match='dtype'):
        rehearse(config)
