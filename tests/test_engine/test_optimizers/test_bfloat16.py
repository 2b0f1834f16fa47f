"""Training in bfloat16 on the device at hand."""

import torch
from mmengine.optim import build_optim_wrapper
from torch import nn


def test_passes_are_bfloat16_and_weights_float32():
    torch.manual_seed(0)
    model = nn.Linear(8, 4)
    wrapper = build_optim_wrapper(
        model, dict(type='mmaddp.BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    )
    images = torch.randn(16, 8)
    before, bias = (parameter.detach().clone() for parameter in model.parameters())
    with wrapper.optim_context(model):
        outputs = model(images)
    wrapper.update_params(outputs.float().square().mean())
    # The step of float32, up to bfloat16's 8 bits.
    expected = torch.func.grad(lambda w: (images @ w.T + bias).square().mean())(before)
    assert outputs.dtype == torch.bfloat16
    assert model.weight.dtype == torch.float32
    torch.testing.assert_close(before - model.weight, 0.1 * expected, rtol=0.05, atol=1e-3)
    assert 'loss_scaler' not in wrapper.state_dict()
