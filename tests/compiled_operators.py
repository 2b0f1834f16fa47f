"""mmcv's own compiled operators, to compare with."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import mmcv.ops
import pytest
from torch.utils.cpp_extension import load, verify_ninja_availability

# Sources of mmcv's extension that define the two functions below.
SOURCES = ('nms.cpp', 'cpu/nms.cpp', 'roi_align.cpp', 'cpu/roi_align.cpp')
ROI_ALIGN = (
    'aligned_height',
    'aligned_width',
    'spatial_scale',
    'sampling_ratio',
    'pool_mode',
    'aligned',
)
BINDING = """
#include <torch/extension.h>
{includes}
PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {{
  m.def("nms", &nms, py::arg("boxes"), py::arg("scores"), py::arg("iou_threshold"),
        py::arg("offset"));
  m.def("roi_align_forward", &roi_align_forward, py::arg("input"), py::arg("rois"),
        py::arg("output"), py::arg("argmax_y"), py::arg("argmax_x"), {settings});
  m.def("roi_align_backward", &roi_align_backward, py::arg("grad_output"), py::arg("rois"),
        py::arg("argmax_y"), py::arg("argmax_x"), py::arg("grad_input"), {settings});
}}
"""


def use_operators(monkeypatch: pytest.MonkeyPatch, extension: ModuleType) -> None:
    """Let mmcv call the operators of a module."""
    for name in ('nms', 'roi_align', 'multi_scale_deform_attn', 'focal_loss'):
        monkeypatch.setattr(sys.modules[f'mmcv.ops.{name}'], 'ext_module', extension)


def mmcv_extension(folder: Path) -> ModuleType:
    """mmcv's extension, or its NMS and RoIAlign compiled from its sources in 20 seconds."""
    spec = PathFinder.find_spec('mmcv._ext', mmcv.__path__)
    if spec is not None:
        return importlib.import_module('mmcv._ext')
    try:
        verify_ninja_availability()
    except RuntimeError as error:
        pytest.skip(f"mmcv's operators can be neither found nor compiled: {error}")
    sources = Path(mmcv.__file__).parent / 'ops/csrc'
    includes = '\n'.join(f'#include "{sources}/pytorch/{name}"' for name in SOURCES)
    settings = ', '.join(f'py::arg("{name}")' for name in ROI_ALIGN)
    binding = folder / 'binding.cpp'
    binding.write_text(BINDING.format(includes=includes, settings=settings))
    return load(
        'mmcv_two_operators',
        [str(binding)],
        extra_cflags=['-O1'],
        extra_include_paths=[str(sources / 'common'), str(sources / 'pytorch')],
        build_directory=str(folder),
    )
