# What ADDP is compared with on ADE20K: MAGE's encoder by the same recipe (tables 2 and 7), and
# pixels or tokens at 256 x 256 (table 1). ENCODER names the encoder of addp_cls.py for table 1.
_base_ = '../_base_/backbones/mage_vit-b.py'

config = '../seg/addp/upernet_addp-vit-b_8xb2-amp-160k_ade20k-512x512.py'

tokens = {
    'model.data_preprocessor.mean': _base_.pixel_values.mean,
    'model.data_preprocessor.std': _base_.pixel_values.std,
    'model.backbone': dict(
        _delete_=True,
        **_base_.dense,
        img_size=512,
        drop_path_rate=0.1,
        out_indices=(3, 5, 7, 11),
    ),
}
start = 'model.backbone.init_cfg.checkpoint'
# The scale of the jitter and of testing follows the crop, and the stride is 2/3 of it.
at_256 = {
    'model.data_preprocessor.size': (256, 256),
    'model.backbone.img_size': 256,
    'model.test_cfg.crop_size': (256, 256),
    'model.test_cfg.stride': (171, 171),
    'train_dataloader.dataset.pipeline.2.scale': (1024, 256),
    'train_dataloader.dataset.pipeline.3.crop_size': (256, 256),
    'val_dataloader.dataset.pipeline.1.scale': (1024, 256),
    'test_dataloader.dataset.pipeline.1.scale': (1024, 256),
}

variants = {
    'mage-vit-b': tokens,
    'mage-vit-l': {
        **tokens,
        'model.backbone.arch': 'large',
        'model.backbone.drop_path_rate': 0.2,
        'model.backbone.out_indices': (7, 11, 15, 23),
        start: 'checkpoints/mage-vitl-1600.pth',
        'model.neck.embed_dim': 1024,
        'model.decode_head.in_channels': 4 * [1024],
        'model.decode_head.channels': 1024,
        'model.auxiliary_head.in_channels': 1024,
        'optim_wrapper.paramwise_cfg.layer_decay_rate': 0.75,
    },
    'pixels_256px': {
        **at_256,
        start: '{{$ENCODER:work_dirs/addp_cls/scratch-pixels/epoch_300.pth}}',
    },
    'tokens_256px': {
        **tokens,
        **at_256,
        start: '{{$ENCODER:work_dirs/addp_cls/scratch-tokens/epoch_300.pth}}',
    },
}
