"""What DARL's paper reports, by config or by grid and variant: typed from its tables."""

from __future__ import annotations

PRETRAINING = 'darl-{}_64xb64-amp-coslr-{}e_in1k-224px'
FINE_TUNING = 'darl-{}_32xb128-amp-coslr-{}e_in1k-224px'

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
TABLE_3 = {'causal-mean-pool': 81.5, 'causal': 81.7, 'mean-pool': 82.7}
# Table 7: blocks of 2, 4 and 8 patches.
TABLE_7 = {'nested-raster': (83.3, 83.4, 83.3), 'round-robin': (83.0, 82.7, 82.6)}

FIGURES: dict[str, list[float]] = {
    # Table 6, of the diffusion objective.
    'cascade-mask-rcnn_darl-vit-l_sfp_16xb4-lsj-40e_coco': [56.4, 48.0],
    # Table 2's defaults; table 3 has the first one's too.
    **{
        template.format(f'{objective}_vit-l', epochs): [top1]
        for template, epochs in ((PRETRAINING, 100), (FINE_TUNING, 50))
        for objective, top1 in (('mse', 82.7), ('diff', 83.0))
    },
    **{
        template.format(f'{objective}_vit-{size}', epochs): [top1]
        for template, epochs in ((PRETRAINING, 800), (FINE_TUNING, 90))
        for (objective, size), top1 in TABLE_5.items()
    },
    # Table 1 from scratch.
    FINE_TUNING.format('supervised_vit-l', 200): [82.7],
}
# Table 15: loss and accuracy with MSE, then with diffusion.
TABLE_15 = {
    'vit-l_100e': [0.194, 83.6, 0.179, 83.5],
    'vit-l_200e': [0.189, 84.2, 0.174, 84.3],
    'vit-l_400e': [0.185, 84.5, 0.171, 84.8],
    'vit-l_800e': [0.182, 84.7, 0.168, 84.9],
    'vit-h_800e': [0.158, 85.5, 0.146, 85.9],
}
# By grid and variant.
VARIANTS: dict[str, dict[str, float]] = {
    'darl-mse_table-1_pretrain': {kind: row[-1] for kind, row in TABLE_1.items()},
    'darl-mse_table-1_finetune': {
        **{kind: row[-1] for kind, row in TABLE_1.items()},
        **{f'{kind}_384px': row[-1] for kind, row in TABLE_1_AT_384.items()},
    },
    'darl-supervised_table-1': {
        f'{kind}{causal}{testing}': row[column]
        for testing, table in (('', TABLE_1), ('_test-384px', TABLE_1_AT_384))
        for kind, row in table.items()
        for column, causal in enumerate(('', '-causal'))
    },
    'darl-mse_table-2': {
        f'mlp-{layers}': top1 for layers, top1 in zip((1, 2, 4, 8), TABLE_2['mse mlp'][1:])
    },
    'darl-diff_table-2': {
        # Section 4.1, training objective.
        'prediction-epsilon': 82.9,
        **{
            '-'.join([kind, str(layers), *gamma]): top1
            for row, accuracies in TABLE_2.items()
            for objective, kind, *gamma in [row.split()]
            for layers, top1 in zip((0, 1, 2, 4, 8), accuracies)
            if objective == 'diff' and top1
        },
    },
    'darl-mse_table-3': TABLE_3,
    **{
        f'darl-mse_table-7_{stage}': {
            'raster': 83.3,
            **{
                f'{order}-{side}': top1
                for order, accuracies in TABLE_7.items()
                for side, top1 in zip((2, 4, 8), accuracies)
            },
        }
        for stage in ('pretrain', 'finetune')
    },
    **{
        f'darl-mse_table-14_{stage}': {'vit-b': 82.4, 'vit-l': 84.5, 'vit-h': 85.5}
        for stage in ('pretrain', 'finetune')
    },
    'darl-mse_table-16': {'token-input': 62.9, 'token-target': 82.9},
}
