"""Classes of two splits that differ, and batches that BatchNorm cannot normalize."""

from types import SimpleNamespace

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch import nn
from torch.utils.data import DataLoader

from mmaddp.engine.hooks.data_check_hook import check_last_batch, check_same_classes, find_head
from mmaddp.models.probing import GridProbe
from mmaddp.utils import UserError


def dataset(*classes):
    return SimpleNamespace(metainfo=dict(classes=classes) if classes else {})


def test_classes_are_the_same():
    check_same_classes(dataset('ant', 'bee'), dataset('ant', 'bee'))
    check_same_classes(dataset('ant', 'bee'), dataset())
    check_same_classes(SimpleNamespace(), dataset('ant', 'bee'))


@pytest.mark.parametrize('others', [('ant',), ('bee', 'ant'), ('ant', 'Bee')])
def test_other_classes_are_refused(others):
    with pytest.raises(UserError, match=r"2 classes \('ant', 'bee'\).*classes_from"):
        check_same_classes(dataset('ant', 'bee'), dataset(*others))


def loader(images, batch, sampler=DefaultSampler, drop_last=False):
    data = list(range(images))
    return DataLoader(data, batch, sampler=sampler(data), drop_last=drop_last)


def test_a_last_batch_of_one_is_refused():
    norm = nn.Sequential(nn.BatchNorm1d(3))
    with pytest.raises(UserError, match=r'^9 training images.*train_dataloader.drop_last=True$'):
        check_last_batch(norm, loader(9, 8))
    check_last_batch(norm, loader(10, 8))
    check_last_batch(norm, loader(9, 8, drop_last=True))
    check_last_batch(norm, loader(9, 8, InfiniteSampler))
    check_last_batch(nn.Sequential(nn.LayerNorm(3)), loader(9, 8))


def test_a_probe_says_its_number_of_classes():
    encoder = dict(
        type='mmaddp.ADDPViT',
        arch=dict(embed_dims=8, num_layers=1, num_heads=2),
        img_size=16,
        patch_size=8,
    )
    probe = GridProbe(encoder, num_classes=3)
    assert find_head(probe) is probe
    assert find_head(probe).num_classes == 3
