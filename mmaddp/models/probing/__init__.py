from .classification import LinearClassifier
from .depth import LinearDepth
from .grid_probe import JOIN, PIXELS, Cell, GridProbe
from .heads import DenseHead, LinearLayer, ProbeHead, VectorHead, average
from .neighbors import KNNClassifier, PatchRetrieval
from .plain_encoder import PlainEncoder
from .segmentation import LinearSegmentation

__all__ = [
    'JOIN',
    'PIXELS',
    'Cell',
    'DenseHead',
    'GridProbe',
    'KNNClassifier',
    'LinearClassifier',
    'LinearDepth',
    'LinearLayer',
    'LinearSegmentation',
    'PatchRetrieval',
    'PlainEncoder',
    'ProbeHead',
    'VectorHead',
    'average',
]
