# Everything small, for CIFAR-10 and a CPU: CIFAR10_DIR names the folder.
_base_ = [
    '../../_base_/models/ddae-edm_unet.py',
    '../../_base_/datasets/cifar10-folder_32_pretrain.py',
    '../../_base_/schedules/ddae-tiny_3000i.py',
]

model = dict(
    network=dict(
        base_channels=32, channel_multipliers=(1, 2, 2), attention_stages=(1,), num_blocks=2
    )
)
