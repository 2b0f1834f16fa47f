# DARL's table 1: fine-tuning encoders of 400 epochs, each with the positions of its pre-training;
# rotary ones at 384 x 384 too, where they are interpolated.
config = '../cls/darl/darl-mse_vit-l_32xb128-amp-coslr-50e_in1k-224px.py'
kinds = ('none', 'sincos', 'learnable', 'rope-1d', 'rope-2d')
encoder = '{{$ENCODER:work_dirs/darl-mse_table-1_pretrain/POSITIONS/epoch_400.pth}}'
tuned = {
    positions: {
        'model.backbone.positions': positions,
        'model.backbone.init_cfg.checkpoint': encoder.replace('POSITIONS', positions),
    }
    for positions in kinds
}
at_384 = {
    'model.backbone.img_size': 384,
    'model.backbone.pretrain_img_size': 224,
    'train_dataloader.dataset.pipeline.1.scale': 384,
    **{
        f'{split}_dataloader.dataset.pipeline.{step}': 384
        for split in ('val', 'test')
        for step in ('1.scale', '2.crop_size')
    },
}
variants = {
    **tuned,
    **{f'{positions}_384px': {**tuned[positions], **at_384} for positions in kinds[3:]},
}
