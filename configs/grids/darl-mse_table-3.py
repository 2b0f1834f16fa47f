# DARL's table 3: read-out and mask of fine-tuning. The config itself reads the last patch without a
# mask.
config = '../cls/darl/darl-mse_vit-l_32xb128-amp-coslr-50e_in1k-224px.py'
causal = {'model.backbone.causal': True}
mean_pool = {'model.neck': dict(_delete_=True, type='GlobalAveragePooling')}
variants = {
    'causal': causal,
    'mean-pool': mean_pool,
    'causal-mean-pool': {**causal, **mean_pool},
}
