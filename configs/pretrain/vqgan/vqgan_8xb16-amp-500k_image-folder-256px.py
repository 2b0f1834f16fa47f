# One's own images: IMAGE_DIR=….
_base_ = [
    '../../_base_/pretrainers/vqgan.py',
    '../../_base_/datasets/image-folder_256_pretrain.py',
    '../../_base_/schedules/vqgan_500k.py',
]

train_dataloader = dict(batch_size=16)
