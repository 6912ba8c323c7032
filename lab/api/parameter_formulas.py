"""Formulas in RDS's parameter groups, such as `LEAST({DBInstanceClassMemory/9531392},5000)`. Pure.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ParamValuesRef.html
"""

import ast
import math
from collections.abc import Callable, Mapping
from typing import Final

FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "GREATEST": max,
    "LEAST": min,
    "SUM": lambda *terms: sum(terms),
    "log": math.log2,
}
VARIABLES: Final = ("AllocatedStorage", "DBInstanceClassMemory", "DBInstanceVCPU", "EndPointPort")


class FormulaError(Exception):
    """It is none."""


def is_formula(value: str) -> bool:
    """Whether a parameter's value has to be reckoned."""
    return "{" in value or value.startswith(tuple(f"{name}(" for name in FUNCTIONS))


def reckon(formula: str, variables: Mapping[str, float]) -> int:
    """What it comes to with `variables`, without what is behind the point. FormulaError for one that RDS can't read."""
    text = formula.replace("$", "").replace("{", "(").replace("}", ")")
    try:
        return int(_value(ast.parse(text, mode="eval").body, variables))
    except (SyntaxError, ValueError, TypeError, ZeroDivisionError, OverflowError, KeyError) as error:
        raise FormulaError(formula) from error


def _value(node: ast.expr, variables: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(int() | float() as number):
            return number
        case ast.Name(name):
            return variables[name]
        case ast.BinOp(left, ast.Mult(), right):
            return _value(left, variables) * _value(right, variables)
        case ast.BinOp(left, ast.Div(), right):
            return _value(left, variables) / _value(right, variables)
        case ast.Call(ast.Name(name), terms, []):
            return FUNCTIONS[name](*(_value(term, variables) for term in terms))
        case _:
            raise ValueError(ast.unparse(node))
