# DiT's encoder on ImageNet, beside the probes of ADDP and DARL: the levels of CIFAR-10 and
# Tiny-ImageNet, the length of the former.
_base_ = [
    '../../_base_/datasets/imagenet_256.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

model = dict(
    type='mmaddp.GridProbe',
    encoder=dict(
        type='mmaddp.DDAE',
        network=dict(type='mmaddp.DDAEDiT', arch='xlarge'),
        framework=dict(type='mmaddp.DDPM', time_input='index'),
        autoencoder=dict(
            type='mmaddp.KLAutoencoder',
            folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}',
            sample=True,
        ),
        img_size=256,
    ),
    num_classes=1000,
    levels=[42, 82, 122, 162, 202],
)

train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=8e-3))
auto_scale_lr = dict(base_batch_size=1024)

val_evaluator = dict(_delete_=True, type='mmaddp.GridAccuracy')
test_evaluator = val_evaluator
