# DARL's table 1 from scratch (its table 10 has the recipe): positions, with and without a causal
# mask. The last four variants test rotary ones at 384 x 384, where they are interpolated.
config = '../cls/darl/darl-supervised_vit-l_32xb128-amp-coslr-200e_in1k-224px.py'
trained = {
    f'{positions}{suffix}': {
        'model.backbone.positions': positions,
        'model.backbone.causal': causal,
    }
    for positions in ('none', 'sincos', 'learnable', 'rope-1d', 'rope-2d')
    for suffix, causal in (('', False), ('-causal', True))
}
at_384 = {
    f'{split}_dataloader.dataset.pipeline.{step}': 384
    for split in ('val', 'test')
    for step in ('1.scale', '2.crop_size')
}
variants = {
    **trained,
    **{
        f'{name}_test-384px': {**options, **at_384}
        for name, options in trained.items()
        if name.startswith('rope')
    },
}
