# A linear evaluation of all depths on two CPU cores: ENCODER is a checkpoint of pretrain/darl's toy
# configs at 32 x 32, CIFAR10_DIR the folder.
_base_ = [
    '../../_base_/backbones/darl_vit-toy.py',
    '../../_base_/heads/linear-all-depths.py',
    '../../_base_/datasets/cifar10-folder_32.py',
    '../../_base_/schedules/toy-linear_20e.py',
]

model = dict(encoder=dict(**_base_.encoder, causal=True), head=dict(num_classes=_base_.num_classes))

# The peak is table 13's, the batch is not.
optim_wrapper = dict(optimizer=dict(lr=0.1))

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
