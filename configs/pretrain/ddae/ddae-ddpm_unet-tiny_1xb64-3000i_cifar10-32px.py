# Everything small, for CIFAR-10 and a CPU: CIFAR10_DIR names the folder. 1.7M parameters, blocks
# out_1 to out_6.
_base_ = [
    '../../_base_/models/ddae-ddpm_unet.py',
    '../../_base_/datasets/cifar10-folder_32_pretrain.py',
    '../../_base_/schedules/ddae-tiny_3000i.py',
]

model = dict(
    network=dict(
        base_channels=32, channel_multipliers=(1, 2, 3), attention_stages=(1,), num_blocks=1
    )
)
