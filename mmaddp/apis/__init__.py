"""Functions for notebooks, which load at first use."""

from mmaddp.utils import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    'mmaddp',
    {
        'apis.exporting': ['export', 'export_encoder', 'merge'],
        'apis.generation': ['extract_features', 'generate', 'inpaint', 'reconstruct'],
        'apis.models': ['load_pretrainer'],
        'apis.prediction': ['predict'],
        'apis.probing': ['probe'],
        'checkpoints': ['convert_file'],
        'engine.runs': ['load_config', 'test', 'train'],
    },
)
