"""The page of a study: what each choice does, with intervals over seeds and scenes.

Reads the small files of a study's folder and nothing else.
"""

from agrilape.report.study.page import write_study_markdown, write_study_report

__all__ = ["write_study_markdown", "write_study_report"]
