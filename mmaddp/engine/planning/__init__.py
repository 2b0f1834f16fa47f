"""What a training needs and takes, before it is started."""

from mmaddp.utils import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        'devices': ['Device', 'find_device', 'this_device'],
        'plan': ['Plan', 'cheapest', 'describe', 'make_plan', 'remedy', 'summarize'],
        'trace': ['Trace'],
    },
)
