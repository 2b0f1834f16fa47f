"""Comparing configs."""

from __future__ import annotations

from mmengine.config import Config

# Variables of configs/_base_/backbones, of which a leaf takes what its task needs.
OFFERS = {'encoder', 'pixel_values', 'dense', 'pyramid', 'for_detection', 'for_segmentation'}


def flat(value: object, key: str = '') -> dict[str, object]:
    """The leaves of nested dicts by dotted key."""
    if not isinstance(value, dict):
        return {key: value}
    items = ((f'{key}.{name}' if key else name, item) for name, item in value.items())
    return {name: leaf for path, item in items for name, leaf in flat(item, path).items()}


def differences(base: Config, changed: Config) -> dict[str, object]:
    """What ``changed`` says otherwise, by dotted key; None for what it lacks.

    What a backbone's file offers is left out: the model has what was taken of it.
    """
    before, after = (flat(cfg.to_dict()) for cfg in (base, changed))
    keys = {key for key in {*before, *after} if key.split('.')[0] not in OFFERS}
    return {key: after.get(key) for key in keys if before.get(key) != after.get(key)}
