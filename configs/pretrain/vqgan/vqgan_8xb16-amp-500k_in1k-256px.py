_base_ = [
    '../../_base_/pretrainers/vqgan.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/vqgan_500k.py',
]

train_dataloader = dict(batch_size=16)
