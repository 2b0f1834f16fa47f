# MaskGIT's VQGAN with the losses of VQGAN's paper; the README says which number is whose.
_base_ = [
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/runtimes/pretrain.py',
]

model = dict(
    type='mmaddp.VQGANTrainer',
    tokenizer=dict(
        type='mmaddp.VQGAN', base_channels=128, embed_dims=256, num_embeddings=1024, norm_groups=32
    ),
    commitment=0.25,
    perceptual=dict(weights='{{$VGG16:checkpoints/vgg16-397923af.pth}}'),
    discriminator=dict(type='mmaddp.PatchDiscriminator', base_channels=64, num_layers=3),
    adversarial_weight=0.8,
    adversarial_start=50000,
)
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')

train_dataloader = dict(batch_size=16)

wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    # bfloat16 has float32's range: nothing underflows, so there is nothing to scale.
    loss_scale=dict(enabled=False),
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.9)),
)
optim_wrapper = dict(
    constructor='mmaddp.PartsOptimWrapperConstructor',
    tokenizer=wrapper,
    discriminator=wrapper,
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=5000),
]
train_cfg = dict(by_epoch=False, max_iters=500000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=128)
