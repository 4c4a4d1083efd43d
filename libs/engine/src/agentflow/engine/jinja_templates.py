"""Jinja templates: parsed against an allow-list of constructs, rewritten to pay the meter.

Only expressions, `if`, `for` and `set` exist; no includes, imports, macros or blocks. What
the sandbox cannot intercept (`~`, loops, comparisons, slices) is wrapped at compile time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.visitor import NodeTransformer

from agentflow.engine.errors import BadTemplate, TemplateFailed
from agentflow.engine.jinja_meter import Meter
from agentflow.engine.jinja_sandbox import CONCAT, EACH, WEIGH, MeteredContext, Sandbox
from agentflow.engine.templates import MAX_OUTPUT, Rendered

MAX_LENGTH: Final = 64 * 1024
MAX_DEPTH: Final = 40
_STATEMENTS = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign),
    *(nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword),
)
_EXPRESSIONS = (
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Call),
    *(nodes.Compare, nodes.Operand, nodes.BinExpr, nodes.UnaryExpr, nodes.CondExpr, nodes.Concat),
)
_ALLOWED: Final = _STATEMENTS + _EXPRESSIONS


@dataclass(frozen=True, slots=True)
class JinjaTextTemplate:
    """A compiled Jinja template."""

    names: frozenset[str] | None
    _template: JinjaTemplate = field(repr=False)

    def render(self, state: Mapping[str, Any]) -> Rendered:
        """The text; raises TemplateFailed with what went wrong."""
        try:
            return Rendered("".join(self._pieces(state)))
        except TemplateFailed:
            raise
        except TemplateError as error:
            raise TemplateFailed(f"The template failed: {str(error.message)[:200]}.") from None
        except (RecursionError, MemoryError):
            raise TemplateFailed("The template nests too deeply or grows too large.") from None
        except Exception as error:  # noqa: BLE001 - operators on any data raise what they like
            raise TemplateFailed(f"The template failed: {str(error)[:200]}.") from None

    def _pieces(self, state: Mapping[str, Any]) -> Iterator[str]:
        names = state.keys() if self.names is None else self.names & state.keys()
        context = self._template.new_context({name: state[name] for name in names})
        if not isinstance(context, MeteredContext):
            raise TypeError("The environment makes metered contexts only.")
        context.meter = Meter()
        length = 0
        for piece in self._template.root_render_func(context):
            context.meter.pay(1)
            length += len(piece)
            if length > MAX_OUTPUT:
                raise TemplateFailed(
                    f"The rendered text would have more than {MAX_OUTPUT:,} characters.",
                    code="payload_too_large",
                )
            yield piece


def compile_jinja(text: str) -> JinjaTextTemplate:
    """Compile `text`; raises BadTemplate with the line where it is known."""
    if len(text) > MAX_LENGTH:
        raise BadTemplate(
            f"The Jinja template has {len(text):,} characters; at most {MAX_LENGTH:,} are accepted."
        )
    sandbox = Sandbox()
    try:
        tree = sandbox.parse(text)
        _check(tree, sandbox)
        names = frozenset(meta.find_undeclared_variables(tree) - sandbox.globals.keys())
        metered = _Metered().visit(tree)
        metered.set_environment(sandbox)
        code = sandbox.compile(metered)
    except TemplateSyntaxError as error:
        raise BadTemplate(
            f"Not a Jinja template at line {error.lineno}: {error.message}.", line=error.lineno
        ) from None
    except (RecursionError, MemoryError, SyntaxError, OverflowError, ValueError) as error:
        raise BadTemplate(
            f"The Jinja template is nested too deeply ({type(error).__name__})."
        ) from None
    return JinjaTextTemplate(names, JinjaTemplate.from_code(sandbox, code, dict(sandbox.globals)))


def _check(tree: nodes.Template, sandbox: Sandbox) -> None:
    """Refuse what is not on the list, by name and line; iterative, so depth is no danger."""
    waiting: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        reason = _reason(node, sandbox)
        if depth > MAX_DEPTH:
            reason = f"it is nested deeper than {MAX_DEPTH} levels"
        if reason:
            raise TemplateSyntaxError(reason, node.lineno)
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())


def _reason(node: nodes.Node, sandbox: Sandbox) -> str | None:
    if not isinstance(node, _ALLOWED):
        return f"{type(node).__name__.lower()} is not available in templates"
    if isinstance(node, nodes.For) and node.recursive:
        return "recursive loops are not available in templates"
    if isinstance(node, nodes.Filter) and (
        node.name[:1] == "_" or node.name not in sandbox.filters
    ):
        return f"there is no filter {node.name!r}"
    if isinstance(node, nodes.Filter) and node.node is None:
        return "filter blocks are not available in templates"
    if isinstance(node, nodes.Test) and node.name not in sandbox.tests:
        return f"there is no test {node.name!r}"
    if isinstance(node, nodes.Call) and not isinstance(node.node, nodes.Name | nodes.Getattr):
        return "only range() and methods can be called"
    if isinstance(node, nodes.Call) and (node.dyn_args or node.dyn_kwargs):
        return "calls with * or ** are not available in templates"
    return None


class _Metered(NodeTransformer):
    """Puts the paying filters around what the sandbox cannot intercept."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's visitor protocol
        self.generic_visit(node)
        node.iter = _filter(node.iter, EACH)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), CONCAT)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        node.expr = _filter(node.expr, WEIGH)
        for operand in node.ops:
            operand.expr = _filter(operand.expr, WEIGH)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        node.node = _filter(node.node, WEIGH)
        node.args = [_filter(argument, WEIGH) for argument in node.args]
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        node.node = _filter(node.node, WEIGH)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return _filter(node, WEIGH) if isinstance(node.arg, nodes.Slice) else node


def _filter(node: nodes.Node, name: str) -> nodes.Filter:
    # Filter is typed for expressions; what stands in a loop or an assignment is one
    return nodes.Filter(cast("nodes.Expr", node), name, [], [], None, None, lineno=node.lineno)
