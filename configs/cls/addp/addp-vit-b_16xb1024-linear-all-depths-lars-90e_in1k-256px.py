# The linear probe at the end of every block in one run. Table 16 probes one depth and does not say
# which; the recipe is its, and each depth's probe is the one of the config below.
_base_ = './addp-vit-b_16xb1024-linear-lars-90e_in1k-256px.py'

probe = _base_.model
model = dict(
    backbone=dict(out_indices=list(range(12))),
    neck=None,
    head=dict(
        _delete_=True,
        type='mmaddp.AllDepthsHead',
        num_depths=12,
        neck=probe.neck,
        head=probe.head,
    ),
)

optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'_delete_': True, 'fc.bias': dict(lars_exclude=True)})
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
