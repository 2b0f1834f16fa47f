"""Classes of two splits that differ, and batches that BatchNorm cannot normalize."""

from types import SimpleNamespace

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch import nn
from torch.utils.data import DataLoader

from mmaddp.engine.hooks.data_check_hook import (
    DataCheckHook,
    check_last_batch,
    check_same_classes,
    classes_of,
    find_head,
)
from mmaddp.models.probing import GridProbe
from mmaddp.utils import UserError


def test_classes_are_the_same():
    check_same_classes(('ant', 'bee'), ('ant', 'bee'))
    check_same_classes(('ant', 'bee'), ())
    check_same_classes((), ('ant', 'bee'))
    assert classes_of(None) == classes_of({}) == classes_of(dict(classes=None)) == ()


@pytest.mark.parametrize('others', [('ant',), ('bee', 'ant'), ('ant', 'Bee')])
def test_other_classes_are_refused(others):
    with pytest.raises(UserError, match=r"2 classes \('ant', 'bee'\).*classes_from"):
        check_same_classes(('ant', 'bee'), others)


def test_weights_of_other_classes_are_not_tested():
    """MMPretrain's folder dataset numbers the classes of each folder for itself."""
    hook = DataCheckHook()
    data = SimpleNamespace(metainfo=dict(classes=('dog', 'frog')))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=data), model=nn.Identity())
    hook.before_test(runner)
    hook.after_load_checkpoint(runner, dict(meta=dict(dataset_meta=dict(classes=['ant', 'bee']))))
    with pytest.raises(
        UserError,
        match=r"^the checkpoint has .*\('ant', 'bee'\).*test_dataloader .*\('dog', 'frog'\)",
    ):
        hook.before_test(runner)
    for checkpoint in (dict(meta=dict(dataset_meta=dict(classes=('dog', 'frog')))), dict(meta={})):
        hook.after_load_checkpoint(runner, checkpoint)
        hook.before_test(runner)


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
    probe = GridProbe(encoder, dict(type='mmaddp.LinearClassifier', num_classes=3))
    assert find_head(probe) is probe
    assert find_head(probe).num_classes == 3
