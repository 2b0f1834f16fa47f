# Linear probes: ADDP's ViT-L, by table 16 as its ViT-B, and MAGE's, by its released command. MAGE's
# has 256 x 256, crops of 0.2 to 1 of the area, 4,096 images a step and a base rate of 0.1 (ViT-L:
# 0.05) times 4096 / 256. The average of its tokens passes a LayerNorm that does not learn, then the
# BatchNorm.
_base_ = '../_base_/backbones/mage_vit-b.py'

config = '../cls/addp/addp_vit-b_linear_16xb1024-lars-90e_in1k-224px.py'
pool = dict(
    type='mmaddp.PoolNormNeck',
    norm_cfg=dict(type='LN', eps=1e-6, elementwise_affine=False),
)
norm = dict(type='ClsBatchNormNeck', affine=False, eps=1e-6)
encoder = dict(**_base_.encoder, img_size=256, final_norm=False)
mage = {
    'model.data_preprocessor.mean': _base_.pixel_values.mean,
    'model.data_preprocessor.std': _base_.pixel_values.std,
    'model.backbone': dict(_delete_=True, **encoder, frozen_stages=12),
    'model.neck': [dict(**pool, in_channels=768), dict(**norm, input_features=768)],
    'train_dataloader.batch_size': 256,
    'train_dataloader.dataset.pipeline.1.scale': 256,
    'train_dataloader.dataset.pipeline.1.crop_ratio_range': (0.2, 1.0),
    **{
        f'{split}_dataloader.dataset.pipeline.{step}': size
        for split in ('val', 'test')
        for step, size in (('1.scale', 292), ('2.crop_size', 256))
    },
    'optim_wrapper.optimizer.lr': 1.6,
    'auto_scale_lr.base_batch_size': 4096,
}
variants = {
    'addp-vit-l': {
        'model.backbone.arch': 'large',
        'model.backbone.frozen_stages': 24,
        'model.backbone.init_cfg.checkpoint': 'checkpoints/addp-vit-large-16.pth',
        'model.neck.in_channels': 1024,
        'model.head.in_channels': 1024,
    },
    'mage-vit-b': mage,
    'mage-vit-l': {
        **mage,
        'model.backbone.arch': 'large',
        'model.backbone.frozen_stages': 24,
        'model.backbone.init_cfg.checkpoint': 'checkpoints/mage-vitl-1600.pth',
        'model.neck': [dict(**pool, in_channels=1024), dict(**norm, input_features=1024)],
        'model.head.in_channels': 1024,
        'optim_wrapper.optimizer.lr': 0.8,
    },
}
