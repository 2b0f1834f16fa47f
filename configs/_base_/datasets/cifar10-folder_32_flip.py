# CIFAR-10's training images as files, with flips only, without labels: CIFAR10_DIR=…, with
# train/<class>/ and test/<class>/.
_base_ = './tiny-imagenet_64_pretrain.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmaddp.ImageFolder',
        data_root='{{$CIFAR10_DIR:data/cifar10}}',
        data_prefix='train',
        with_label=False,
        pipeline=_base_.train_pipeline,
    ),
)
