"""What an encoder costs, as numbers from its sizes."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmaddp.engine.synthetic_batches import training_size
from mmaddp.experiments.costs import (
    FLOPS,
    build_encoder,
    encoder_cost,
    encoder_flops,
    images_per_batch,
)
from mmaddp.models import ADDPViT, DDAEDiT

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.mark.generations
def test_flops_are_those_of_the_matrix_products():
    width, blocks, patches = 32, 2, 16
    arch = dict(embed_dims=width, num_layers=blocks, num_heads=2)
    encoder = ADDPViT(arch, img_size=32, patch_size=8)
    tokens = patches + 1  # and the class token
    embedding = patches * width * 3 * 8 * 8
    # Queries, keys and values, the projection, and an MLP four times as wide.
    layers = tokens * width * width * (3 + 1 + 4 + 4)
    attention = 2 * tokens * tokens * width  # logits, and sums of values
    expected = 2 * (embedding + blocks * (layers + attention))
    assert encoder_flops(encoder, (32, 32)) == {FLOPS: pytest.approx(expected / 1e9)}


def test_flops_of_a_denoising_network_do_not_depend_on_its_time():
    arch = dict(embed_dims=32, num_layers=2, num_heads=2)
    sizes = dict(input_size=32, patch_size=8, in_channels=3, num_classes=1, learn_sigma=False)
    # A probe of several noise levels builds it without a time.
    probed = DDAEDiT(arch, **sizes)
    at_a_time = DDAEDiT(arch, **sizes, out_blocks=['layer-1'], time=121)
    flops = encoder_flops(probed, (32, 32))
    assert flops[FLOPS] > 0
    assert flops == encoder_flops(at_a_time, (32, 32))


def test_flops_of_a_config_are_those_of_its_images():
    # Drawn shapes have 64 x 64 pixels, which their data set says, not a transform.
    path = CONFIGS / 'depth/darl/dpt_darl-vit-toy_1xb8-600i_drawn-shapes-64x64.py'
    config = Config.fromfile(path)
    expected = encoder_flops(build_encoder(config), (64, 64))
    assert encoder_cost(config)[FLOPS] == expected[FLOPS] > 0


def test_images_of_a_batch_are_those_of_all_processes(tmp_path):
    config = Config(
        dict(train_dataloader=dict(batch_size=4), auto_scale_lr=dict(base_batch_size=64))
    )
    # Without a checkpoint that tells, those of the recipe.
    assert images_per_batch(None, config) == 64
    config.optim_wrapper = dict(accumulative_counts=4)
    assert images_per_batch(None, config) == 16
    settings = {'processes': '2', 'train_dataloader.batch_size': '16'}
    torch.save(dict(settings=settings), tmp_path / 'iter_1.pth')
    assert images_per_batch(tmp_path / 'iter_1.pth', config) == 32


@pytest.mark.parametrize(
    ('scope', 'transform', 'expected'),
    [
        ('mmseg', dict(type='Resize', scale=(240, 180)), (180, 240)),
        ('mmseg', dict(type='RandomCrop', crop_size=(416, 544)), (416, 544)),
        ('mmdet', dict(type='RandomCrop', crop_size=(240, 180)), (180, 240)),
        ('mmpretrain', dict(type='CenterCrop', crop_size=64), (64, 64)),
    ],
)
def test_size_of_training_images_is_height_and_width(scope, transform, expected):
    dataset = dict(pipeline=[dict(type='LoadImageFromFile'), transform])
    config = Config(dict(default_scope=scope, train_dataloader=dict(dataset=dataset), model={}))
    assert training_size(config) == expected
    # A wrapper's own transforms come last.
    wrapper = dict(dataset=dataset, pipeline=[dict(type='Resize', scale=(32, 16))])
    config.train_dataloader.dataset = wrapper
    assert training_size(config) == (16, 32)
