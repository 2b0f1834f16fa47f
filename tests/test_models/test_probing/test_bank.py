"""A bank of features: the same numbers as without, and never those of something else."""

import shutil

import pytest
import torch
from mmengine.registry import DATASETS, MODELS
from tiny_ddae import ddae
from tiny_dense import CLASSES, VIT, blocky_images, dense_probe, samples_of, train_dense
from tiny_runs import RandomNumbers  # noqa: F401

from mmaddp.engine.resumption import PositionedIndex
from mmaddp.models.probing import Cell
from mmaddp.models.probing.bank import FeatureBank, content_key
from mmaddp.utils import UserError

HEAD = dict(type='mmaddp.LinearSegmentation', num_classes=CLASSES)
LEVELS = dict(
    encoder=ddae(dict(channel_multipliers=(1, 2))), layers=['out_1', 'out_3'], levels=[3, 500]
)


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*.safetensors'))


@pytest.mark.parametrize('settings', [dict(encoder=VIT), LEVELS], ids=['clean', 'noised'])
def test_banked_training_equals_training_without_a_bank_to_the_bit(settings, tmp_path):
    images = blocky_images(4, side=8) if 'levels' in settings else blocky_images(4)
    plain = train_dense(dense_probe(HEAD, fixed_noise=True, **settings), images)
    for _ in range(2):  # the first fills the bank, the second only reads
        banked = dense_probe(HEAD, bank=dict(path=tmp_path), **settings)
        train_dense(banked, images)
        for name, value in plain.state_dict().items():
            assert torch.equal(banked.state_dict()[name], value), name
        found = files_of(tmp_path)
    assert len(found) == 4 * len(banked.levels)
    labels = [
        sample.pred_sem_seg_by_name
        for model in (plain, banked)
        for sample in model.eval()(images, samples_of(images), mode='predict')[:1]
    ]
    assert all(torch.equal(labels[0][name], labels[1][name]) for name in labels[0])


def test_a_filled_bank_needs_no_encoder(tmp_path, monkeypatch):
    images = blocky_images(2)
    first = dense_probe(HEAD, bank=dict(path=tmp_path)).features(images)
    other = dense_probe(HEAD, bank=dict(path=tmp_path), layers=['block_2'])
    monkeypatch.setattr(other, 'encode', None)
    cell = Cell('block_2', None)
    assert torch.equal(other.features(images)[cell], first[cell])
    # The best cell tells a pyramid the stride of its map.
    assert other.strides == dict(block_2=4)


def test_other_weights_images_layers_and_settings_are_other_entries(tmp_path):
    images = blocky_images(2)

    def files(seed=0, shift=0.0, **settings):
        dense_probe(HEAD, seed=seed, bank=dict(path=tmp_path), **settings).features(images + shift)
        return set(files_of(tmp_path))

    first = files(layers=['block_1'])
    assert len(first) == 2
    assert files(layers=['block_1']) == first
    assert files(layers=['block_1', 'block_3']) == first  # added to the same files
    assert len(files(shift=1e-3)) == 4
    assert len(files(seed=1)) == 6
    assert len(files(encoder=dict(VIT, causal=True))) == 8


def test_another_autoencoder_in_the_same_folder_is_another_encoder(tmp_path):
    diffusers = pytest.importorskip('diffusers')
    blocks = dict(
        block_out_channels=(8, 8),
        down_block_types=('DownEncoderBlock2D',) * 2,
        up_block_types=('UpDecoderBlock2D',) * 2,
        norm_num_groups=4,
    )
    autoencoder = dict(type='mmaddp.KLAutoencoder', folder=str(tmp_path / 'vae'))
    folders = []
    for _ in range(2):
        diffusers.AutoencoderKL(**blocks).save_pretrained(tmp_path / 'vae')
        torch.manual_seed(0)
        encoder = MODELS.build(ddae(dict(in_channels=4), autoencoder=autoencoder))
        bank = FeatureBank(tmp_path / 'bank')
        bank.open(encoder)
        folders.append(bank.folder)
    assert folders[0] != folders[1]


def test_float16_halves_the_bank(tmp_path):
    images = blocky_images(2)
    sizes, features = {}, {}
    for dtype in ('float32', 'float16'):
        bank = dict(path=tmp_path / dtype, dtype=dtype)
        probe = dense_probe(HEAD, bank=bank)
        sizes[dtype] = probe.bank_bytes(images)
        features[dtype] = probe.features(images)
        written = sum(path.stat().st_size for path in (tmp_path / dtype).rglob('*.safetensors'))
        assert sizes[dtype] <= written < 2 * sizes[dtype]
    # 3 layers of 16 channels on 4 x 4 positions, 2 images
    assert sizes == dict(float32=4 * 3 * 16 * 16 * 2, float16=2 * 3 * 16 * 16 * 2)
    for cell, one in features['float16'].items():
        assert torch.equal(one, features['float32'][cell].half().float())


def test_a_broken_file_is_made_again(tmp_path):
    images = blocky_images(1)
    first = dense_probe(HEAD, bank=dict(path=tmp_path)).features(images)
    (path,) = tmp_path.rglob('*.safetensors')
    path.write_bytes(path.read_bytes()[:40])
    again = dense_probe(HEAD, bank=dict(path=tmp_path)).features(images)
    assert all(torch.equal(again[cell], one) for cell, one in first.items())
    assert not list(tmp_path.rglob('*.tmp'))


def test_a_bank_that_the_disk_cannot_hold_is_refused(tmp_path, monkeypatch):
    bank = FeatureBank(tmp_path)
    bank.open(torch.nn.Linear(2, 2))
    assert '2.00 GB, of which 0.00 GB are there' in bank.check_space(2 * 10**9)
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(UserError, match=r'the disk has 1\.00 GB left: give fewer --layers'):
        bank.check_space(2 * 10**9)


def test_a_key_knows_shape_and_content():
    image = torch.rand(3, 4, 4)
    assert content_key(image) == content_key(image.clone())
    assert content_key(image) != content_key(image.view(3, 2, 8))
    assert content_key(image) != content_key(image + 1e-6)


def test_views_are_the_same_for_every_seed():
    views = DATASETS.build(
        dict(type='mmaddp.FixedViews', dataset=dict(type='RandomNumbers', length=4), views=2)
    )
    first, second = views[PositionedIndex(1, 0, 3)], views[PositionedIndex(1, 1, 0)]
    assert first != second
    # The third pass over the data sees the first views again; draws without an end count on.
    assert views[PositionedIndex(1, 2, 1)] == first
    assert views[PositionedIndex(1, 0, 5)] == second
    assert views[PositionedIndex(1, 0, 8)] == first
