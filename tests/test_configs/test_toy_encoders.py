"""The encoders of toy pre-trainings fill the toy configs of the other tasks."""

import re

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

# The pre-training, where its model has the encoder, what of it a task may leave out, and the
# configs: those of CIFAR-10 and those of larger images.
PRETRAININGS = {
    'addp/addp_vit-toy_1xb64-3000i_image-folder-64px': (
        'encoder.',
        r'cls_token|embed_norm\.|norm\.',
        '[!_p]*/addp/*toy*.py',
    ),
    'darl/darl-mse_vit-toy_1xb64-3000i_image-folder-64px': (
        'backbone.',
        r'start_token|norm\.',
        '[ds]*/darl/*toy*.py',
    ),
    'darl/darl-mse_vit-toy_1xb64-3000i_cifar10-32px': (
        'backbone.',
        r'norm\.',
        'cls/darl/*toy*.py',
    ),
    'ddae/ddae-ddpm_unet-toy-3-stages_1xb64-3000i_image-folder-64px': (
        'network.',
        r'up\.|norm_out\.|conv_out\.',
        '[ds]*/ddae/*toy*.py',
    ),
}


@pytest.mark.parametrize('pretraining', PRETRAININGS)
def test_the_pretrained_encoder_fills_the_toy_configs(
    pretraining, repository, load_config, tmp_path
):
    prefix, may_be_left_out, pattern = PRETRAININGS[pretraining]
    config = load_config(f'pretrain/{pretraining}')
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'pretrained.pth')
    trained = {
        name.removeprefix(prefix): tensor
        for name, tensor in model.state_dict().items()
        if name.startswith(prefix)
    }
    # Probes of whole pre-trained models are in test_config_probes.py.
    folder = repository / 'configs'
    names = [str(path.relative_to(folder).with_suffix('')) for path in folder.glob(pattern)]
    encoders = {name: encoder_of(load_config(name)) for name in names}
    assert sum(map(bool, encoders.values())) >= 2
    for name, settings in encoders.items():
        if not settings:
            continue
        init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'pretrained.pth'))
        encoder = MODELS.build(dict(settings, init_cfg=init_cfg))
        encoder.init_weights()
        filled = encoder.state_dict()
        new = {key for key in filled if key not in trained}
        assert all(re.search(r'rel_pos_[hw]$', key) for key in new), name
        left_out = {key for key in trained if key not in filled}
        assert all(re.match(may_be_left_out, key) for key in left_out), name
        # Learned positions are interpolated for other sizes.
        resized = {key for key in filled.keys() - new if filled[key].shape != trained[key].shape}
        assert resized <= {'pos_embed'}, name
        assert all(torch.equal(filled[key], trained[key]) for key in filled.keys() - new - resized)


def encoder_of(config):
    """The settings of a config's encoder; None if the config has a whole pre-trained model."""
    if 'backbone' in config.model:
        return config.model.backbone
    encoder = config.model.get('encoder')
    return encoder if encoder and encoder.type.endswith('ViT') else None
