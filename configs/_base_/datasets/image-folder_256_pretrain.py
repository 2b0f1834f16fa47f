# All images of one's own folder and its subfolders, without labels, as ImageNet's: IMAGE_DIR=….
_base_ = './imagenet_256_pretrain.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='{{$IMAGE_DIR:data/images}}',
        with_label=False,
        pipeline=_base_.train_pipeline,
    ),
)
