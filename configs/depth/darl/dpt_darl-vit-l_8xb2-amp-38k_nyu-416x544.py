_base_ = [
    '../../_base_/backbones/darl_vit-l.py',
    '../../_base_/heads/dpt_depth.py',
    '../../_base_/datasets/nyu_416x544.py',
    '../../_base_/schedules/depth-finetune_38k.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(**_base_.dense, img_size=512, drop_path_rate=0.2, out_indices=(5, 11, 17, 23)),
    decode_head=dict(
        in_channels=4 * [1024], embed_dims=1024, post_process_channels=[128, 256, 512, 1024]
    ),
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
