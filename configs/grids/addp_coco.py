# What ADDP is compared with on COCO: MAGE's encoder by the same recipe (tables 2 and 7), and 25
# epochs on pixels or tokens (table 1). ENCODER names the encoder of addp_cls.py for table 1.
_base_ = '../_base_/backbones/mage_vit-b.py'

config = '../det/addp/mask-rcnn_addp-vit-b_sfp_16xb4-lsj-100e_coco.py'

tokens = {
    'model.data_preprocessor.mean': _base_.pixel_values.mean,
    'model.data_preprocessor.std': _base_.pixel_values.std,
    'model.backbone': dict(
        _delete_=True,
        **_base_.dense,
        img_size=1024,
        window_size=14,
        global_attn_indexes=(2, 5, 8, 11),
        drop_path_rate=0.1,
    ),
}

# The numbers of ../_base_/schedules/vitdet_25e.py (appendix D.1).
short = {
    'param_scheduler.1.milestones': [40972, 44387],
    'train_cfg.max_iters': 46094,
    'train_cfg.val_interval': 2426,
    'default_hooks.checkpoint.interval': 2426,
}
start = 'model.backbone.init_cfg.checkpoint'
pixels = {**short, start: '{{$ENCODER:work_dirs/addp_cls/scratch-pixels/epoch_300.pth}}'}
tokens_short = {
    **tokens,
    **short,
    start: '{{$ENCODER:work_dirs/addp_cls/scratch-tokens/epoch_300.pth}}',
}
at_256 = {
    'model.data_preprocessor.pad_size_divisor': 256,
    'model.backbone.img_size': 256,
    'train_dataloader.dataset.pipeline.3.scale': (256, 256),
    'train_dataloader.dataset.pipeline.4.crop_size': (256, 256),
    'val_dataloader.dataset.pipeline.1.scale': (256, 256),
    'test_dataloader.dataset.pipeline.1.scale': (256, 256),
}

variants = {
    'mage-vit-b': tokens,
    'mage-vit-l': {
        **tokens,
        'model.backbone.arch': 'large',
        'model.backbone.global_attn_indexes': (5, 11, 17, 23),
        'model.backbone.drop_path_rate': 0.4,
        start: 'checkpoints/mage-vitl-1600.pth',
        'model.neck.in_channels': 1024,
        'optim_wrapper.paramwise_cfg.layer_decay_rate': 0.8,
    },
    'pixels_256px': {**pixels, **at_256},
    'tokens_256px': {**tokens_short, **at_256},
    'pixels_1024px': pixels,
    'tokens_1024px': tokens_short,
}
