# DARL's figure 6: two streams (appendix A.5) in raster order, or with a random order for each
# image.
config = '../pretrain/darl/darl-mse_vit-l_64xb64-amp-coslr-800e_in1k-224px.py'
two_stream = {'model.backbone.two_stream': True}
random = {**two_stream, 'model.random_order': True}
short = {'param_scheduler.1.end': 100, 'train_cfg.max_epochs': 100}
variants = {
    'two-stream_100e': {**two_stream, **short},
    'two-stream-random_100e': {**random, **short},
    'two-stream_800e': two_stream,
    'two-stream-random_800e': random,
}
