# A small token predictor of one's own images for a CPU, on the tokens of ../vqgan's tiny tokenizer:
# TOKENIZER=…. Sizes, learning rate and length are no paper's; the objective is MAGE's.
_base_ = [
    '../../_base_/datasets/image-folder_128_pretrain.py',
    '../../_base_/runtimes/pretrain.py',
]

model = dict(
    type='mmaddp.MAGETrainer',
    tokenizer=dict(
        type='mmaddp.VQGAN',
        base_channels=16,
        embed_dims=64,
        num_embeddings=256,
        norm_groups=4,
        init_cfg=dict(type='Pretrained', checkpoint='{{$TOKENIZER:checkpoints/vqgan-tiny.pth}}'),
    ),
    token_predictor=dict(
        type='mmaddp.MAGE',
        encoder=dict(embed_dims=192, num_layers=4, num_heads=3),
        decoder=dict(embed_dims=192, num_layers=2, num_heads=3),
        num_patches=64,
        num_embeddings=256,
        drop_rate=0.1,
    ),
    label_smoothing=0.1,
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
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=32)
