"""Configs against the papers' tables, typed here."""

import re

import pytest
from mmengine.config import Config

# ViTDet, configs/COCO/*_vitdet_{b,l}_100ep of its release; 25 epochs are a quarter of the steps.
VITDET = dict(
    b=dict(layer_decay=0.7, drop_path=0.1, global_blocks=(2, 5, 8, 11)),
    l=dict(layer_decay=0.8, drop_path=0.4, global_blocks=(5, 11, 17, 23)),
)
VITDET_STEPS = {
    None: dict(steps=184_375, milestones=[163_889, 177_546]),
    '25e': dict(steps=46_094, milestones=[40_972, 44_387]),
    '25e-1xb4-accum16': dict(steps=46_094, milestones=[40_972, 44_387]),
}
# MAE's UperNet as MMSegmentation publishes it for ViT-B.
UPERNET = dict(
    b=dict(layer_decay=0.65, drop_path=0.1, out_indices=(3, 5, 7, 11)),
    l=dict(layer_decay=0.75, drop_path=0.2, out_indices=(7, 11, 15, 23)),
)
# ADDP's table 15 for B, the authors' released command for L (peaks are base rate x 1024 / 256).
FINE_TUNING = {
    'addp_vit-b_8xb128-amp-coslr-100e_in1k-256px': dict(
        lr=1e-3 * 4, epochs=100, warmup=20, layer_decay=0.65, drop_path=0.1
    ),
    'addp_vit-l_8xb128-amp-coslr-50e_in1k-256px': dict(
        lr=2.5e-4 * 4, epochs=50, warmup=5, layer_decay=0.8, drop_path=0.2
    ),
}
# ADDP's table 17.
RESNET = {
    'addp_resnet50_8xb256-amp-coslr-100e_in1k-256px': dict(
        lr=8e-3, epochs=100, rand_augment=6, sampler='DefaultSampler', drop_path=0
    ),
    'addp_resnet50_8xb256-amp-coslr-300e_in1k-256px': dict(
        lr=5e-3, epochs=300, rand_augment=7, sampler='RepeatAugSampler', drop_path=0.05
    ),
}

COCO = [
    f'det/{encoder}/{head}_{encoder}-vit-{size}_sfp_16xb4-lsj-100e_coco'
    for encoder in ('addp', 'mae')
    for head in ('mask-rcnn', 'cascade-mask-rcnn')
    for size in 'bl'
]
ADE20K = [
    f'seg/{encoder}/upernet_{encoder}-vit-{size}_8xb2-amp-160k_ade20k-512x512'
    for encoder in ('addp', 'mae')
    for size in 'bl'
]


def images_per_step(cfg: Config, name: str) -> int:
    """Images of an optimizer step: GPUs as the name says, batch and accumulation as configured."""
    gpus, batch_size = map(int, re.search(r'_(\d+)xb(\d+)-', name).groups())
    assert cfg.train_dataloader.batch_size == batch_size
    return gpus * batch_size * cfg.optim_wrapper.get('accumulative_counts', 1)


def size_of(name: str) -> str:
    return re.search(r'vit-([bl])_', name).group(1)


def check_adamw(cfg: Config, lr: float, weight_decay: float) -> None:
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type == 'AdamW'
    assert optimizer.lr == pytest.approx(lr)
    assert tuple(optimizer.betas) == (0.9, 0.999)
    assert optimizer.weight_decay == weight_decay
    assert 'clip_grad' not in cfg.optim_wrapper


def check_encoder(cfg: Config, name: str) -> None:
    encoder = re.search(r'(addp|mae)[-_]vit', name).group(1)
    model, backbone = cfg.model, cfg.model.backbone
    size = 'base' if size_of(name) == 'b' else 'large'
    assert backbone.arch == size
    assert backbone.get('pretrain_img_size', 256) == dict(addp=256, mae=224)[encoder]
    file = dict(addp=f'addp-vit-{size}-16.pth', mae=f'mae_pretrain_vit_{size}.pth')[encoder]
    assert backbone.init_cfg == dict(type='Pretrained', checkpoint=f'checkpoints/{file}')
    # MMEngine's normalization is in [0, 255], the papers' in [0, 1].
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert model.data_preprocessor.mean == pytest.approx([255 * m for m in mean])
    assert model.data_preprocessor.std == pytest.approx([255 * s for s in std])


@pytest.mark.parametrize('variant', VITDET_STEPS)
@pytest.mark.parametrize('name', COCO)
def test_coco_follows_vitdet(name, variant, load_config, load_variant):
    cfg = load_variant('vitdet_schedules', variant, name) if variant else load_config(name)
    recipe, schedule = VITDET[size_of(name)], VITDET_STEPS[variant]
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    warmup, steps = cfg.param_scheduler
    one_gpu = '_1xb4-' if accumulated > 1 else name
    assert images_per_step(cfg, one_gpu) == 64
    assert cfg.auto_scale_lr.base_batch_size == 64
    check_adamw(cfg, lr=1e-4, weight_decay=0.1)
    check_encoder(cfg, name)
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == recipe['layer_decay']
    assert cfg.train_cfg.max_iters == schedule['steps'] * accumulated
    assert steps.milestones == [step * accumulated for step in schedule['milestones']]
    assert (warmup.end, warmup.start_factor) == (250 * accumulated, 0.001)
    backbone = cfg.model.backbone
    assert backbone.drop_path_rate == recipe['drop_path']
    assert backbone.global_attn_indexes == recipe['global_blocks']
    assert (backbone.img_size, backbone.window_size, backbone.use_rel_pos) == (1024, 14, True)
    assert not any(backbone[key] for key in ('with_cls_token', 'embed_norm', 'final_norm'))
    # ViTDet pads every image to a square of 1024 and reads RGB.
    assert cfg.model.data_preprocessor.pad_size_divisor == 1024
    assert cfg.model.data_preprocessor.bgr_to_rgb


@pytest.mark.parametrize('name', COCO)
def test_coco_detectors_are_vitdets(name, load_config):
    model = load_config(name).model
    cascade = name.split('/')[-1].startswith('cascade')
    box_heads = model.roi_head.bbox_head if cascade else [model.roi_head.bbox_head]
    box_weights = [[10, 10, 5, 5], [20, 20, 10, 10], [30, 30, 15, 15]][: len(box_heads)]
    for head, weights in zip(box_heads, box_weights):
        assert head.type == 'Shared4Conv1FCBBoxHead'
        assert head.get('reg_class_agnostic', False) == cascade
        assert [1 / std for std in head.bbox_coder.target_stds] == pytest.approx(weights)
        assert head.norm_cfg == dict(type='mmaddp.LN2d', eps=1e-6)
    assert len(box_heads) == (3 if cascade else 1)
    assert model.roi_head.mask_head.norm_cfg == dict(type='mmaddp.LN2d', eps=1e-6)
    assert model.rpn_head.num_convs == 2
    stages = model.train_cfg.rcnn if cascade else [model.train_cfg.rcnn]
    assert [stage.assigner.pos_iou_thr for stage in stages] == [0.5, 0.6, 0.7][: len(stages)]
    proposals = model.train_cfg.rpn_proposal, model.test_cfg.rpn
    assert [(p.nms_pre, p.max_per_img) for p in proposals] == [(2000, 1000), (1000, 1000)]
    assert (model.test_cfg.rcnn.score_thr, model.test_cfg.rcnn.max_per_img) == (0.05, 100)


@pytest.mark.parametrize('name', COCO)
def test_coco_samples_and_suppresses_as_detectron2(name, load_config):
    model = load_config(name).model
    cascade = name.split('/')[-1].startswith('cascade')
    anchors = model.rpn_head.anchor_generator
    sizes = [scale * stride for stride in anchors.strides for scale in anchors.scales]
    assert sizes == [32, 64, 128, 256, 512]
    assert anchors.ratios == [0.5, 1.0, 2.0]

    rpn = model.train_cfg.rpn
    assert (rpn.assigner.neg_iou_thr, rpn.assigner.pos_iou_thr) == (0.3, 0.7)
    # Best anchors of an object match it whatever their overlap, if there is one.
    assert rpn.assigner.match_low_quality
    assert 0 < rpn.assigner.min_pos_iou < 1 / 1024**2
    assert (rpn.sampler.num, rpn.sampler.pos_fraction) == (256, 0.5)
    for proposals in (model.train_cfg.rpn_proposal, model.test_cfg.rpn):
        assert proposals.nms == dict(type='nms', iou_threshold=0.7)

    stages = model.train_cfg.rcnn if cascade else [model.train_cfg.rcnn]
    for stage, threshold in zip(stages, [0.5, 0.6, 0.7]):
        assigner, sampler = stage.assigner, stage.sampler
        assert assigner.pos_iou_thr == assigner.neg_iou_thr == assigner.min_pos_iou == threshold
        assert not assigner.match_low_quality
        assert (sampler.num, sampler.pos_fraction) == (512, 0.25)
        assert sampler.add_gt_as_proposals
        assert stage.mask_size == 28
    assert model.test_cfg.rcnn.nms == dict(type='nms', iou_threshold=0.5)
    for part, size in (('bbox', 7), ('mask', 14)):
        extractor = model.roi_head[f'{part}_roi_extractor']
        assert extractor.roi_layer == dict(type='RoIAlign', output_size=size, sampling_ratio=0)
        assert extractor.featmap_strides == [4, 8, 16, 32]
    if cascade:
        # detectron2 lets a third of each stage's gradient into the features.
        assert model.roi_head.stage_loss_weights == pytest.approx(3 * [1 / 3])


@pytest.mark.parametrize('name', COCO[:1] + COCO[-1:])
def test_coco_jitters_at_large_scale(name, load_config):
    pipeline = {t.type: t for t in load_config(name).train_dataloader.dataset.pipeline}
    assert pipeline['RandomResize'].ratio_range == (0.1, 2.0)
    assert pipeline['RandomResize'].scale == (1024, 1024)
    assert pipeline['RandomResize'].resize_type == 'mmaddp.ResizeForCrop'
    assert pipeline['RandomCrop'].crop_size == (1024, 1024)


@pytest.mark.parametrize('name', ADE20K)
def test_ade20k_follows_mae(name, load_config):
    cfg, recipe = load_config(name), UPERNET[size_of(name)]
    assert images_per_step(cfg, name) == cfg.auto_scale_lr.base_batch_size == 16
    check_adamw(cfg, lr=1e-4, weight_decay=0.05)
    check_encoder(cfg, name)
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == recipe['layer_decay']
    warmup, poly = cfg.param_scheduler
    assert cfg.train_cfg.max_iters == poly.end == 160_000
    assert warmup.end == poly.begin == 1500
    assert (poly.power, poly.eta_min) == (1.0, 0.0)
    model = cfg.model
    assert model.backbone.drop_path_rate == recipe['drop_path']
    assert model.backbone.out_indices == recipe['out_indices']
    assert (model.decode_head.type, model.decode_head.num_classes) == ('UPerHead', 150)
    assert model.auxiliary_head.loss_decode.loss_weight == 0.4
    # Windows are whole, so images need no padding.
    assert model.test_cfg == dict(mode='slide', crop_size=(512, 512), stride=(341, 341))
    assert 'test_cfg' not in model.data_preprocessor
    resize, flip = cfg.tta_pipeline[1].transforms[:2]
    ratios = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    assert [r.scale for r in resize] == [(2048 * r, 512 * r) for r in ratios]
    assert [f.prob for f in flip] == [0.0, 1.0]
    for part in (model.neck, model.decode_head, model.auxiliary_head):
        assert part.norm_cfg.type == 'SyncBN'
    channels = dict(b=768, l=1024)[size_of(name)]
    assert model.decode_head.in_channels == 4 * [channels]
    assert (model.decode_head.channels, model.auxiliary_head.channels) == (channels, 256)
    assert model.decode_head.pool_scales == (1, 2, 3, 6)


@pytest.mark.parametrize('name', FINE_TUNING)
def test_fine_tuning_follows_table_15(name, load_config):
    cfg, recipe = load_config(f'cls/addp/{name}'), FINE_TUNING[name]
    assert images_per_step(cfg, name) == cfg.auto_scale_lr.base_batch_size == 1024
    check_adamw(cfg, lr=recipe['lr'], weight_decay=0.05)
    check_encoder(cfg, name)
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == recipe['layer_decay']
    warmup, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == recipe['epochs']
    assert warmup.end == cosine.begin == recipe['warmup']
    # MAE's floor, which scales with the layers' rates.
    assert cosine.eta_min_ratio * recipe['lr'] == pytest.approx(1e-6)
    assert cfg.model.backbone.drop_path_rate == recipe['drop_path']
    assert cfg.model.head.loss.label_smooth_val == 0.1
    mixup, cutmix = cfg.model.train_cfg.augments
    assert (mixup.alpha, cutmix.alpha) == (0.8, 1.0)
    pipeline = {t.type: t for t in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandomResizedCrop'].scale == 256
    assert (pipeline['RandAugment'].magnitude_level, pipeline['RandAugment'].magnitude_std) == (
        9,
        0.5,
    )
    assert pipeline['RandomErasing'].erase_prob == 0.25


@pytest.mark.parametrize('size', ['b', 'l'])
def test_linear_probe_follows_table_16(size, load_config, load_variant):
    name = 'addp_vit-b_linear_16xb1024-lars-90e_in1k-224px'
    large = size == 'l'
    cfg = load_variant('addp_linear', 'addp-vit-l') if large else load_config(f'cls/addp/{name}')
    assert images_per_step(cfg, name) == cfg.auto_scale_lr.base_batch_size == 16384
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('LARS', 6.4, 0.0)
    warmup, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == 90
    assert warmup.end == cosine.begin == 10
    check_encoder(cfg, name.replace('vit-b', f'vit-{size}'))
    assert cfg.model.backbone.frozen_stages == dict(b=12, l=24)[size]
    assert cfg.model.neck.norm_cfg == dict(type='BN1d', affine=False, eps=1e-6)
    backbone = cfg.model.backbone
    assert (backbone.img_size, backbone.pretrain_img_size) == (224, 256)
    crop, flip = cfg.train_dataloader.dataset.pipeline[1:-1]
    assert (crop.type, crop.scale, flip.type) == ('RandomResizedCrop', 224, 'RandomFlip')
    resize, center = cfg.test_dataloader.dataset.pipeline[1:-1]
    assert (resize.scale, center.crop_size) == (256, 224)


@pytest.mark.parametrize('name', RESNET)
def test_resnet50_follows_table_17(name, load_config):
    cfg, recipe = load_config(f'cls/addp/{name}'), RESNET[name]
    assert images_per_step(cfg, name) == cfg.auto_scale_lr.base_batch_size == 2048
    check_adamw(cfg, lr=recipe['lr'], weight_decay=0.02)
    warmup, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == recipe['epochs']
    assert warmup.end == cosine.begin == 5
    assert cfg.model.backbone.get('drop_path_rate', 0) == recipe['drop_path']
    assert cfg.model.head.loss.use_sigmoid
    assert cfg.model.backbone.norm_cfg.type == 'BN'
    assert cfg.model.head.loss.label_smooth_val == 0.1
    mixup, cutmix = cfg.model.train_cfg.augments
    assert (mixup.alpha, cutmix.alpha) == (0.1, 1.0)
    pipeline = {t.type: t for t in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandAugment'].magnitude_level == recipe['rand_augment']
    assert 'RandomErasing' not in pipeline
    assert cfg.train_dataloader.sampler.type == recipe['sampler']
