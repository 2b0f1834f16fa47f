_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_ddpmpp.py',
    '../../_base_/datasets/tiny-imagenet_64_pretrain.py',
    '../../_base_/schedules/ddae_2000e.py',
]

model = dict(img_size=64)

train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=256)
