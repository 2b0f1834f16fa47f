# DARL's table 7: fine-tuning the encoders of darl-mse_table-7_pretrain.py, for 50 epochs at the
# 256 x 256 of their pre-training. Without a mask the order does not matter, and every order ends
# with the patch that is read. Testing crops the long side alone, as MAE does above 224.
config = '../cls/darl/darl-mse_vit-l_32xb128-amp-coslr-50e_in1k-224px.py'
orders = [
    'raster',
    *(f'{order}-{size}' for order in ('nested-raster', 'round-robin') for size in (2, 4, 8)),
]
encoder = '{{$ENCODER:work_dirs/darl-mse_table-7_pretrain/ORDER/epoch_100.pth}}'
at_256 = {
    'model.backbone.img_size': 256,
    'train_dataloader.dataset.pipeline.1.scale': 256,
    **{
        f'{split}_dataloader.dataset.pipeline.{step}': 256
        for split in ('val', 'test')
        for step in ('1.scale', '2.crop_size')
    },
}
variants = {
    order: {**at_256, 'model.backbone.init_cfg.checkpoint': encoder.replace('ORDER', order)}
    for order in orders
}
