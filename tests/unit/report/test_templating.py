"""What goes into pages of Markdown and HTML."""

from agrilape.report.templating import environment


def test_no_text_breaks_a_table_or_becomes_html() -> None:
    found = environment().from_string("| {{ name }} |")
    assert found.render(name="a|b <img src=x>\nc") == "| a&#124;b &lt;img src=x&gt; c |"
