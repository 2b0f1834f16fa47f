"""One option freezes the encoder of any task's config, or adds adapters."""

import copy

import pytest
from mmengine.registry import MODELS, init_default_scope

from mmaddp.apis import load_config

CONFIGS = (
    'det/addp/faster-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py',
    'seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112.py',
    'cls/darl/darl-mse_vit-toy_1xb64-20e_cifar10-32px.py',
    'cls/ddae/ddae-ddpm_unet-toy_1xb64-20e_cifar10-32px.py',
    'det/encoder/mask-rcnn_encoder_1xb4-500i_coco-folder.py',
)


@pytest.mark.parametrize('name', CONFIGS)
@pytest.mark.parametrize('option', ['frozen', 'lora.rank'])
def test_one_option_serves_all_tasks(repository, monkeypatch, name, option):
    monkeypatch.setenv('ENCODER', 'timm:test_vit')
    value = {'frozen': True, 'lora.rank': 2}[option]
    config = load_config(repository / 'configs' / name, {f'model.backbone.{option}': value})
    init_default_scope(config.default_scope)
    model = MODELS.build(copy.deepcopy(config.model))
    learned = {n for n, p in model.backbone.named_parameters() if p.requires_grad}
    assert bool(learned) == (option == 'lora.rank')
    assert all(name.endswith(('.lora_A', '.lora_B')) for name in learned)
    assert any(p.requires_grad for n, p in model.named_parameters() if 'backbone' not in n)
