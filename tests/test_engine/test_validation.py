"""Configs are validated before anything is built."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmaddp  # noqa: F401
from mmaddp.engine.validation import accepted_keys, validate
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

LIBRARY_CONFIGS = (
    'mmdet/cascade_rcnn/cascade-mask-rcnn_r50_fpn_20e_coco.py',
    'mmdet/dino/dino-4scale_r50_8xb2-12e_coco.py',
    'mmdet/deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    'mmdet/fcos/fcos_r50-caffe_fpn_gn-head_4xb4-1x_coco.py',
    'mmdet/htc/htc_r50_fpn_20e_coco.py',
    'mmdet/mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    'mmdet/retinanet/retinanet_r50_fpn_1x_coco.py',
    'mmdet/rtmdet/rtmdet_l_8xb32-300e_coco.py',
    'mmdet/vfnet/vfnet_r50_fpn_1x_coco.py',
    'mmdet/yolox/yolox_s_8xb8-300e_coco.py',
    'mmseg/deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024.py',
    'mmseg/mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py',
    'mmseg/segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
    'mmseg/swin/swin-base-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
    'mmseg/upernet/upernet_r50_4xb4-160k_ade20k-512x512.py',
    'mmpretrain/beit/beit-base-p16_8xb128-coslr-100e_in1k.py',
    'mmpretrain/deit/deit-base_16xb64_in1k.py',
    'mmpretrain/mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py',
    'mmpretrain/resnest/resnest50_32xb64_in1k.py',
    'mmpretrain/swin_transformer/swin-base_16xb64_in1k.py',
)


def forget_scope():
    DefaultScope._instance_dict.clear()


def test_every_config_of_ours_passes_in_silence(repository, monkeypatch):
    faults, said = [], []
    monkeypatch.setattr('mmengine.logging.print_log', lambda text, *_, **__: said.append(text))
    for path in sorted((repository / 'configs').rglob('*.py')):
        if {'_base_', 'grids', 'compare'} & {*path.parts}:
            continue
        forget_scope()
        try:
            validate(Config.fromfile(path))
        except UserError as error:
            faults.append(f'{path.name}: {error}')
    assert not faults
    assert not [text for text in said if 'Failed to search' in text]


@pytest.mark.parametrize('name', LIBRARY_CONFIGS)
def test_configs_of_the_libraries_pass(name):
    library, path = name.split('/', 1)
    module = pytest.importorskip(library)
    path = Path(module.__file__).parent / '.mim/configs' / path
    if not path.is_file():
        pytest.skip(f'{path} is not part of the installed version')
    validate(Config.fromfile(path))


class Parent:
    def __init__(self, a, b=1):
        pass


class Child(Parent):
    def __init__(self, c, **kwargs):
        super().__init__(**kwargs)


class Forwarding(Parent):
    def __init__(self, c, **kwargs):
        super().__init__(c)
        self.other = dict(**kwargs)


class Reading(Parent):
    def __init__(self, **kwargs):
        self.d = kwargs.pop('d')
        super().__init__(**kwargs)


class Skipping(Child):
    def __init__(self, **kwargs):
        super(Child, self).__init__(**kwargs)


@pytest.mark.parametrize(
    ('function', 'keys', 'others'),
    [
        (Parent, {'a', 'b'}, False),
        (Child, {'a', 'b', 'c'}, False),
        (Forwarding, {'c'}, True),
        (Reading, set(), True),
        (Skipping, set(), True),
        (lambda a, *, b=1: None, {'a', 'b'}, False),
    ],
)
def test_accepted_keys_follow_kwargs_to_parents_alone(function, keys, others):
    assert accepted_keys(function) == (keys, others)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (
            {'custom_hooks': [{'type': 'ProfilerHook', 'by_epoc': True}]},
            r'custom_hooks\.0\.by_epoc: ProfilerHook has no such key',
        ),
        ({'default_hooks': {'timer': {'type': 'IterTimeHook'}}}, r'default_hooks\.timer\.type'),
        ({'model': {'type': 'mmaddp.ADDP'}}, 'model: ADDP needs .*encoder'),
        (
            {'optim_wrapper': {'optimizer': {'type': 'AdamWW', 'lr': 1}}},
            r"optim_wrapper\.optimizer\.type='AdamWW'.*'mmengine\.AdamW'",
        ),
        (
            {'param_scheduler': [{'type': 'LinearLR', 'start_facto': 0.1, 'by_epoch': False}]},
            r'param_scheduler\.0\.start_facto: .*param_scheduler\.0\.start_factor\?',
        ),
        ({'train_dataloader': {'batchsize': 1}}, r'did you mean train_dataloader\.batch_size\?'),
    ],
)
def test_faults_name_the_key(settings, message):
    with pytest.raises(UserError, match=message) as error:
        validate(Config(settings))
    assert '\n' not in str(error.value)


def test_nothing_is_built():
    @MODELS.register_module(force=True)
    class Explosive:
        def __init__(self, fuse):
            raise AssertionError

    validate(Config({'model': {'type': 'mmaddp.Explosive', 'fuse': 1}}))
