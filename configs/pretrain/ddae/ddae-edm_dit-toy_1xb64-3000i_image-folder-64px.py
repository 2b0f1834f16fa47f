# The toy transformer on your own images, on a CPU: IMAGE_DIR=….
_base_ = [
    '../../_base_/pretrainers/ddae-edm_dit-toy.py',
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/darl-toy_3000i.py',
]

model = _base_.pretrainer
