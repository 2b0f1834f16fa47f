# DARL's figure 5: larger patches.
config = '../pretrain/darl/darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'
variants = {f'p{size}': {'model.backbone.patch_size': size} for size in (28, 32, 56)}
