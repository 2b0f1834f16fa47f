# DARL's table 7: the order of patches, at 256 x 256, whose 16 x 16 patches make whole blocks of 2,
# 4 and 8. Nested raster finishes one block after the other; round-robin takes one patch of each
# block in turn.
config = '../pretrain/darl/darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'
at_256 = {'model.backbone.img_size': 256, 'train_dataloader.dataset.pipeline.1.scale': 256}
variants = {
    'raster': at_256,
    **{
        f'{order}-{size}': {
            **at_256,
            'model.backbone.order': order,
            'model.backbone.block_size': size,
        }
        for order in ('nested-raster', 'round-robin')
        for size in (2, 4, 8)
    },
}
