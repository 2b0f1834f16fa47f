# The same on pretrain/ddae's small EDM.
_base_ = './ddae-ddpm-unet-tiny_noise-conditional_1xb128-15e_cifar10-32px.py'

model = dict(
    pretrainer=dict(
        network=dict(
            dropout=0.13,
            init_cfg=dict(
                checkpoint='{{$ENCODER:work_dirs/ddae-edm_unet-tiny_1xb64-3000i_cifar10-32px/iter_3000.pth}}',
            ),
        ),
        process=dict(_delete_=True, type='mmaddp.EDM'),
    ),
)
