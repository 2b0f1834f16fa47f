from .all_depths_head import AllDepthsHead

__all__ = ['AllDepthsHead']
