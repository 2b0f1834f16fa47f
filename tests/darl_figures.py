"""What DARL's paper reports, by the config that follows the row: typed from its tables."""

from __future__ import annotations

PRETRAINING = 'darl-{}_64xb64-amp-coslr-{}e_in1k-{}px'
FINE_TUNING = 'darl-{}_32xb128-amp-coslr-{}e_in1k-{}px'

# Table 5: 800 epochs, then 90 of fine-tuning.
TABLE_5 = {
    ('mse', 'b'): 82.7,
    ('mse', 'l'): 84.7,
    ('mse', 'h'): 85.5,
    ('diff', 'b'): 81.9,
    ('diff', 'l'): 84.9,
    ('diff', 'h'): 85.9,
}
# Table 1: supervised, supervised and causal, pre-trained; the latter two rows at 384 x 384.
TABLE_1 = {
    'none': (80.3, 80.2, 81.9),
    'sincos': (82.5, 81.0, 83.1),
    'learnable': (81.9, 80.7, 83.2),
    'rope-1d': (82.8, 81.7, 83.5),
    'rope-2d': (82.7, 81.8, 84.5),
}
TABLE_1_AT_384 = {'rope-1d': (52.0, 36.4, 84.2), 'rope-2d': (81.7, 80.4, 85.1)}
# Table 2: decoders of 0, 1, 2, 4 and 8 layers.
TABLE_2 = {
    'mse mlp': (82.7, 82.6, 82.8, 82.6, 82.3),
    'diff mlp gamma': (None, 82.7, 82.7, 82.7, 82.3),
    'diff mlp': (None, 82.6, 82.8, 82.7, 82.4),
    'diff transformer gamma': (82.9, 82.8, 83.0, 82.8, 83.1),
    'diff transformer': (82.7, 83.0, 83.1, 82.9, 83.0),
}
# Table 3, causal and not: mean of the patches, last one.
TABLE_3 = {'_causal-mean-pool': 81.5, '_causal': 81.7, '_mean-pool': 82.7, '': 82.7}
# Table 7: blocks of 2, 4 and 8 patches.
TABLE_7 = {'nested-raster': (83.3, 83.4, 83.3), 'round-robin': (83.0, 82.7, 82.6)}
TABLE_14 = dict(b=82.4, l=84.5, h=85.5)

FIGURES: dict[str, list[float]] = {
    # Table 6, of the diffusion objective.
    'cascade-mask-rcnn_darl-vit-l_sfp_16xb4-lsj-40e_coco': [56.4, 48.0],
    # Section 4.1's training objective, table 7's raster order, table 16.
    PRETRAINING.format('diff_vit-l_prediction-epsilon', 100, 224): [82.9],
    PRETRAINING.format('mse_vit-l', 100, 256): [83.3],
    PRETRAINING.format('mse_vit-l_token-input', 100, 224): [62.9],
    PRETRAINING.format('mse_vit-l_token-target', 100, 224): [82.9],
    # Table 2's default of the diffusion objective.
    FINE_TUNING.format('diff-vit-l', 50, 224): [83.0],
}
for (objective, size), top1 in TABLE_5.items():
    FIGURES[PRETRAINING.format(f'{objective}_vit-{size}', 800, 224)] = [top1]
    FIGURES[FINE_TUNING.format(f'{objective}-vit-{size}', 90, 224)] = [top1]
for size, top1 in TABLE_14.items():
    FIGURES[PRETRAINING.format(f'mse_vit-{size}_normalized-pixels', 800, 224)] = [top1]
for suffix, top1 in TABLE_3.items():
    FIGURES[FINE_TUNING.format(f'mse-vit-l{suffix}', 50, 224)] = [top1]
for order, accuracies in TABLE_7.items():
    for side, top1 in zip((2, 4, 8), accuracies):
        FIGURES[PRETRAINING.format(f'mse_vit-l_{order}-{side}', 100, 256)] = [top1]


def decoder_config(row: str, layers: int) -> str:
    """The config of a cell of table 2; the two defaults have no suffix."""
    objective, kind, *gamma = row.split()
    default = (row, layers) in {('mse mlp', 0), ('diff transformer', 1)}
    suffix = '' if default else '_' + '-'.join([kind, str(layers), *gamma])
    return PRETRAINING.format(f'{objective}_vit-l{suffix}', 100, 224)


for row, accuracies in TABLE_2.items():
    for layers, top1 in zip((0, 1, 2, 4, 8), accuracies):
        if top1 is not None:
            FIGURES[decoder_config(row, layers)] = [top1]


def position_config(training: str, positions: str) -> str:
    """The classifier of a cell of table 1: 'supervised', 'causal' or 'pre-trained'."""
    if training == 'pre-trained':
        return FINE_TUNING.format(f'mse-vit-l_positions-{positions}', 50, 224)
    parts = [] if positions == 'rope-2d' else ['positions', positions]
    parts += ['causal'] if training == 'causal' else []
    suffix = '_' + '-'.join(parts) if parts else ''
    return FINE_TUNING.format(f'supervised-vit-l{suffix}', 200, 224)


for positions, accuracies in TABLE_1.items():
    suffix = '' if positions == 'rope-2d' else f'_positions-{positions}'
    FIGURES[PRETRAINING.format(f'mse_vit-l{suffix}', 400, 224)] = [accuracies[-1]]
    for training, top1 in zip(('supervised', 'causal', 'pre-trained'), accuracies):
        FIGURES[position_config(training, positions)] = [top1]
for positions, (supervised, causal, pretrained) in TABLE_1_AT_384.items():
    for training, top1 in (('supervised', supervised), ('causal', causal)):
        FIGURES[position_config(training, positions) + '-test-384px'] = [top1]
    tuned = position_config('pre-trained', positions).replace('224px', '384px')
    FIGURES[tuned] = [pretrained]
