"""The warm-up, under the name by which docs/kernels.md gives it to images and installers."""

from .compiler.warmup import warmup

__all__ = ["warmup"]
