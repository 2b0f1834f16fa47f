# MaskGIT's VQGAN with the losses of VQGAN's paper; configs/pretrain/vqgan/README.md gives the
# source of each number.
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
