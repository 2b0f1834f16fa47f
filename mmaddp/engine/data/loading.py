"""Dataloader configs with this package's wrappers around what the user named."""

from __future__ import annotations

from typing import Any


def make_resumable(dataloader: Any, seed: int, skip_corrupt: bool = False) -> Any:
    """Wrap a training dataloader config: its order and randomness depend on the position alone.

    Args:
        dataloader: The config; a dataloader that is built already comes back as it is.
        seed: The training's seed.
        skip_corrupt: Whether images whose files are corrupt are replaced by others.
    """
    if not isinstance(dataloader, dict):
        return dataloader
    wrapped = _without_idle_workers(dataloader)
    wrapped['dataset'] = {
        'type': 'mmaddp.SeededDataset',
        'dataset': dataloader['dataset'],
        'seed': seed,
        'source': 'train_dataloader.dataset',
        'skip_corrupt': skip_corrupt,
    }
    wrapped['sampler'] = {
        'type': 'mmaddp.PositionedSampler',
        'sampler': dataloader['sampler'],
        'seed': seed,
    }
    if dataloader.get('batch_sampler'):
        wrapped['batch_sampler'] = {
            'type': 'mmaddp.SkippableBatchSampler',
            'batch_sampler': dataloader['batch_sampler'],
        }
    return wrapped


def guard_evaluation(dataloader: Any, name: str) -> Any:
    """Wrap the dataset of the dataloader config ``name`` so that its faults name the file."""
    if not isinstance(dataloader, dict):
        return dataloader
    guarded = {'type': 'mmaddp.GuardedDataset', 'dataset': dataloader['dataset']}
    guarded['source'] = f'{name}.dataset'
    return {**_without_idle_workers(dataloader), 'dataset': guarded}


def _without_idle_workers(dataloader: dict) -> dict:
    """Without workers there is nothing to keep alive or to fill; PyTorch refuses to be asked."""
    if dataloader.get('num_workers'):
        return dict(dataloader)
    idle = ('persistent_workers', 'prefetch_factor')
    return {key: value for key, value in dataloader.items() if key not in idle}
