"""Networks and methods. A class loads at first use: see ``mmaddp.registry``."""

from mmaddp.utils import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        'backbones': [
            'ADDPViT',
            'DARLViT',
            'DDAEDiT',
            'DDAEUNet',
            'DiffusersUNet',
            'Encoder',
            'MAGEViT',
        ],
        'classifiers': ['NoiseConditionalClassifier'],
        'decode_heads': [
            'DPTDepthHead',
            'DPTHead',
            'LinearDepthHead',
            'LinearHead',
            'UPerDepthHead',
        ],
        'dense_heads': ['RPNHead'],
        'discriminators': ['PatchDiscriminator'],
        'exported': ['ExportedModel'],
        'layers': ['LN2d', 'RisingEMA'],
        'necks': ['LastTokenNeck', 'PixelShuffleNeck', 'PoolNormNeck', 'SimpleFeaturePyramid'],
        'pretrainers': [
            'ADDP',
            'DARL',
            'DDAE',
            'ADDPDecoder',
            'MAGETrainer',
            'MLPPatchDecoder',
            'TransformerPatchDecoder',
            'VQGANTrainer',
        ],
        'probing': [
            'GridProbe',
            'KNNClassifier',
            'LinearClassifier',
            'LinearDepth',
            'LinearSegmentation',
            'PatchRetrieval',
        ],
        'roi_extractors': ['SingleRoIExtractor'],
        'token_predictors': ['MAGE'],
        'tokenizers': ['KLAutoencoder', 'RepresentationAutoencoder', 'VQGAN'],
    },
)
