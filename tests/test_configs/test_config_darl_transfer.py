"""DARL's transfer configs against the paper's tables 1, 3, 9, 10 and 11, typed here."""

import re

import numpy as np
import pytest
import torch
from config_tools import differences
from darl_figures import FINE_TUNING, PRETRAINING, TABLE_1, TABLE_1_AT_384, VARIANTS
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import mmaddp  # noqa: F401
from mmaddp.engine import runs
from mmaddp.models import LastTokenNeck

FOLDER = 'cls/darl/'
# Table 9: learning rate, drop path, channels.
TABLE_9 = {
    ('b', 90): (1e-3, 0.0, 768),
    ('l', 50): (1e-3, 0.0, 1024),
    ('l', 90): (1e-3, 0.1, 1024),
    ('h', 90): (3e-3, 0.2, 1280),
}
BASE = FINE_TUNING.format('mse_vit-l', 50)
SUPERVISED = FINE_TUNING.format('supervised_vit-l', 200)
CASCADE = 'det/darl/cascade-mask-rcnn_darl-vit-l_sfp_16xb4-lsj-40e_coco'


def check_optimizer(cfg: Config, lr: float, weight_decay: float, layer_decay: float) -> None:
    wrapper = cfg.optim_wrapper
    assert (wrapper.optimizer.type, wrapper.optimizer.weight_decay) == ('AdamW', weight_decay)
    assert wrapper.optimizer.lr == pytest.approx(lr)
    assert wrapper.paramwise_cfg.layer_decay_rate == layer_decay
    assert 'clip_grad' not in wrapper


def check_augmentation(cfg: Config) -> None:
    crop, flip, randaug = cfg.train_dataloader.dataset.pipeline[1:-1]
    assert (crop.type, crop.scale, flip.type) == ('RandomResizedCrop', 224, 'RandomFlip')
    assert (randaug.type, randaug.magnitude_level, randaug.magnitude_std) == ('RandAugment', 9, 0.5)
    mixup, cutmix = cfg.model.train_cfg.augments
    assert ((mixup.type, mixup.alpha), (cutmix.type, cutmix.alpha)) == (
        ('Mixup', 0.8),
        ('CutMix', 1.0),
    )
    assert cfg.model.head.loss.label_smooth_val == 0.1
    resize, crop = cfg.test_dataloader.dataset.pipeline[1:3]
    assert (resize.scale, crop.crop_size) == (256, 224)


def check_schedule(cfg: Config, name: str, epochs: int, warm_up: int) -> None:
    gpus, batch_size = map(int, re.search(r'_(\d+)xb(\d+)-', name).groups())
    assert cfg.train_dataloader.batch_size == batch_size
    assert gpus * batch_size == cfg.auto_scale_lr.base_batch_size == 4096
    warmup, cosine = cfg.param_scheduler
    assert (warmup.end, cosine.begin, cosine.end) == (warm_up, warm_up, epochs)
    assert cfg.train_cfg.max_epochs == epochs
    # MAE's floor, which scales with the layers' rates.
    lr = cfg.optim_wrapper.optimizer.lr
    assert cosine.eta_min_ratio * lr == pytest.approx(1e-6)


@pytest.mark.parametrize('objective', ['mse', 'diff'])
@pytest.mark.parametrize(('size', 'epochs'), TABLE_9)
def test_fine_tuning_follows_table_9(objective, size, epochs, load_config):
    name = FINE_TUNING.format(f'{objective}_vit-{size}', epochs)
    cfg, (lr, drop_path, channels) = load_config(FOLDER + name), TABLE_9[size, epochs]
    check_optimizer(cfg, lr, weight_decay=0.05, layer_decay=0.75)
    assert tuple(cfg.optim_wrapper.optimizer.betas) == (0.9, 0.95)
    check_schedule(cfg, name, epochs, warm_up=5)
    check_augmentation(cfg)
    backbone = cfg.model.backbone
    assert backbone.get('drop_path_rate', 0.0) == drop_path
    assert (cfg.model.head.in_channels, cfg.model.neck.type) == (channels, 'mmaddp.LastTokenNeck')
    assert not backbone.get('causal', False)
    pretraining = PRETRAINING.format(f'{objective}_vit-{size}', 800 if epochs == 90 else 100)
    assert backbone.init_cfg.checkpoint.startswith(f'work_dirs/{pretraining}/epoch_')


@pytest.mark.parametrize('causal', [False, True])
@pytest.mark.parametrize('positions', TABLE_1)
def test_supervised_training_follows_table_10(positions, causal, load_variant):
    cfg = load_variant('darl-supervised_table-1', positions + causal * '-causal')
    check_optimizer(cfg, 1e-4 * 4096 / 256, weight_decay=0.3, layer_decay=1.0)
    assert tuple(cfg.optim_wrapper.optimizer.betas) == (0.9, 0.95)
    check_schedule(cfg, SUPERVISED, epochs=200, warm_up=20)
    check_augmentation(cfg)
    backbone = cfg.model.backbone
    assert 'init_cfg' not in backbone
    assert cfg.model.neck == dict(type='GlobalAveragePooling')
    assert backbone.drop_path_rate == 0.2
    assert (backbone.causal, backbone.positions) == (causal, positions)


@pytest.mark.parametrize(
    ('variant', 'causal', 'neck'),
    [
        ('causal', True, 'mmaddp.LastTokenNeck'),
        ('mean-pool', None, 'GlobalAveragePooling'),
        ('causal-mean-pool', True, 'GlobalAveragePooling'),
    ],
)
def test_read_outs_are_table_3s(variant, causal, neck, load_config, load_variant):
    changed = load_variant('darl-mse_table-3', variant)
    says = differences(load_config(FOLDER + BASE), changed)
    assert says.pop('model.backbone.causal', None) is causal
    assert says.pop('model.neck.type', 'mmaddp.LastTokenNeck') == neck
    assert not says


@pytest.mark.parametrize('positions', TABLE_1)
def test_fine_tuning_keeps_the_positions_of_its_pretraining(positions, load_variant):
    cfg = load_variant('darl-mse_table-1_finetune', positions)
    _, grid, variant, epoch = cfg.model.backbone.init_cfg.checkpoint.split('/')
    pretrained = load_variant(grid, variant)
    assert epoch == f'epoch_{pretrained.train_cfg.max_epochs}.pth' == 'epoch_400.pth'
    for encoder in (cfg.model.backbone, pretrained.model.backbone):
        assert encoder.positions == positions


@pytest.mark.parametrize('positions', TABLE_1_AT_384)
@pytest.mark.parametrize('causal', ['', '-causal'])
def test_testing_at_384_changes_the_size_alone(positions, causal, load_variant):
    grid, name = 'darl-supervised_table-1', positions + causal
    says = differences(load_variant(grid, name), load_variant(grid, f'{name}_test-384px'))
    assert set(says) == {f'{split}_dataloader.dataset.pipeline' for split in ('val', 'test')}
    check_testing_at_384(load_variant(grid, f'{name}_test-384px'))


@pytest.mark.parametrize('positions', TABLE_1_AT_384)
def test_fine_tuning_at_384_changes_the_size_alone(positions, load_variant):
    usual, larger = (
        load_variant('darl-mse_table-1_finetune', name)
        for name in (positions, f'{positions}_384px')
    )
    says = differences(usual, larger)
    assert set(says) == {
        'model.backbone.img_size',
        'model.backbone.pretrain_img_size',
        *(f'{split}_dataloader.dataset.pipeline' for split in ('train', 'val', 'test')),
    }
    assert (says['model.backbone.img_size'], says['model.backbone.pretrain_img_size']) == (384, 224)
    assert larger.train_dataloader.dataset.pipeline[1].scale == 384
    check_testing_at_384(larger)


def check_testing_at_384(cfg: Config) -> None:
    resize, crop = cfg.test_dataloader.dataset.pipeline[1:3]
    assert (resize.scale, crop.crop_size) == (384, 384)


@pytest.mark.parametrize('variant', VARIANTS['darl-mse_table-7_finetune'])
def test_table_7_is_fine_tuned_at_the_size_of_its_pretraining(variant, load_config, load_variant):
    cfg = load_variant('darl-mse_table-7_finetune', variant)
    pretrained = cfg.model.backbone.init_cfg.checkpoint
    assert pretrained == f'work_dirs/darl-mse_table-7_pretrain/{variant}/epoch_100.pth'
    size = load_variant('darl-mse_table-7_pretrain', variant).model.backbone.img_size
    assert cfg.model.backbone.img_size == size == 256
    assert cfg.train_dataloader.dataset.pipeline[1].scale == 256
    resize, crop = cfg.test_dataloader.dataset.pipeline[1:3]
    assert (resize.scale, crop.crop_size) == (256, 256)
    assert set(differences(load_config(FOLDER + BASE), cfg)) == {
        'model.backbone.img_size',
        'model.backbone.init_cfg.checkpoint',
        *(f'{split}_dataloader.dataset.pipeline' for split in ('train', 'val', 'test')),
    }


@pytest.mark.parametrize('order', ['nested-raster', 'round-robin'])
def test_an_order_may_be_fine_tuned_under_its_mask(order, repository):
    """The command of the README."""
    options = {
        'model.backbone.causal': True,
        'model.backbone.order': order,
        'model.backbone.block_size': 4,
    }
    path = repository / 'configs/grids/darl-mse_table-7_finetune.py'
    cfg = runs.load_config(path, options, f'{order}-4')
    cfg.model.backbone.update(
        arch=dict(embed_dims=16, num_layers=1, num_heads=1), init_cfg=None, patch_size=16
    )
    cfg.model.head.update(in_channels=16)
    init_default_scope(cfg.default_scope)
    cfg.model.train_cfg = None
    assert MODELS.build(cfg.model).eval()(torch.zeros(1, 3, 256, 256)).shape == (1, 1000)


@pytest.mark.parametrize('size', 'blh')
def test_table_14_is_fine_tuned_as_table_5(size, load_config, load_variant):
    """90 epochs with the drop path of table 9; only the encoder's file is another."""
    same = load_config(FOLDER + FINE_TUNING.format(f'mse_vit-{size}', 90))
    cfg = load_variant('darl-mse_table-14_finetune', f'vit-{size}')
    says = differences(same, cfg)
    assert says.pop('model.backbone.drop_path_rate', 0.0) == 0.0  # the default, said or not
    assert says == {
        'model.backbone.init_cfg.checkpoint': (
            f'work_dirs/darl-mse_table-14_pretrain/vit-{size}/epoch_800.pth'
        )
    }


def shrunk_classifier(cfg: Config) -> torch.nn.Module:
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.update(
        arch=dict(embed_dims=16, num_layers=2, num_heads=2), img_size=32, init_cfg=None
    )
    cfg.model.head.update(in_channels=16, num_classes=4)
    cfg.model.train_cfg = None
    torch.manual_seed(0)
    return MODELS.build(cfg.model).eval()


def test_causal_and_full_classifiers_differ_in_the_mask_alone(load_config, load_variant):
    """One's weights load into the other, and only the other's patches tell."""
    full = shrunk_classifier(load_config(FOLDER + BASE))
    causal = shrunk_classifier(load_variant('darl-mse_table-3', 'causal'))
    full.init_weights()
    causal.load_state_dict(full.state_dict(), strict=True)
    image = torch.randn(1, 3, 32, 32)
    changed = image.clone()
    changed[..., 16:, 16:] += 1
    with torch.no_grad():
        for model, first_sees_last in ((full, True), (causal, False)):
            before, after = (model.backbone(x)[0][..., 0, 0] for x in (image, changed))
            assert torch.equal(before, after) != first_sees_last
        assert isinstance(causal.neck, LastTokenNeck)
        assert not torch.allclose(full(image), causal(image))


def test_detection_follows_table_11(load_config):
    cfg = load_config(CASCADE)
    check_optimizer(cfg, 7.5e-4, weight_decay=0.1, layer_decay=0.85)
    assert tuple(cfg.optim_wrapper.optimizer.betas) == (0.9, 0.999)
    assert 16 * cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 64
    warmup, cosine = cfg.param_scheduler
    assert (warmup.end, cosine.begin, cosine.end) == (256, 256, 73_920)
    assert cfg.train_cfg.max_iters == 73_920
    (average,) = cfg.custom_hooks
    assert (average.type, average.ema_type) == ('EMAHook', 'ExponentialMovingAverage')
    assert 1 - average.momentum == pytest.approx(0.9998)
    backbone = cfg.model.backbone
    assert (backbone.arch, backbone.img_size, backbone.drop_path_rate) == ('large', 1024, 0.4)
    assert cfg.model.type == 'CascadeRCNN'
    pipeline = {t.type: t for t in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandomResize'].ratio_range == (0.1, 2.5)
    assert pipeline['RandomResize'].scale == (1024, 1024)


def test_the_color_policy_is_tensorflows(load_config):
    """The list at the address of table 11, (operation, probability, level); 10 levels."""
    published = [
        [('Sharpness', 0.4, 1.4), ('Brightness', 0.2, 2.0)],
        [('Equalize', 0.0, 1.8), ('Contrast', 0.2, 2.0)],
        [('Sharpness', 0.2, 1.8), ('Color', 0.2, 1.8)],
        [('Solarize', 0.2, 1.4), ('Equalize', 0.6, 1.8)],
        [('Sharpness', 0.2, 0.2), ('Equalize', 0.2, 1.4)],
    ]
    (augment,) = (
        t for t in load_config(CASCADE).train_dataloader.dataset.pipeline if t.type == 'AutoAugment'
    )
    for pair, expected in zip(augment.policies, published):
        operations = [(o.type, o.prob, o.get('min_mag'), o.get('max_mag')) for o in pair]
        wanted = []
        for kind, probability, level in expected:
            factor = int(level / 10 * 256) if kind == 'Solarize' else level / 10 * 1.8 + 0.1
            factor = None if kind == 'Equalize' else pytest.approx(factor)
            wanted += [(kind, probability, factor, factor)] if probability else []
        assert operations == wanted
    init_default_scope('mmdet')
    augmentation = TRANSFORMS.build(augment)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    seen = {augmentation(dict(img=image.copy()))['img'].tobytes() for _ in range(60)}
    assert len(seen) > 3
    assert image.tobytes() in seen


@pytest.mark.parametrize('detector', ['cascade-mask-rcnn', 'mask-rcnn'])
def test_a_pyramid_over_depths_reads_the_global_blocks(detector, load_config, load_variant):
    name = f'det/darl/{detector}_darl-vit-l_sfp_16xb4-lsj-40e_coco'
    default = load_config(name)
    says = differences(default, load_variant('darl_pyramids', 'four-depths', name))
    blocks = default.model.backbone.global_attn_indexes
    assert says == {
        'work_dir': f'work_dirs/{name}/four-depths',
        'model.backbone.out_indices': blocks,
        'model.neck.in_indices': (0, 1, 2, 3),
    }


@pytest.mark.parametrize('size', ['b', 'l'])
def test_segmentation_is_addps_but_for_the_encoder(size, load_config):
    addp, darl = (
        load_config(f'seg/{m}/upernet_{m}-vit-{size}_8xb2-amp-160k_ade20k-512x512')
        for m in ('addp', 'darl')
    )
    says = {k for k in differences(addp, darl) if not k.startswith('model.backbone.')}
    assert not says
    for key in ('arch', 'img_size', 'drop_path_rate', 'out_indices'):
        assert addp.model.backbone[key] == darl.model.backbone[key]
