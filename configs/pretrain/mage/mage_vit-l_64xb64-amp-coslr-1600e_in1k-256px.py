_base_ = './mage_vit-b_64xb64-amp-coslr-1600e_in1k-256px.py'

model = dict(
    token_predictor=dict(encoder='large', decoder=dict(embed_dims=1024, num_layers=8, num_heads=16))
)
