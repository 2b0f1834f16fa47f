_base_ = [
    '../../_base_/backbones/ddae-ddpm_dit-xl.py',
    '../../_base_/heads/dpt_depth.py',
    '../../_base_/datasets/nyu_416x544.py',
    '../../_base_/schedules/depth-finetune_38k.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(**_base_.dense, out_blocks=('layer-4', 'layer-7', 'layer-10', 'layer-13')),
    decode_head=dict(
        in_channels=4 * [1152], embed_dims=1152, post_process_channels=[128, 256, 512, 1024]
    ),
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
