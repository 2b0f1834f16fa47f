# Everything small, for one's own images and a CPU: TOKENIZER and TOKEN_PREDICTOR name checkpoints
# of ../vqgan and ../mage's configs of this size, IMAGE_DIR the images. Learning rate and length are
# no paper's.
_base_ = [
    '../../_base_/models/addp_vit-b.py',
    '../../_base_/datasets/image-folder_128_pretrain.py',
    '../../_base_/runtimes/addp.py',
]

model = dict(
    encoder=dict(arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3), img_size=128),
    decoder=dict(embed_dims=192, num_layers=4, num_heads=3, num_patches=64, num_embeddings=256),
    tokenizer=dict(
        base_channels=16,
        embed_dims=64,
        num_embeddings=256,
        norm_groups=4,
        init_cfg=dict(checkpoint='{{$TOKENIZER:checkpoints/vqgan-tiny.pth}}'),
    ),
    token_predictor=dict(
        encoder=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        decoder=dict(embed_dims=192, num_layers=2, num_heads=3),
        num_patches=64,
        num_embeddings=256,
        init_cfg=dict(checkpoint='{{$TOKEN_PREDICTOR:checkpoints/mage-tiny.pth}}'),
    ),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=dict(max_norm=3.0),
    constructor='mmaddp.WeightDecayOptimWrapperConstructor',
    paramwise_cfg=dict(flat_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=50, end=1000),
]
train_cfg = dict(by_epoch=False, max_iters=1000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=250))
custom_hooks = _base_.custom_hooks
custom_hooks[1].interval = 250
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=32)
