# A narrow tokenizer of your own images for a CPU: IMAGE_DIR=…. 64 tokens of 8 x 8 pixels for
# an image, 1024 codes, reconstruction and quantization losses alone. No number is from a paper.
_base_ = [
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/pretrain-toy_1000i.py',
]

model = dict(
    type='mmaddp.VQGANTrainer',
    tokenizer=dict(
        type='mmaddp.VQGAN',
        base_channels=16,
        channel_multipliers=(1, 3, 3, 3),
        embed_dims=32,
        num_embeddings=1024,
        norm_groups=8,
    ),
    quantize_from=500,
)
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')

train_dataloader = dict(batch_size=16)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=2e-3, betas=(0.9, 0.99)),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100, end=3000),
]
train_cfg = dict(max_iters=3000)
default_hooks = dict(checkpoint=dict(interval=1000))
auto_scale_lr = dict(base_batch_size=16)
