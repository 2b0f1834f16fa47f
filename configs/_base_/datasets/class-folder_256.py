# One's own images at 256 x 256, a folder a class: train/<class>/ and test/<class>/, augmented as
# ImageNet is for ADDP's table 15. Root and number of classes come from the environment:
# IMAGE_DIR=… NUM_CLASSES=….
_base_ = './imagenet_256_randaug-9-erasing.py'

data_root = '{{$IMAGE_DIR:data/images}}'
num_classes = int('{{$NUM_CLASSES:10}}')

train_dataloader = dict(
    batch_size=32,
    drop_last=False,
    dataset=dict(
        _delete_=True,
        type='mmaddp.ImageFolder',
        data_root=data_root,
        data_prefix='train',
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmaddp.ImageFolder',
        data_root=data_root,
        data_prefix='test',
        classes_from='train',
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
