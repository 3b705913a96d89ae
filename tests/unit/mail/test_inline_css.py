"""Styles written into elements once per shape: always the same to the byte as inlining the whole letter."""

import css_inline
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from steward.mail.message import inline_css
from steward.mail.message.inline_css import inlined

WHOLE = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, keep_at_rules=True).inline

SHEET = "p { margin: 0 } .a { color: red } a:hover { color: blue } p:first-child { font-weight: bold }"
LETTER = """<!doctype html>
<html><head><title>{title}</title>
<style>
{sheet}
@media (max-width: 480px) {{ p {{ margin: 2px !important }} }}
</style></head>
<body><!-- {comment} --><table><tr><td class="a">{name}</td></tr></table>
<p class="a">Dear {name}, a <b>bold</b> word</p><p>{more}<br>
<a class="a" href="{link}">{link}</a></p></body></html>"""


def letter(name="Ada", *, link="https://example.org/?a=1&b=2", sheet=SHEET, comment="x", more="and more"):
    shown = {"name": escape(name), "title": escape(name), "link": escape(link), "more": more}
    return LETTER.format(sheet=sheet, comment=comment, **shown)


@pytest.fixture(autouse=True)
def _forget():
    inline_css._shapes.clear()
    inline_css._seen.clear()


def known():
    return [shape is not None for shape in inline_css._shapes.values()]


@given(names=st.lists(st.text(), min_size=3, max_size=5), links=st.text())
def test_every_letter_of_a_shape_comes_out_as_if_inlined_whole(names, links):
    for html in (*(letter("Ada") for _ in range(3)), *(letter(name, link=links + name) for name in names)):
        try:
            whole = WHOLE(html)
        except UnicodeEncodeError:  # half of a surrogate pair
            continue
        assert inlined(html) == whole


def test_letters_that_differ_in_words_and_links_have_one_shape():
    for n in range(10):
        assert inlined(letter(f"Member {n} & <co>", link=f"https://x.example/?n={n}")) == WHOLE(
            letter(f"Member {n} & <co>", link=f"https://x.example/?n={n}")
        )
    assert known() == [True]
    assert "color: red" in inlined(letter("Ada"))


def test_other_elements_are_another_shape():
    for more in ("one", "one", "<i>two</i>", "<i>two</i>", "<p>three</p>", "<p>three</p>"):
        html = letter(more=more)
        assert inlined(html) == WHOLE(html)
    assert known() == [True, True, True]


@pytest.mark.parametrize(
    "odd",
    [
        {"sheet": SHEET + " a[href^=https] { color: green }"},
        {"more": "<textarea>&amp;notit;</textarea>"},
        {"more": "<script>x = 1 > 0</script>"},
        {"more": "<svg><title>a</title></svg>"},
        {"more": '<img alt="a > b" src="x">'},
        {"more": 'see href=&quot;x&quot; or href="y" here'},
        {"more": '<link href="x.css" rel="next">'},
        {"comment": "<p>words</p> and more"},
    ],
)
def test_what_may_be_more_than_words_is_inlined_whole(odd):
    for name in ("Ada", "Ada", "Ada & Grace", 'Grace "Amazing" Hopper'):
        html = letter(name, **odd)
        assert inlined(html) == WHOLE(html)
    assert known() == [False]


@pytest.mark.parametrize("more", ["&nbsp;x", "&notit; x", "a\u00a0b", "a\rb", "a \ue0000\ue001 b", "&#x41;b"])
def test_words_that_need_a_parser_are_inlined_whole_each_time(more):
    for _ in range(3):
        inlined(letter())
    html = letter(more=more)
    assert inlined(html) == WHOLE(html)


def test_many_shapes_do_not_fill_the_memory():
    for n in range(inline_css.MOST_SHAPES + 20):
        for _ in range(2):
            inlined(letter(more=f"<b id=b{n}>x</b>"))
    assert 0 < len(inline_css._shapes) <= inline_css.MOST_SHAPES


@pytest.mark.parametrize(
    "part",
    [
        "<![if !mso]><p>b</p><![endif]>",
        "<![if gte mso 9]><p>b</p><![endif]>",
        "<!--[if !mso]><!--><p>b</p><!--<![endif]-->",
        "<!--[if mso]><table><![if gte mso 12]><tr><![endif]></table><![endif]-->",
        "<!--[if !mso]>--><p>b</p><!--<![endif]-->",
    ],
)
def test_what_is_for_one_mail_program_alone_stays_as_it_is(part):
    for name in ("Ada", "Bob", "Eve"):  # the third comes from a shape, where there is one
        found = inlined(f"<style>i {{ color: red }}</style><i>{name}</i>{part}")
        assert part in found
        assert '<i style="color: red;">' in found
