"""Run the LaTeX formulas of the pages as a program, to compare the pages with the code.

A formula is an assignment to its left side, for every value of the free indices. If the left side
has a value already, or is an expression, both sides must be equal. "a if c, else b" selects;
"a if c" compares where c holds; "x gains a" adds to x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from mindref.study.formulas import find_formulas
from mindref.study.latex import ABSENT, FormulaNode, parse_formula
from tests.assertions import assert_close
from tests.study.formula_parts import (
    CONDITIONS,
    Parts,
    index_letters,
    is_iteration,
    plain_name,
    read_condition,
    row_parts,
    script_parts,
    split_group,
    split_parts,
    split_terms,
    word_of,
)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "max": np.maximum, "min": np.minimum, "sign": np.sign,
}  # fmt: skip
REDUCTIONS: dict[str, Callable[..., Any]] = {"sum": sum, "max": max}
RELATIONS: dict[str, Callable[..., Any]] = {"=": np.equal, ">": np.greater, "<=": np.less_equal}


class FormulaProgram:
    """Values of the letters of a page: letter -> indices -> value, in the order of the formula.

    x_{ik}^{(t)} has the indices i, k, t. An array under the indices () has its indices first.
    """

    def __init__(
        self,
        ranges: Mapping[str, Sequence[int]],
        functions: Mapping[str, Callable[..., Any]] | None = None,
        **arrays: Any,
    ) -> None:
        """Store the values of the index letters, the functions of the page, and arrays."""
        self.ranges, self.functions = ranges, FUNCTIONS | dict(functions or {})
        self.values: dict[str, dict[tuple[int, ...], Any]] = {}
        self.indices: dict[str, int] = {}  # index letter -> its value in the current formula
        self.store_arrays(infinity=np.inf, **arrays)

    def store_arrays(self, **arrays: Any) -> None:
        """Store arrays under the names of their letters, in place of earlier values."""
        self.values |= {name: {(): np.asarray(array)} for name, array in arrays.items()}

    def run(self, *references: str, replace: bool = False, **indices: int) -> None:
        """Run the formulas of the references, with values of some indices.

        replace: an assignment replaces an earlier value.
        """
        self.indices = indices
        for reference in references:
            for latex in find_formulas(reference):
                try:
                    self.run_formula(parse_formula(latex, reference), replace)
                except (AssertionError, LookupError, ValueError) as error:
                    raise AssertionError(f"{reference}: {latex}: {error!r}") from error

    def run_formula(self, row: FormulaNode, replace: bool) -> None:
        """Run one formula for every value of its free indices."""
        parts = [part for part in row.parts if part.kind != "space"]
        gains, overwrite = (mark in map(word_of, parts) for mark in ("gains", "<-"))
        sides, words = split_parts(parts, ("=", "<-", "gains"), until=(*CONDITIONS, "for every"))
        condition, alternative = read_condition(words)
        left = sides[0]
        bound = self.indices
        for indices in self.index_values(left):
            self.indices = {**bound, **indices}
            holds = self.evaluate_condition(condition)
            for side in sides[1:]:
                value = self.evaluate(side)
                if alternative:
                    value = np.where(holds, value, self.evaluate(alternative))
                if alternative or np.all(holds):
                    self.assign(left, value, replace or overwrite, gains)
        self.indices = bound

    def index_values(self, parts: Parts) -> Iterator[dict[str, int]]:
        """Yield each combination of values of the free indices of a left side."""
        free = {x for part in parts for x in index_letters(part)} & set(self.ranges)
        letters = sorted(free - set(self.indices))
        for values in product(*(self.ranges[letter] for letter in letters)):
            yield dict(zip(letters, values, strict=True))

    def assign(self, left: Parts, value: Any, replace: bool, gains: bool) -> None:
        """Store the value of the left side, or compare it with the value that exists."""
        name, indices = self.symbol(left[0]) if len(left) == 1 else ("", ())
        stored = self.values.setdefault(name, {}) if name else {(): None}
        if gains:
            stored[indices] = stored.get(indices, 0) + value
        elif replace or not stored.keys() & {indices, ()}:
            stored[indices] = value
        else:
            assert_close(value, self.evaluate(left))

    def evaluate_condition(self, parts: Parts) -> Any:
        """Return whether a condition holds: a relation, or a letter."""
        relation = next((x.plain for x in parts if x.plain in RELATIONS), "")
        if not relation:
            return self.evaluate(parts) if parts else True
        sides, _ = split_parts(parts, (relation,))
        return RELATIONS[relation](*map(self.evaluate, sides))

    def evaluate(self, parts: Parts) -> Any:
        """Return the value of a sum of products."""
        total, sign = None, 1
        for mark, term in split_terms(parts):
            sign = -1 if mark == "-" else 1
            value = sign * self.multiply_factors(term)
            total = value if total is None else total + value
        return total

    def multiply_factors(self, parts: Parts) -> Any:
        """Return the value of a product, from left to right."""
        result, divide = None, False
        while parts:
            if parts[0].plain in ("/", "*"):
                divide, parts = parts[0].plain == "/", parts[1:]
                continue
            value, parts = self.evaluate_factor(parts)
            if result is None:
                result = value
            else:
                result = result / value if divide else multiply_arrays(result, value)
            divide = False
        return result

    def evaluate_factor(self, parts: Parts) -> tuple[Any, Parts]:
        """Return the value of the first factor, and the parts after it."""
        base, index, exponent = script_parts(parts[0])
        is_call = len(parts) > 1 and parts[1].plain == "("
        if base.plain in REDUCTIONS and index != ABSENT:
            return self.reduce(base.plain, plain_name(index), parts[1:]), ()
        if base.plain in self.functions and is_call:
            inner, _, after = split_group(parts[1:])
            arguments, _ = split_parts(inner, (",",))
            return self.functions[base.plain](*map(self.evaluate, arguments)), after
        if base.plain in FUNCTIONS:
            return self.functions[base.plain](self.multiply_factors(parts[1:])), ()
        if base.kind == "open":
            inner, exponent, after = split_group(parts)
            return self.raise_power(self.evaluate_group(base, inner), exponent), after
        value = self.evaluate_part(parts[0])
        return value if is_iteration(exponent) else self.raise_power(value, exponent), parts[1:]

    def evaluate_part(self, part: FormulaNode) -> Any:
        """Return the value of a fraction, root, number, row or symbol, without its exponent."""
        base = script_parts(part)[0]
        if base.kind == "frac":
            return self.evaluate(row_parts(base.parts[0])) / self.evaluate(row_parts(base.parts[1]))
        if base.kind == "sqrt":
            return np.sqrt(self.evaluate(row_parts(base.parts[0])))
        if base.kind == "number":
            return float(base.plain)
        if base.kind == "row":
            return self.evaluate(base.parts)
        return self.look_up(*self.symbol(part))

    def evaluate_group(self, fence: FormulaNode, inner: Parts) -> Any:
        """Return the value of a group in fences: product, absolute value, length or bracket."""
        if fence.plain == "<":
            sides, _ = split_parts(inner, (",",))
            return np.dot(*map(self.evaluate, sides))
        value = self.evaluate(inner)
        return {"|": np.abs, "||": np.linalg.norm}.get(fence.plain, lambda x: x)(value)

    def reduce(self, name: str, letter: str, parts: Parts) -> Any:
        """Return the sum or the maximum of a product over an index."""
        outer, values = self.indices, []
        for index in self.ranges[letter]:
            self.indices = {**outer, letter: index}
            values.append(self.multiply_factors(parts))
        self.indices = outer
        return REDUCTIONS[name](values)

    def raise_power(self, value: Any, exponent: FormulaNode) -> Any:
        """Return a power, or the transposed array if the exponent is T."""
        if exponent == ABSENT:
            return value
        if exponent.plain == "T":
            return value[None, :] if value.ndim == 1 else value.T
        return value ** self.evaluate(row_parts(exponent))

    def symbol(self, node: FormulaNode) -> tuple[str, tuple[int, ...]]:
        """Return name and indices: `d_b` and (i, k, t + 1) for d_{b_{ik}}^{(t+1)}."""
        if node.kind in ("hat", "bar"):
            name, indices = self.symbol(node.parts[0])
            return f"{name}_{node.kind}", indices
        if node.kind == "row":
            names = [self.symbol(part) for part in node.parts]
            return "".join(x for x, _ in names), sum((x for _, x in names), ())
        if node.kind != "script":
            return node.plain, ()
        base, index, exponent = node.parts
        name, indices = self.symbol(base)
        letters = row_parts(index)
        if all(part.plain in self.indices for part in letters):
            indices += tuple(self.indices[part.plain] for part in letters)
        elif index != ABSENT:
            label, more_indices = self.symbol(index)
            name, indices = f"{name}_{label}", indices + more_indices
        if is_iteration(exponent):
            indices += (int(self.evaluate(exponent.parts)),)
        return name, indices

    def look_up(self, name: str, indices: tuple[int, ...]) -> Any:
        """Return a value; without indices, the array of all values. Raises LookupError."""
        if name in self.indices and not indices:
            return self.indices[name]
        stored = self.values[name]
        if indices in stored:
            return stored[indices]
        return stored[()][indices] if () in stored else self.array(name)[indices]

    def array(self, name: str) -> Any:
        """Return all values of a letter, with its indices as leading axes."""
        stored = self.values[name]
        if () in stored:
            return stored[()]
        sizes = [len(set(axis)) for axis in zip(*stored, strict=True)]
        values = np.array([stored[key] for key in sorted(stored)])
        return values.reshape(*sizes, *values.shape[1:])


def multiply_arrays(a: Any, b: Any) -> Any:
    """Return a product: of a number, of matrices and vectors, or the outer product with b^T."""
    if not min(np.ndim(a), np.ndim(b)):
        return a * b
    return np.outer(a, b) if np.ndim(a) == 1 and np.shape(b)[0] == 1 else a @ b
