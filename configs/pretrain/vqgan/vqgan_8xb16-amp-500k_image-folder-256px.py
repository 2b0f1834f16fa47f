# The same on one's own images: IMAGE_DIR=….
_base_ = './vqgan_8xb16-amp-500k_in1k-256px.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='{{$IMAGE_DIR:data/images}}',
        with_label=False,
        pipeline=_base_.train_pipeline,
    ),
)
