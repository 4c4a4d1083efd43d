"""Jinja templates: useful, strict, and unable to hang, grow or look where they should not."""

from typing import Any

import pytest

from agentflow.engine import jinja_meter, jinja_templates
from agentflow.engine.errors import BadTemplate, TemplateFailed
from agentflow.engine.templates import compile_template

STATE: dict[str, Any] = {
    "name": "Ines",
    "n": None,
    "l": [3, 1, 2],
    "rows": [{"id": 1, "s": "b", "ok": True}, {"id": 2, "s": "a", "ok": False}],
    "order": {"items": ["pen"], "total": 2.5},
    "big": "x" * 60_000,
}


def render(text: str, **more: Any) -> str:
    return compile_template(text, "jinja").render({**STATE, **more}).text


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("Hello {{ name|upper }}", "Hello INES"),
        (
            (
                "{% for r in rows %}{{ loop.index }}{{ r.s }}{% if not loop.last %},"
                "{% endif %}{% endfor %}"
            ),
            "1b,2a",
        ),
        ("{{ n }} {{ l }} {{ order }}", 'null [3, 1, 2] {"items": ["pen"], "total": 2.5}'),
        ("{{ order.items }} {{ order['total'] * 2 }} {{ rows[0].id + 1 }}", '["pen"] 5.0 2'),
        ("{% for k, v in [[1, 2]]|list %}{% endfor %}", ""),
        ("{% for k, v in rows[0].items() %}{{ k }}={{ v }};{% endfor %}", "id=1;s=b;ok=true;"),
        ("{{ missing|default('-') }} {{ n|d('none', true) }}", "- none"),
        ("{{ rows[0].missing is defined }} {{ name is string }}", "false true"),
        ("{% set t = name ~ '!' %}{{ t }} {{ 'a' if name == 'Ines' else 'b' }}", "Ines! a"),
        (
            "{{ l|sort|join('-') }} {{ l|sum }} {{ l|max }}{{ l|min }} {{ l|first }}{{ l|last }}",
            "1-2-3 6 31 32",
        ),
        ("{{ rows|map(attribute='s')|join }} {{ l|map('string')|join('') }}", "ba 312"),
        (
            (
                "{{ rows|selectattr('ok')|list|length }} "
                "{{ rows|rejectattr('id', 'eq', 1)|map(attribute='id')|list }}"
            ),
            "1 [2]",
        ),
        (
            "{{ l|select('odd')|list }} {{ l|reject('odd')|list }} {{ [0, 1]|select|list }}",
            "[3, 1] [2] [1]",
        ),
        (
            "{{ rows|sort(attribute='s')|map(attribute='id')|list }} {{ l|sort(reverse=true) }}",
            "[2, 1] [3, 2, 1]",
        ),
        (
            (
                "{{ rows|groupby('ok')|length }} "
                "{{ [1, 1, 2]|unique|list }} {{ order|dictsort|first }}"
            ),
            '2 [1, 2] ["items", ["pen"]]',
        ),
        (
            (
                "{{ name|replace('I', 'i')|title }} {{ ' x '|trim }} "
                "{{ 'abc'|truncate(2) }} {{ 'ab'|truncate(5) }}"
            ),
            "Ines x ab… ab",
        ),
        (
            (
                "{{ '3'|int + 1 }} {{ 'x'|int }} {{ '1.5'|float }} "
                "{{ 'x'|float }} {{ 2.345|round(1) }} {{ -1|abs }}"
            ),
            "4 0 1.5 0.0 2.3 1",
        ),
        (
            (
                "{{ '<a>'|e }} {{ 'a b'|urlencode }} {{ 'a b'|wordcount }} "
                "{{ 'ab'|reverse }} {{ l|tojson }}"
            ),
            "&lt;a&gt; a%20b 2 ba [3, 1, 2]",
        ),
        (
            (
                "{{ rows[0]|items|list|length }} "
                "{{ rows|map(attribute='q', default='-')|list }} {{ rows|sum(attribute='id') }}"
            ),
            '3 ["-", "-"] 3',
        ),
        (
            (
                "{{ l[0:2] }} {{ range(2) }} {{ 7 // 2 }} {{ 7 % 4 }} "
                "{{ 2 ** 3 }} {{ 'a' + 'b' }} {{ [1] + [2] }}"
            ),
            "[3, 1] [0, 1] 3 3 8 ab [1, 2]",
        ),
        (
            (
                "{{ 'A'.lower() }} {{ 'a,b'.split(',') }} "
                "{{ rows[0].get('id') }} {{ loop_less|default(1) }}"
            ),
            'a ["a", "b"] 1 1',
        ),
        ("{% for x in [1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.length }}{% endfor %}", "a2b2"),
        ("{{ l|tojson(indent=99) }}", "[\n        3,\n        1,\n        2\n]"),
        ("{{ [true, 1]|sum }} {{ [none, 'b', 2, 'A']|sort }}", '2 [null, 2, "A", "b"]'),
    ],
)
def test_what_comes_out(text: str, gives: str) -> None:
    assert render(text) == gives


def test_names_are_the_state_keys_it_reads() -> None:
    template = compile_template(
        "{{ a.b }}{% for x in c %}{{ x }}{% endfor %}{{ range(2) }}", "jinja"
    )
    assert template.names == frozenset({"a", "c"})


@pytest.mark.parametrize(
    "text",
    [
        "{{ missing }}",
        "{{ missing.x }}",
        "{{ missing|upper }}",
        "{{ name.nope }}",
        "{{ rows[9] }}",
        "{{ missing + 1 }}",
        "{{ 'a' ~ missing }}",
        "{{ missing * 2 }}",
        "{{ n.x }}",
        "{{ 1.x }}",
        "{% for x in missing %}{% endfor %}",
        "{{ missing['x'] }}",
    ],
)
def test_an_unknown_name_is_an_error(text: str) -> None:
    with pytest.raises(TemplateFailed) as caught:
        render(text)
    assert caught.value.error_code == "template_failed"


@pytest.mark.parametrize(
    "text",
    [
        "{{ name.__class__ }}",
        "{{ name['__class__'] }}",
        "{{ l.append(1) }}",
        "{{ l.__len__() }}",
        "{{ ''.format(1) }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ name|attr('__class__') }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ name.upper }}",
        "{{ cycler }}",
        "{{ lipsum() }}",
        "{{ namespace() }}",
        "{% for x in l %}{{ loop }}{% endfor %}",
        "{{ range }}",
        "{% for x in l %}{{ loop.__init__ }}{% endfor %}",
        "{{ name() }}",
        "{{ order.update({}) }}",
        "{{ 5|items }}",
        "{{ 5|list }}",
        "{{ l|first|list }}",
        "{{ order.clear() }}",
    ],
)
def test_nothing_but_data_can_be_reached(text: str) -> None:
    with pytest.raises((TemplateFailed, BadTemplate)):
        render(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ s",
        "{% if %}",
        "{% for x in l %}",
        "{{ 'a }}",
        "{% macro a() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% extends 'x' %}",
        "{% block a %}{% endblock %}",
        "{% set x %}a{% endset %}",
        "{% filter upper %}a{% endfilter %}",
        "{% call a() %}{% endcall %}",
        "{% for x in l recursive %}{% endfor %}",
        "{{ l|_each }}",
        "{{ l|nope }}",
        "{{ l is nope }}",
        "{{ l|center(9) }}",
        "{{ l|indent(9) }}",
        "{{ l|wordwrap(9) }}",
        "{{ l|batch(9) }}",
        "{{ l|random }}",
        "{{ range(*l) }}",
        "{{ l[0]() }}",
        "{% with a=1 %}{% endwith %}",
        "{% set x.y = 1 %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "1+" * 5000 + "1 }}",
        "{{ " + "-" * 5000 + "1 }}",
        "{% if 1 %}" * 500 + "{% endif %}" * 500,
        "{% for a in l %}" * 30 + "{% endfor %}" * 30,
        "{{ " + "[" * 200 + "]" * 200 + " }}",
        "x" * (jinja_templates.MAX_LENGTH + 1),
    ],
)
def test_what_templates_may_not_do_is_refused_when_compiling(text: str) -> None:
    with pytest.raises(BadTemplate):
        compile_template(text, "jinja")


def test_a_syntax_error_tells_its_line() -> None:
    with pytest.raises(BadTemplate) as caught:
        compile_template("fine\n{{ broken", "jinja")
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ l * 1000000000 }}",
        "{{ 9 ** 999999999 }}",
        "{{ '%99999999d' % 1 }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        "{% for i in range(99999999999) %}{% endfor %}",
        "{{ range(99999999999) }}",
        "{% set x = big %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
        "{% set x = big %}" + "{% set x = x + x %}" * 40,
        "{{ big|replace('x', big) }}",
        "{{ range(60000)|join(big) }}",
        "{% for i in range(90000) %}{{ big == big2 }}{% endfor %}",
        "{% for i in range(90000) %}{{ big is eq big2 }}{% endfor %}",
        "{% for i in range(90000) %}{{ big[1:] }}{% endfor %}",
        "{{ l|round(999999999) }}",
        "{% for i in range(90000) %}{% if 'y' in big %}{% endif %}{% endfor %}",
        "{% for i in range(90000) %}{% set y = big.upper() %}{% endfor %}",
        "{% set x = 99999999999999999999 %}" + "{% set x = x * x %}" * 40,
        "{{ 1.5|round(99) }}",
        "{{ " + "9" * 60 + " }}",
    ],
)
def test_hostile_templates_end_soon_and_small(text: str) -> None:
    with pytest.raises(TemplateFailed):
        render(text, big2="x" * 60_000)


def test_the_meter_is_what_stops_them(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "{% for i in range(3000) %}{{ big == big2 }}{% endfor %}"
    with pytest.raises(TemplateFailed):
        render(text, big2="x" * 60_000)
    monkeypatch.setattr(jinja_meter, "BUDGET", 10**9)
    assert render(text, big2="x" * 60_000).startswith("true")


def test_a_result_over_the_limit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinja_templates, "MAX_OUTPUT", 10)
    with pytest.raises(TemplateFailed) as caught:
        render("{{ big }}")
    assert caught.value.error_code == "payload_too_large"


def test_one_rendering_does_not_pay_for_another() -> None:
    template = compile_template("{% for i in range(60000) %}x{% endfor %}", "jinja")
    assert [len(template.render({}).text) for _ in range(3)] == [60_000] * 3


def test_the_state_is_never_changed() -> None:
    state = {"l": [2, 1], "o": {"a": 1}}
    compile_template("{{ l|sort }}{{ l|reverse }}{{ o|dictsort }}", "jinja").render(state)
    assert state == {"l": [2, 1], "o": {"a": 1}}


def test_state_too_deep_for_json_is_an_error_and_no_crash() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(TemplateFailed, match="deeply"):
        render("{{ deep }}", deep=deep)
