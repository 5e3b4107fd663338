"""How a policy is written: as Python that builds it again, and as LaTeX, with no parenthesis too few."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

__all__ = ["Binding", "Formula", "call", "infix", "method", "number", "quoted", "shown", "signed"]

_LATEX: Final = str.maketrans(
    {
        "\\": r"\backslash ",
        "{": r"\lbrace ",
        "}": r"\rbrace ",
        "^": r"\wedge ",
        "~": r"\sim ",
        **{letter: "\\" + letter for letter in "_$&#%"},
    }
)


class Binding(IntEnum):
    """How strongly the outermost operator of a formula binds, as in Python."""

    SUM = 1
    PRODUCT = 2
    SIGN = 3
    POWER = 4
    ATOM = 5


@dataclass(frozen=True, slots=True)
class Formula:
    r"""A written expression.

    Parameters
    ----------
    text : str
        Python; for a constant, the bare number.
    latex : str
        LaTeX, for mathematics mode.
    binding : Binding
        Of the outermost operator of ``text``.
    latex_binding : Binding
        Of the outermost operator of ``latex``: a ``\frac`` is an atom.
    is_number : bool
        Whether ``text`` is a bare number, which Python would compute with before any policy sees it.
    """

    text: str
    latex: str
    binding: Binding = Binding.ATOM
    latex_binding: Binding = Binding.ATOM
    is_number: bool = False

    def standing_alone(self) -> Formula:
        """Return the formula whose text is a policy where no other operand makes it one."""
        if not self.is_number:
            return self
        return replace(self, text=f"constant({self.text})", binding=Binding.ATOM, is_number=False)

    def text_within(self, least: Binding) -> str:
        """Return the text, in parentheses unless it binds at least so strongly."""
        return self.text if self.binding >= least else f"({self.text})"

    def latex_within(self, least: Binding) -> str:
        """Return the LaTeX, in parentheses unless it binds at least so strongly."""
        return self.latex if self.latex_binding >= least else rf"\left({self.latex}\right)"


def shown(value: float) -> str:
    """Return the shortest text that reads back as ``value``: 2, not 2.0."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def quoted(name: str) -> tuple[str, str]:
    """Return a name as Python's text, and as LaTeX."""
    return json.dumps(name, ensure_ascii=False), rf"\mathrm{{{name.translate(_LATEX)}}}"


def number(value: float) -> Formula:
    """Return the formula of a constant."""
    text = shown(value)
    mantissa, _, exponent = text.partition("e")
    latex, strength = mantissa, Binding.ATOM
    if exponent:
        latex, strength = rf"{mantissa} \cdot 10^{{{int(exponent)}}}", Binding.PRODUCT
    if value < 0:
        strength = min(strength, Binding.SIGN)
    return Formula(text, latex, Binding.SIGN if value < 0 else Binding.ATOM, strength, is_number=True)


def signed(x: Formula) -> Formula:
    """Return the formula of -x."""
    x = x.standing_alone()
    latex = f"-{x.latex_within(Binding.POWER)}"
    return Formula(f"-{x.text_within(Binding.SIGN)}", latex, Binding.SIGN, Binding.SIGN)


def infix(operator: str, left: Formula, right: Formula) -> Formula:
    """Return the formula of ``left operator right``, for one of ``+ - * / **``."""
    if right.is_number:
        left = left.standing_alone()
    if operator == "**":
        # Python: -x ** y is -(x ** y), and the exponent may carry a sign
        text = f"{left.text_within(Binding.ATOM)} ** {right.text_within(Binding.SIGN)}"
        latex = f"{{{left.latex_within(Binding.ATOM)}}}^{{{right.latex}}}"
        return Formula(text, latex, Binding.POWER, Binding.POWER)
    own = Binding.SUM if operator in "+-" else Binding.PRODUCT
    tighter = Binding(own + 1)
    text = f"{left.text_within(own)} {operator} {right.text_within(tighter)}"
    if operator == "/":
        return Formula(text, rf"\frac{{{left.latex}}}{{{right.latex}}}", own)
    symbol = r"\cdot" if operator == "*" else operator
    # LaTeX has no rule for "2 - -x": a sign on the right is put in parentheses
    right_latex = right.latex_within(Binding.POWER)
    if right.latex_binding is Binding.PRODUCT and own is Binding.SUM:
        right_latex = right.latex
    return Formula(text, f"{left.latex_within(own)} {symbol} {right_latex}", own, own)


def call(name: str, latex_name: str, *arguments: Formula) -> Formula:
    """Return the formula of ``name(argument, ...)``, a builder that accepts numbers."""
    text = ", ".join(argument.text for argument in arguments)
    latex = ", ".join(argument.latex for argument in arguments)
    return Formula(f"{name}({text})", rf"{latex_name}\left({latex}\right)")


def method(receiver: Formula, name: str, latex_name: str, arguments: str) -> Formula:
    """Return the formula of ``receiver.name(arguments)``."""
    receiver = receiver.standing_alone()
    latex = rf"{latex_name}\left({receiver.latex}\right)"
    return Formula(f"{receiver.text_within(Binding.ATOM)}.{name}({arguments})", latex)
