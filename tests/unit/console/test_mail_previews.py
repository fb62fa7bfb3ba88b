"""What a page shows of a mail's HTML: its words and structure, and nothing that acts, loads or hides."""

import pytest

from tidings.console.mail_preview import reduced


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>Dear <b>Ada</b>,</p>", "<p>Dear <b>Ada</b>,</p>"),
        ('<p style="x" onclick="steal()" class="a">Hi</p>', "<p>Hi</p>"),
        ("<script>steal()</script>Hi", "Hi"),
        ("<style>p { display: none }</style>Hi", "Hi"),
        ("<svg><script>steal()</script><text>x</text></svg>Hi", "Hi"),
        (
            '<a href="https://evil.example/?a&b">bank.example</a>',
            "bank.example [https://evil.example/?a&amp;b]",
        ),
        ('<a href="javascript:steal()">Pay</a>', "Pay [javascript:steal()]"),
        ('<img src="https://spy.example/1.png" alt="Our <logo>">', "[image: Our &lt;logo&gt;]"),
        ('<img src="https://spy.example/1.png">', ""),
        ('<iframe src="https://evil.example">in</iframe>Hi', "Hi"),
        ('<form action="https://evil.example"><input name="password"></form>Hi', "Hi"),
        (
            '<meta http-equiv="refresh" content="0;url=//evil.example"><base href="//evil.example">Hi',
            "Hi",
        ),
        ("&lt;script&gt;steal()&lt;/script&gt;", "&lt;script&gt;steal()&lt;/script&gt;"),
        ("<!-- <b>hidden</b> --><![CDATA[<b>x</b>]]>Hi", "Hi"),
        ("<p>one<p>two</div></p>", "<p>one<p>two</p></p>"),
        ('<div style="Display: NONE"><div>x</div>preview</div>Hi', "Hi"),
        ("<html><head><title>Order</title><body><p>Hi", "<p>Hi</p>"),  # `head` may end unsaid
        ("<head><style>p { color: red }</style></head>Hi", "Hi"),
        ("<b><i>open", "<b><i>open</i></b>"),
        ("<b <i <script>x", "<b>x</b>"),
        ("Hi<br/>there<hr>", "Hi<br>there<hr>"),
    ],
)
def test_only_words_and_plain_elements_are_left(html: str, shown: str) -> None:
    assert reduced(html) == shown


def test_elements_within_elements_end_somewhere() -> None:
    shown = reduced("<div>" * 5_000 + "deep")
    assert shown.count("<div>") == shown.count("</div>") == 100
    assert "deep" in shown
