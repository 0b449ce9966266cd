"""One page that says what a run did: verdict, scores, curves, answers on the imagery.

Reads the files of a run folder and nothing else, so that a page can be made, and made again, anywhere.
"""

from agrilape.report.page import write_markdown, write_report

__all__ = ["write_markdown", "write_report"]
