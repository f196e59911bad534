"""The page: one HTML file that opens from disk, shows every step and computes them again itself."""

from mindref.study.page.build import write_page

__all__ = ["write_page"]
