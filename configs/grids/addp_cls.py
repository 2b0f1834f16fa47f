# What ADDP is compared with on ImageNet, at 256 x 256 unless stated otherwise.
_base_ = '../_base_/backbones/mage_vit-b.py'

config = '../cls/addp/addp_vit-b_8xb128-amp-coslr-100e_in1k-256px.py'

# Table 13: 300 epochs from scratch, on pixels and on VQ tokens (table 1). 4,096 images a step are 4
# batches on each of 8 GPUs. The table has no layer decay.
scratch = {
    'model.backbone.init_cfg': None,
    'optim_wrapper.optimizer': dict(lr=1.6e-3, betas=(0.9, 0.95), weight_decay=0.3),
    'optim_wrapper.paramwise_cfg.layer_decay_rate': 1.0,
    'optim_wrapper.accumulative_counts': 4,
    'param_scheduler.1.end': 300,
    'param_scheduler.1.eta_min_ratio': 1e-6 / 1.6e-3,
    'train_cfg.max_epochs': 300,
    'auto_scale_lr.base_batch_size': 4096,
}
tokens = {
    'model.data_preprocessor.mean': _base_.pixel_values.mean,
    'model.data_preprocessor.std': _base_.pixel_values.std,
    'model.backbone': dict(
        _delete_=True, **_base_.encoder, img_size=256, final_norm=False, drop_path_rate=0.1
    ),
}

# MAE's released commands: a peak of 2e-3 or 4e-3 (base rates 5e-4 and 1e-3 times 1024 / 256),
# 5 epochs of warm-up, 224 x 224.
warmup = {'param_scheduler.0.end': 5, 'param_scheduler.1.begin': 5}
mae = {
    **warmup,
    'model.backbone.img_size': 224,
    'model.backbone.init_cfg.checkpoint': 'checkpoints/mae_pretrain_vit_base.pth',
    'train_dataloader.dataset.pipeline.1.scale': 224,
    'val_dataloader.dataset.pipeline.2.crop_size': 224,
    'test_dataloader.dataset.pipeline.2.crop_size': 224,
    'optim_wrapper.optimizer.lr': 2e-3,
    'param_scheduler.1.eta_min_ratio': 1e-6 / 2e-3,
}
mae_large = {
    **mae,
    'model.backbone.arch': 'large',
    'model.backbone.drop_path_rate': 0.2,
    'model.backbone.init_cfg.checkpoint': 'checkpoints/mae_pretrain_vit_large.pth',
    'model.neck.in_channels': 1024,
    'model.head.in_channels': 1024,
    'optim_wrapper.optimizer.lr': 4e-3,
    'optim_wrapper.paramwise_cfg.layer_decay_rate': 0.75,
    'param_scheduler.1.eta_min_ratio': 1e-6 / 4e-3,
    'param_scheduler.1.end': 50,
    'train_cfg.max_epochs': 50,
}

# MAGE's released commands: a peak of 1e-3 (base rate 2.5e-4), 5 epochs of warm-up, crops of 0.2 to
# 1 of the area, no erasing. Testing crops 256 out of a short side of 292.
mage = {
    **tokens,
    **warmup,
    'train_dataloader.dataset.pipeline.1.crop_ratio_range': (0.2, 1.0),
    'train_dataloader.dataset.pipeline.4.erase_prob': 0.0,
    'val_dataloader.dataset.pipeline.1.scale': 292,
    'test_dataloader.dataset.pipeline.1.scale': 292,
    'optim_wrapper.optimizer.lr': 1e-3,
    'param_scheduler.1.eta_min_ratio': 1e-6 / 1e-3,
}

variants = {
    'scratch-pixels': scratch,
    'scratch-tokens': {**tokens, **scratch},
    'mae-vit-b': mae,
    'mae-vit-l': mae_large,
    'mae-vit-h': {
        **mae_large,
        'model.backbone.arch': 'huge',
        'model.backbone.patch_size': 14,
        'model.backbone.drop_path_rate': 0.3,
        'model.backbone.init_cfg.checkpoint': 'checkpoints/mae_pretrain_vit_huge.pth',
        'model.neck.in_channels': 1280,
        'model.head.in_channels': 1280,
    },
    'mage-vit-b': mage,
    'mage-vit-l': {
        **mage,
        'model.backbone.arch': 'large',
        'model.backbone.drop_path_rate': 0.2,
        'model.backbone.init_cfg.checkpoint': 'checkpoints/mage-vitl-1600.pth',
        'model.neck.in_channels': 1024,
        'model.head.in_channels': 1024,
        'optim_wrapper.paramwise_cfg.layer_decay_rate': 0.75,
        'param_scheduler.1.end': 50,
        'train_cfg.max_epochs': 50,
    },
}
