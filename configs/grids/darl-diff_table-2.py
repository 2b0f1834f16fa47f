# DARL's table 2 with diffusion: depth and kind of the patch decoder, with the noise level
# as input (-gamma) or without. The base config is one transformer block without it.
config = '../pretrain/darl/darl-diff_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'
variants = {
    **{
        f'transformer-{layers}{suffix}': {
            'model.patch_decoder.num_layers': layers,
            'model.patch_decoder.condition_on_gamma': told,
        }
        for layers in (0, 1, 2, 4, 8)
        for suffix, told in (('', False), ('-gamma', True))
    },
    **{
        f'mlp-{layers}{suffix}': {
            'model.patch_decoder': dict(
                _delete_=True,
                type='mmaddp.MLPPatchDecoder',
                num_layers=layers,
                noisy=True,
                condition_on_gamma=told,
            )
        }
        for layers in (1, 2, 4, 8)
        for suffix, told in (('', False), ('-gamma', True))
    },
    # Section 4.1, training objective: predict the noise instead of the patch.
    'prediction-epsilon': {'model.prediction': 'epsilon'},
}
