import torch
from mmengine.registry import MODELS, init_default_scope
from tiny_addp import addp, pretraining
from tiny_runs import last_checkpoint, run_training, write_images

from mmaddp.models import PixelShuffleNeck

RESNET = dict(type='ResNet', depth=18, out_indices=(3,), norm_cfg=dict(type='BN'))


def test_each_position_gives_its_channels_to_the_four_that_cover_it():
    coarse = torch.arange(2 * 8 * 3 * 5.0).view(2, 8, 3, 5)
    (fine,) = PixelShuffleNeck(8)((torch.zeros(1), coarse))
    assert fine.shape == (2, 2, 6, 10)
    for row, column in ((0, 0), (4, 7), (5, 9)):
        position = coarse[:, :, row // 2, column // 2]
        corner = 2 * (row % 2) + column % 2
        assert torch.equal(fine[:, :, row, column], position[:, corner::4])


def test_a_pretrained_resnet_goes_into_a_classifier_as_it_is(tmp_path):
    """MMPretrain's ResNet takes the encoder out of a training checkpoint by its prefix."""
    config = pretraining(write_images(tmp_path / 'images', per_class=2), tmp_path / 'run', False)
    config.model = addp(
        img_size=32, encoder=RESNET, neck=dict(type='mmaddp.PixelShuffleNeck', in_channels=512)
    )
    config.model['decoder']['in_channels'] = 128
    config.train_cfg.max_iters = 3
    config.custom_hooks = []
    run_training(config)
    trained = last_checkpoint(tmp_path / 'run')['state_dict']

    init_default_scope('mmpretrain')
    path = (tmp_path / 'run/last_checkpoint').read_text()
    source = dict(type='Pretrained', checkpoint=path, prefix='encoder.')
    backbone = MODELS.build(dict(RESNET, init_cfg=source))
    fresh = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    backbone.init_weights()
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, trained[f'encoder.{name}'])
    assert not torch.equal(backbone.conv1.weight, fresh['conv1.weight'])
