"""What networks refuse that can be truncated behind a block."""

from __future__ import annotations

from collections.abc import Sequence


def truncation_error(last: str) -> ValueError:
    """Why a network that is truncated behind the block ``last`` predicts nothing."""
    return ValueError(
        f'the network is truncated behind {last} and predicts nothing: leave out_blocks and time '
        'out'
    )


def check_backbone(out_blocks: Sequence[str] | None, time: float | None) -> None:
    """Refuse a backbone that has one of its two options alone.

    Raises:
        ValueError: Names both.
    """
    if (out_blocks is None) != (time is None):
        raise ValueError('out_blocks and time go together: a backbone needs both')
