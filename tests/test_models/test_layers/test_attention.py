import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmaddp.models.layers import Attention, rel_pos_attention, relative_attention
from mmaddp.models.layers.relative_attention import add_rel_pos_channels


def definition(q, k, v, rel_pos_h, rel_pos_w, grid):
    """ViTDet's decomposed relative positions, pair of tokens by pair of tokens."""
    h, w = grid
    positions = list(itertools.product(range(h), range(w)))
    logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    bias = torch.empty_like(logits)
    for i, (row, column) in enumerate(positions):
        for j, (key_row, key_column) in enumerate(positions):
            offsets = rel_pos_h[row - key_row + h - 1] + rel_pos_w[column - key_column + w - 1]
            bias[:, :, i, j] = q[:, :, i] @ offsets
    return (logits + bias).softmax(-1) @ v


def random_inputs(grid, head_dims, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype, requires_grad=True)

    h, w = grid
    q, k, v = (draw(2, 3, h * w, head_dims) for _ in range(3))
    return q, k, v, draw(2 * h - 1, head_dims), draw(2 * w - 1, head_dims)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Take the form of devices with other kernels than a CPU's."""
    monkeypatch.setattr(relative_attention, 'CPU_DEVICES', ())


def test_channels_are_exactly_the_bias(as_on_a_gpu):
    for grid in ((1, 1), (1, 4), (5, 2), (4, 5)):
        for head_dims in (3, 8):
            assert_is_the_definition(grid, head_dims)


@settings(max_examples=25)
@given(
    grid=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    head_dims=st.sampled_from([3, 8]),
    chunk_size=st.sampled_from([1, 7, 40, 300, 2**20]),
)
def test_chunks_are_exactly_the_bias(grid, head_dims, chunk_size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relative_attention, 'CHUNK_SIZE', chunk_size)
        assert_is_the_definition(grid, head_dims)


def assert_is_the_definition(grid, head_dims):
    inputs = random_inputs(grid, head_dims)
    ours, expected = rel_pos_attention(*inputs, grid), definition(*inputs, grid)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    weight = torch.linspace(-1, 1, expected.numel(), dtype=expected.dtype).view_as(expected)
    gradients = torch.autograd.grad((ours * weight).sum(), inputs)
    reference = torch.autograd.grad((expected * weight).sum(), inputs)
    for ours, expected in zip(gradients, reference):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_large_logits_do_not_overflow():
    inputs = [1e3 * x for x in random_inputs((3, 3), 8, dtype=torch.float32)]
    ours, expected = rel_pos_attention(*inputs, (3, 3)), definition(*inputs, (3, 3))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-2)


def test_half_precision_is_as_good_as_its_inputs():
    inputs = random_inputs((6, 6), 8, dtype=torch.float32)
    halves = [x.bfloat16() for x in inputs]
    expected = definition(*(x.float() for x in halves), (6, 6))
    torch.testing.assert_close(
        rel_pos_attention(*halves, (6, 6)).float(), expected, rtol=0.02, atol=0.05
    )


@torch.no_grad()
def test_traces_hold_no_chunks():
    # A trace would repeat them for the size it has seen.
    grid = (8, 8)
    inputs = [x.detach() for x in random_inputs(grid, 8, dtype=torch.float32)]
    trace = torch.jit.trace(lambda *tensors: rel_pos_attention(*tensors, grid), inputs)
    assert 'scaled_dot_product_attention' in str(trace.graph)
    torch.testing.assert_close(trace(*inputs), rel_pos_attention(*inputs, grid))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_no_tensor_is_as_large_as_the_attention_matrix(dtype):
    grid, sizes = (16, 16), []
    inputs = random_inputs(grid, 8, dtype=dtype)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, _same):
        rel_pos_attention(*inputs, grid).sum().backward()
    batch_and_heads, tokens = 6, 256
    assert max(sizes) < batch_and_heads * tokens * tokens / 4


def _same(x):
    return x


def test_channels_are_padded_to_what_half_precision_kernels_take():
    grid = (14, 14)
    q, k, _ = add_rel_pos_channels(*random_inputs(grid, 64), grid)
    assert q.shape[-1] == k.shape[-1] == 96


def test_without_relative_positions_it_is_torch_multi_head_attention():
    torch.manual_seed(0)
    ours = Attention(32, 4)
    reference = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    reference.in_proj_weight.data.copy_(ours.qkv.weight)
    reference.in_proj_bias.data.copy_(ours.qkv.bias)
    reference.out_proj.load_state_dict(ours.proj.state_dict())
    x = torch.randn(2, 10, 32)
    torch.testing.assert_close(ours(x, (2, 5)), reference(x, x, x)[0], rtol=1e-4, atol=1e-5)


def test_zero_tables_change_nothing():
    torch.manual_seed(0)
    attention = Attention(16, 2, rel_pos_size=(3, 4))
    x = torch.randn(2, 12, 16)
    q, k, v = attention.qkv(x).view(2, 12, 3, 2, 8).permute(2, 0, 3, 1, 4)
    expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 12, 16)
    torch.testing.assert_close(attention(x, (3, 4)), attention.proj(expected))
