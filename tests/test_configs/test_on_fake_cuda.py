"""Configs of all tasks and methods compute their loss on a CUDA device that is not there."""

import subprocess
import sys
from types import MethodType

import pytest
import torch
from fake_cuda import rehearse
from mmengine.registry import MODELS

from mmaddp.engine import runs

CONFIGS = [
    'cls/addp/addp_vit-toy_1xb64-20e_image-folder-64px',
    'det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder',
    'seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112',
    'pretrain/addp/addp_vit-toy_1xb64-3000i_cifar10-64px',
    'pretrain/darl/darl-diff_vit-toy_1xb64-3000i_cifar10-32px',
    'pretrain/ddae/ddae-edm_unet-toy_1xb64-3000i_cifar10-32px',
]


@pytest.fixture
def load(repository, monkeypatch):
    for name in ('TOKENIZER', 'TOKEN_PREDICTOR'):
        monkeypatch.setenv(name, 'unused')
    return lambda name: runs.load_config(repository / 'configs' / f'{name}.py')


@pytest.fixture(scope='module')
def rehearsals(repository):
    """What processes of their own say of all configs.

    A device that is absent sometimes makes torch crash, whatever the config. The configs that are
    left then go on in the next process.
    """
    script, said = repository / 'tests/fake_cuda.py', ''
    for _ in range(len(CONFIGS)):
        left = [f'configs/{name}.py' for name in CONFIGS if f'configs/{name}.py cuda' not in said]
        command = [sys.executable, script, *left]
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
        said += done.stdout + done.stderr
        # A negative status is the signal of a crash.
        if done.returncode >= 0:
            break
    return said


@pytest.mark.parametrize('name', CONFIGS)
def test_the_loss_is_computed_on_the_device(name, rehearsals):
    assert f'ok    configs/{name}.py cuda torch.float32\n' in rehearsals, rehearsals


def test_a_tensor_left_on_the_cpu_is_found(load, monkeypatch):
    build = MODELS.build

    def build_with_fault(config):
        model = build(config)
        extract = model.extract_feat

        def extract_feat(self, inputs, *args, **kwargs):
            return extract(inputs + torch.arange(3.0)[:, None, None], *args, **kwargs)

        model.extract_feat = MethodType(extract_feat, model)
        return model

    monkeypatch.setattr(MODELS, 'build', build_with_fault)
    with pytest.raises(RuntimeError, match='cuda'):
        rehearse(load(CONFIGS[0]))
