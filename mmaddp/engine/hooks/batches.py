"""What hooks ask of a training batch."""

from __future__ import annotations

from typing import Any


def samples_of(data_batch: Any) -> list[Any]:
    """The data samples of a batch, or none when it has no such list."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    return samples if isinstance(samples, list) else []


def paths_of(data_batch: Any) -> list[str]:
    """The images' files, those that are known."""
    paths = (sample.get('img_path') for sample in samples_of(data_batch))
    return [str(path) for path in paths if path is not None]
