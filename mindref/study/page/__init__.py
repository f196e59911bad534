"""The page: one HTML file that shows every step and recomputes it in the browser."""

from mindref.study.page.html_file import write_page

__all__ = ["write_page"]
