"""A method, a file layout and two schedules outside mmaddp; importing it registers them."""

from . import layout, schedules
from .mae import TinyMAE, TinyMAEViT

__all__ = ['TinyMAE', 'TinyMAEViT', 'layout', 'schedules']
