# DARL's figure 8b: linear evaluation by depth. The config itself has ViT-L.
config = '../cls/darl/darl-diff_vit-l_linear-all-depths_16xb1024-lars-90e_in1k-224px.py'
variants = {
    'vit-b': {
        'model.encoder.arch': 'base',
        'model.encoder.init_cfg': dict(
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-b_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        ),
    },
    'vit-h': {
        'model.encoder.arch': 'huge',
        'model.encoder.patch_size': 14,
        'model.encoder.init_cfg': dict(
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-h_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        ),
    },
}
