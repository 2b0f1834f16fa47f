# Everything small, so that two CPU cores train it in minutes: ENCODER is a checkpoint of
# pretrain/ddae's small DDPM at 32 x 32, CIFAR10_DIR the folder. The block is the middle one on the
# way up.
_base_ = './ddae-ddpm-unet_noise-conditional_1xb128-15e_cifar10-32px.py'

model = dict(
    pretrainer=dict(
        network=dict(
            base_channels=32,
            channel_multipliers=(1, 2, 3),
            attention_stages=(1,),
            num_blocks=1,
            init_cfg=dict(
                checkpoint='{{$ENCODER:work_dirs/ddae-ddpm_unet-tiny_1xb64-3000i_cifar10-32px/iter_3000.pth}}',
            ),
        ),
    ),
    layer='out_4',
)
