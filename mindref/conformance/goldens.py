"""What is asked against frozen answers: the reference is judged by them like anybody else.

The numbers come from files (mindref/conformance/golden), how far an answer may lie off from the
running bound. Options that a backend may leave out are not among the cases.
"""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st

from mindref.conformance.bounds import Precision
from mindref.conformance.golden import golden
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.reference import Expected, expected


def calls(stem: str) -> st.SearchStrategy[Call]:
    """Draw one of the frozen calls; the files are read when the first is drawn."""
    return st.deferred(lambda: st.sampled_from([case.call for case in golden.load(stem).values()]))


def compare(judge: Judge, call: Call) -> None:
    """Ask, and compare every part that came back with the frozen one."""
    for mode in ("statistical", "worst"):
        found = frozen(call.stem, golden.name_of(call), judge.precision, mode)
        found = {n: e._replace(allowed=judge.factor * e.allowed) for n, e in found.items()}
        judge.known.append((call, mode, found))  # conformance-R15
    judge.agree(call)


@cache
def frozen(stem: str, name: str, precision: Precision, mode: str) -> dict[str, Expected]:
    """Return the frozen answer to a case, each number with its allowed error."""
    call, answer = golden.load(stem)[name]
    of_the_day = expected(call, precision, mode)
    return {part: of_the_day[part]._replace(value=x) for part, x in answer.items()}


@check("embedding-R1", "embedding-R3", draws=calls("embedding"), stem="embedding", gradient=True)
def embedding(judge: Judge, call: Call) -> None:
    """Vectors of items and their gradients are the frozen ones."""
    compare(judge, call)


@check("softmax-R1", "softmax-R5", draws=calls("softmax"), stem="softmax", gradient=True)
def softmax(judge: Judge, call: Call) -> None:
    """Weights and their gradients are the frozen ones."""
    compare(judge, call)


@check("squash-R1", "squash-R2", draws=calls("squash"), stem="squash", gradient=True)
def squash(judge: Judge, call: Call) -> None:
    """Squashed capsules and their gradients are the frozen ones."""
    compare(judge, call)


@check(
    *("routing-R5", "routing-R3", "routing-R4", "routing-R8", "routing-R11", "routing-R12"),
    draws=calls("routing"),
    stem="routing",
    gradient=True,
)
def routing(judge: Judge, call: Call) -> None:
    """Capsules, couplings and both gradients are the frozen ones."""
    compare(judge, call)


@check(
    *("relu_layer-R1", "relu_layer-R2", "relu_layer-R4"),
    draws=calls("relu_layer"),
    stem="relu_layer",
    gradient=True,
)
def relu_layer(judge: Judge, call: Call) -> None:
    """Rows and their gradients are the frozen ones, rectified or not."""
    compare(judge, call)


@check(
    *("label_attention-R3", "label_attention-R2", "label_attention-R8", "label_attention-R9"),
    draws=calls("label_attention"),
    stem="label_attention",
    gradient=True,
)
def label_attention(judge: Judge, call: Call) -> None:
    """Vectors of users and their gradients are the frozen ones, for five powers."""
    compare(judge, call)


@check(
    *("sampled_softmax-R1", "sampled_softmax-R2", "sampled_softmax-R3", "sampled_softmax-R11"),
    draws=calls("sampled_softmax"),
    stem="sampled_softmax",
    gradient=True,
)
def sampled_softmax(judge: Judge, call: Call) -> None:
    """Losses and their gradients are the frozen ones."""
    compare(judge, call)


@check("model-R4", "model-R5", "model-R6", draws=calls("interests"), stem="interests")
def interests(judge: Judge, call: Call) -> None:
    """Interests of a small model are the frozen ones."""
    compare(judge, call)


@check("model-R9", "model-R10", draws=calls("loss"), stem="loss", gradient=True)
def loss(judge: Judge, call: Call) -> None:
    """The loss of a small model and all its gradients are the frozen ones."""
    compare(judge, call)


@check("optimiser-R1", "optimiser-R4", draws=calls("training"), stem="training")
def training(judge: Judge, call: Call) -> None:
    """Losses and parameters after some steps are the frozen ones."""
    compare(judge, call)
