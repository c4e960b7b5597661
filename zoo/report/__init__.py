"""``report.html``: a run on one page that stands alone and asks nothing of anybody."""

from zoo.report.gallery import Gallery
from zoo.report.page import report_html

__all__ = ["Gallery", "report_html"]
