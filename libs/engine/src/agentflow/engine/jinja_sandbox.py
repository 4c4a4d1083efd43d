"""The sandbox Jinja templates run in: allow-lists only, and everything is metered.

On top of Jinja's own immutable sandbox: a value gives out its items and a few named methods,
never another attribute; operators work on numbers, texts and lists of bounded size; `**` and
`*` take small numbers only; loops, filters, comparisons and calls pay the meter.
"""

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Final

from jinja2 import StrictUndefined
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context

from agentflow.engine.errors import TemplateFailed
from agentflow.engine.jinja_filters import CALLING, PAYING, PLAIN, each
from agentflow.engine.jinja_meter import Meter
from agentflow.engine.templates import as_text

EACH, CONCAT, WEIGH = "_each", "_concat", "_weigh"
"""Filters the compiler puts around loops, `~` and operands; templates cannot name them."""

_LOOP = "index index0 revindex revindex0 first last length previtem nextitem depth cycle"
_TEXT = (
    "capitalize count endswith find isdigit lower lstrip rstrip split splitlines "
    "startswith strip title upper"
)
LOOP_FIELDS: Final = frozenset(_LOOP.split())
METHODS: Final[dict[type, frozenset[str]]] = {
    dict: frozenset({"get", "items", "keys", "values"}),
    str: frozenset(_TEXT.split()),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
}
MAX_EXPONENT: Final = 64


class MeteredContext(Context):
    """A Jinja context that carries the meter of its rendering into loops."""

    meter: Meter

    def derived(self, locals: dict[str, Any] | None = None) -> "MeteredContext":  # noqa: A002 - Jinja's name
        inner = super().derived(locals)
        if not isinstance(inner, MeteredContext):
            raise TypeError("The environment makes metered contexts only.")
        inner.meter = self.meter
        return inner


def meter_of(context: Context) -> Meter:
    """The meter of the rendering `context` belongs to."""
    if not isinstance(context, MeteredContext):
        raise TypeError("The environment makes metered contexts only.")
    return context.meter


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja with allow-lists and a meter."""

    context_class = MeteredContext

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, optimized=False, finalize=_finalize)
        self.intercepted_binops = frozenset(self.binop_table)
        self.globals.clear()
        self.globals["range"] = _range
        self.filters = _filters()

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, LoopContext):
            if attribute in LOOP_FIELDS:
                return getattr(obj, attribute)
        elif attribute in METHODS.get(type(obj), ()):
            return getattr(obj, attribute)
        if isinstance(obj, Undefined):
            return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                return self.undefined(obj=obj, name=argument)
        if isinstance(obj, Undefined):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        meter = meter_of(context)
        meter.weigh(left)
        meter.weigh(right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            if operator == "**" and abs(right) > MAX_EXPONENT:
                raise TemplateFailed(f"An exponent in the template is above {MAX_EXPONENT}.")
        elif operator != "+" or isinstance(left, Undefined) or isinstance(right, Undefined):
            _refuse_operands(operator, left, right)
        result = self.binop_table[operator](left, right)
        meter.weigh(result)
        return result

    def call(__self, __context: Context, __obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja has it
        meter = meter_of(__context)
        meter.weigh([*args, *kwargs.values()])
        result = _plain(super().call(__context, __obj, *args, **kwargs))
        meter.weigh(result)
        return result


def _refuse_operands(operator: str, left: Any, right: Any) -> None:
    for value in (left, right):
        if isinstance(value, Undefined):
            str(value)  # StrictUndefined says which name is missing
    kinds = f"{type(left).__name__} and {type(right).__name__}"
    raise TemplateFailed(f"The template cannot use {operator!r} between {kinds}.")


def _plain(value: Any) -> Any:
    """Views of objects as lists; everything else as it is."""
    return list(value) if isinstance(value, ItemsView | KeysView | ValuesView) else value


@pass_context
def _finalize(context: Context, value: Any) -> str:
    if isinstance(value, Undefined):
        return str(value)  # StrictUndefined says which name is missing
    meter_of(context).weigh(value)
    return as_text(value)


@pass_context
def _range(context: Context, *bounds: int) -> list[int]:
    numbers = range(*bounds)
    meter_of(context).pay(len(numbers))
    return list(numbers)


@pass_context
def _each(context: Context, value: Any) -> Iterator[Any]:
    meter = meter_of(context)
    for item in each(value):
        meter.step()
        yield item


@pass_context
def _concat(context: Context, values: list[Any]) -> str:
    return "".join(_finalize(context, value) for value in values)


@pass_context
def _weigh(context: Context, value: Any) -> Any:
    if not isinstance(value, Undefined | LoopContext):
        meter_of(context).weigh(value)
    return value


def _filters() -> dict[str, Callable[..., Any]]:
    """Every allowed filter, wrapped so that it pays for what it takes and gives."""
    return {
        EACH: _each,
        CONCAT: _concat,
        WEIGH: _weigh,
        **{name: _paying(name, filter_, _nothing) for name, filter_ in PLAIN.items()},
        **{name: _paying(name, filter_, _the_meter) for name, filter_ in PAYING.items()},
        **{name: _paying(name, filter_, _the_context) for name, filter_ in CALLING.items()},
    }


def _nothing(_: Context) -> tuple[Any, ...]:
    return ()


def _the_meter(context: Context) -> tuple[Any, ...]:
    return (meter_of(context),)


def _the_context(context: Context) -> tuple[Any, ...]:
    return (context,)


def _paying(
    name: str, filter_: Callable[..., Any], first: Callable[[Context], tuple[Any, ...]]
) -> Callable[..., Any]:
    takes_undefined = name in ("default", "d")

    @pass_context
    def call(context: Context, value: Any, *args: Any, **named: Any) -> Any:
        if not isinstance(value, Undefined):
            meter_of(context).weigh([value, *args, *named.values()])
        elif not takes_undefined:
            str(value)  # StrictUndefined says which name is missing
        result = filter_(*first(context), value, *args, **named)
        meter_of(context).weigh(result)
        return result

    return call
