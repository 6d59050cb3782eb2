"""The mistakes in Python: what is written instead of an expression or a statement."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tools.mutants.mistakes import Mistake


def program(text: str) -> Iterator[Mistake]:
    """Find the places where a condition, a flag or a number is easily wrong, or a statement missing."""
    lines = text.splitlines()
    tree = ast.parse(text)
    # Before Python 3.12 these have no places of their own.
    formatted = {
        inner for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in formatted:
            continue
        if isinstance(node, ast.expr | ast.keyword | ast.stmt) and node.lineno == node.end_lineno:
            for kind, wrong in _wrong(node):
                line = lines[node.lineno - 1].encode()
                changed = line[: node.col_offset] + wrong.encode() + line[node.end_col_offset :]
                yield Mistake(kind, node.lineno - 1, node.lineno, (changed.decode(),))
        if isinstance(node, ast.stmt) and _does_something(node) and node.end_lineno:
            instead = f"{' ' * node.col_offset}pass"
            yield Mistake("a statement dropped", node.lineno - 1, node.end_lineno, (instead,))


def _does_something(statement: ast.stmt) -> bool:
    """Whether the program goes on without a statement, but does something else."""
    match statement:
        case ast.Expr(value=ast.Call(func=called)):
            return getattr(called, "attr", getattr(called, "id", "")) not in _UNSEEN
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
        case _:
            return isinstance(statement, ast.AugAssign | ast.Delete | ast.Raise)


def _is_default(value: ast.expr) -> bool:
    """Whether it is what is taken where there is nothing, as in `found or {}`."""
    empty = isinstance(value, ast.Dict | ast.List | ast.Tuple | ast.Constant)
    return empty and not getattr(value, "keys", None) and not getattr(value, "elts", None)


def _wrong(node: ast.AST) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPPOSITES:
            wrong = f"{ast.unparse(left)} {_OPPOSITES[type(op)]} {ast.unparse(right)}"
            yield "a comparison turned round", wrong
            if type(op) in _BOUNDS and not _CONTINUOUS.search(wrong):
                yield "off by one", f"{ast.unparse(left)} {_BOUNDS[type(op)]} {ast.unparse(right)}"
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=ast.Constant(value=int(number))):
            sign = "+" if isinstance(op, ast.Add) else "-"
            yield "off by one", f"{ast.unparse(left)} {sign} {number + 1}"
        case ast.Subscript(value=value, slice=ast.Constant(value=int(number))):
            yield "off by one", f"{ast.unparse(value)}[{number + 1}]"
        case ast.Slice(lower=ast.Constant(value=int(number)), upper=upper, step=None):
            yield "off by one", f"{number + 1}:{ast.unparse(upper) if upper else ''}"
        case ast.BoolOp(op=op, values=values) if not _is_default(values[-1]):
            word, kind = (" or ", "or for and") if isinstance(op, ast.And) else (" and ", "and for or")
            yield kind, f"({word.join(f'({ast.unparse(value)})' for value in values)})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not dropped", f"({ast.unparse(operand)})"
        case ast.keyword(arg=str(name), value=ast.Constant(value=bool(flag))) if name not in _HARMLESS:
            yield "a flipped flag", f"{name}={not flag}"
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=bool(flag))) if (
            name not in _HARMLESS
        ):
            yield "a flipped flag", f"{name} = {not flag}"


# How a program is run, a text is written, or what is missing already is removed.
_HARMLESS = {
    "capture_output",
    "check",
    "daemon",
    "daemon_threads",
    "exist_ok",
    "frozen",
    "ignore_errors",
    "kw_only",
    "missing_ok",
    "parents",
    "strict",
    "text",
}
# What is dropped without a trace: it waits, closes what ends anyway, or tells how it goes on.
_UNSEEN = {
    "sleep",
    "close",
    "join",
    "debug",
    "info",
    "v",
    "vv",
    "vvv",
    "unlink",
    "filterwarnings",
    "disable_warnings",
}
# Nobody notices a byte or a moment more.
_CONTINUOUS = re.compile(r"time|monotonic|deadline|now|age|seconds|until|size|free|bytes")
_BOUNDS: dict[type[ast.cmpop], str] = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}
_OPPOSITES: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: ">=",
    ast.LtE: ">",
    ast.Gt: "<=",
    ast.GtE: "<",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
