# Table 13: LARS, learning rate 0.1 at 16,384 images a step, 10 of 90 epochs of warm-up. Tables 8
# and 10 scale a "base learning rate" with the batch and say so, table 13 does neither: 0.1 is the
# peak. (MAE's, which this probing follows, would be 6.4.)
_base_ = './linear-probe_90e.py'

optim_wrapper = dict(
    optimizer=dict(lr=0.1),
    paramwise_cfg=dict(custom_keys={'_delete_': True, 'fc.bias': dict(lars_exclude=True)}),
)
