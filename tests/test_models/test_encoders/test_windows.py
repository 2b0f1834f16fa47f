"""Attention within windows equals the library's block, window by window."""

import copy

import pytest
import timm
import torch

from mmaddp.models import Encoder

SMALL = dict(depth=2, embed_dim=32, num_heads=2)
WINDOWS = dict(window_size=4, global_attn_indexes=(1,))
NETWORKS = (
    'vit_tiny_patch16_224',
    'vit_small_patch14_reg4_dinov2',
    'vit_small_patch16_dinov3',
    'vit_small_patch16_rope_mixed_224',
    'eva02_tiny_patch14_224',
)


def rotary(network, grid):
    rope = getattr(network, 'rope', None)
    if rope is None:
        return None
    positions = rope.get_embed(shape=grid)
    return positions[0] if getattr(network, 'rope_mixed', False) else positions


@pytest.mark.parametrize('name', NETWORKS)
def test_a_windowed_block_is_the_block_applied_to_each_window(name):
    torch.manual_seed(0)
    encoder = Encoder(f'timm:{name}', arguments=SMALL, **WINDOWS).eval()
    network, grid = encoder.network, (9, 6)
    whole = Encoder(f'timm:{name}', arguments=SMALL).eval().network
    for parameter in network.parameters():  # layer scale starts at nearly nothing
        torch.nn.init.normal_(parameter, std=0.2)
    whole.load_state_dict(network.state_dict())
    rope, prefix = rotary(whole, grid), whole.num_prefix_tokens
    tokens = torch.randn(2, prefix + 9 * 6, encoder.channels('block_1'))
    encoder.windows.grid = grid
    options = {} if rope is None else dict(rope=rope)
    with torch.no_grad():
        found = network.blocks[0](tokens, **options)[:, prefix:].unflatten(1, grid)
        patches = tokens[:, prefix:].unflatten(1, grid)
        # The last windows have 1 row and 2 columns.
        for top in range(0, 9, 4):
            for left in range(0, 6, 4):
                cut = slice(top, top + 4), slice(left, left + 4)
                if rope is not None:
                    own = rope.unflatten(-2, grid)[..., cut[0], cut[1], :]
                    options = dict(rope=own.flatten(-3, -2))
                window = patches[:, cut[0], cut[1]].flatten(1, 2)
                window = torch.cat([tokens[:, :prefix], window], dim=1)
                expected = whole.blocks[0](window, **options)[:, prefix:]
                ours = found[:, cut[0], cut[1]].flatten(1, 2)
                torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_four_blocks_stay_global_and_names_stay():
    settings = dict(model='timm:vit_tiny_patch16_224', arguments=dict(SMALL, depth=12))
    encoder = Encoder(**settings, window_size=14)

    def global_blocks():
        blocks = encoder.network.blocks
        return [i for i, block in enumerate(blocks) if not hasattr(block.attn, 'windows')]

    # ViTDet's global blocks of ViT-B.
    assert global_blocks() == [2, 5, 8, 11]
    library = timm.create_model('vit_tiny_patch16_224', num_classes=0, **settings['arguments'])
    assert list(encoder.network.state_dict()) == list(library.state_dict())
    encoder = Encoder(**settings, window_size=14, global_attn_indexes=(0, -1))
    assert global_blocks() == [0, 11]


def test_one_window_over_the_whole_image_changes_nothing():
    torch.manual_seed(0)
    settings = dict(model='timm:vit_small_patch16_dinov3', arguments=SMALL)
    windowed, whole = (
        Encoder(**settings, window_size=8, global_attn_indexes=()).eval(),
        Encoder(**settings).eval(),
    )
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    windowed.load_state_dict(whole.state_dict())
    images = torch.randn(1, 3, 100, 128)
    with torch.no_grad():
        torch.testing.assert_close(windowed(images), whole(images), atol=1e-5, rtol=1e-5)


def test_a_copy_attends_by_its_own_grid():
    torch.manual_seed(0)
    # Both blocks have windows.
    settings = dict(arguments=SMALL, window_size=2, global_attn_indexes=())
    encoder = Encoder('timm:vit_tiny_patch16_224', **settings).eval()
    images = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        expected = encoder(images)[0]
        other = copy.deepcopy(encoder)
        other(torch.randn(1, 3, 96, 96))
        assert encoder.windows.grid == (4, 3)
        assert torch.equal(other(images)[0], expected)


def test_gradients_pass_through_windows_and_recomputation():
    torch.manual_seed(0)
    settings = dict(model='timm:vit_tiny_patch16_224', arguments=SMALL, **WINDOWS)
    kept, recomputed = Encoder(**settings), Encoder(**settings, with_cp=True)
    recomputed.load_state_dict(kept.state_dict())
    images = torch.randn(1, 3, 80, 48)
    for encoder in (kept, recomputed):
        encoder(images)[0].square().sum().backward()
    for ours, theirs in zip(recomputed.parameters(), kept.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_blocks_with_positions_of_one_size_stay_global_and_say_what_it_takes():
    encoder = Encoder('timm:beit_base_patch16_224', arguments=SMALL, window_size=14)
    assert encoder.windows is None
    # 4,096 tokens of 16 x 16 pixels: 4,096^2 weights of four bytes are 1 / 16 GiB.
    line = encoder.cost_of_global_attention()
    assert '4,096 tokens at 1024 x 1024 pixels' in line
    assert '0.06 GiB' in line
    narrow = dict(channels=(8, 8, 8, 8))
    pyramid = Encoder('timm:resnet18', arguments=narrow, window_size=14)
    assert pyramid.windows is None
    assert 'no plain ViT' in pyramid.cost_of_global_attention()
