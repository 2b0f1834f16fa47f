"""Training and testing: the runner, its hooks and optimizers, and checks of what users give.

A class loads at first use: see ``mmaddp.registry``.
"""

from mmaddp.utils import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        'data': ['FixedViews', 'GuardedDataset', 'SeededDataset', 'label_subset'],
        'hooks': [
            'CorruptImagesHook',
            'DataCheckHook',
            'FeatureBankHook',
            'FiniteLossHook',
            'LossByMaskRatioHook',
            'SharedBuffersHook',
            'VisualizationHook',
        ],
        'mlflow_backend': ['MLflowVisBackend'],
        'optimizers': [
            'BFloat16OptimWrapper',
            'LayerDecayOptimWrapperConstructor',
            'PartsOptimWrapperConstructor',
            'WeightDecayOptimWrapperConstructor',
        ],
        'probe_optimizers': ['ProbeOptimWrapperConstructor'],
        'resumption': [
            'ChangedSettingsHook',
            'CheckpointHook',
            'EpochBasedTrainLoop',
            'IterBasedTrainLoop',
            'IterationSeedHook',
            'PositionedSampler',
            'PreemptionHook',
            'SkippableBatchSampler',
        ],
        'runner': ['FSDPStrategy', 'Runner', 'ShardedRunner'],
    },
)
