# DARL's table 14: the target is each patch normalized by its own mean and standard deviation.
config = '../pretrain/darl/darl-mse_vit-l_64xb64-amp-coslr-800e_in1k-224px.py'
normalized = {'model.target': 'normalized-pixels'}
variants = {
    'vit-b': {**normalized, 'model.backbone.arch': 'base'},
    'vit-l': normalized,
    'vit-h': {**normalized, 'model.backbone.arch': 'huge', 'model.backbone.patch_size': 14},
}
