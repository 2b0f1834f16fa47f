# DARL's table 2 with mean squared error: a residual MLP as patch decoder. The base config
# has the table's linear layer.
config = '../pretrain/darl/darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'
variants = {f'mlp-{layers}': {'model.patch_decoder.num_layers': layers} for layers in (1, 2, 4, 8)}
