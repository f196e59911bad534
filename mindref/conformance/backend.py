"""What is asked of a backend as a whole: its claims, its conversions, how its levels fit together.

Spec: specs/backend.md. That what is claimed gives right numbers is asked on the other pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance import routing
from mindref.conformance.draws.trainings import trainings
from mindref.conformance.draws.worlds import losses
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.claims import unhonoured
from mindref.conformance.judging.failure import Broken
from mindref.conformance.judging.judge import Got, Judge
from mindref.conformance.judging.reference import Expected
from mindref.conformance.strategies import generators, normal, sizes
from mindref.errors import STRANGE
from mindref.models import mind
from mindref.models.parameters import flatten
from mindref.ops import label_attention, sampled_softmax
from mindref.shapes import Array
from mindref.training import optimiser

NOT_OBSERVED = {
    **{
        f"backend-R{n}": "how a backend is found and loaded is the registry's affair"
        for n in (1, 2, 3, 4, 5, 7)
    },
    "backend-R8": "about the names of the reference's operators",
    "backend-R9": "the command that trains refuses; no backend is asked",
    "backend-R16": "which devices there are is the machine's affair; that `on` is there is asked"
    " with the claims",
    "backend-R14": "how gradients are asked for where they are automatic: whoever breaks it fails"
    " every check of a gradient",
    "backend-R18": "one thread of one process asks",
    "backend-R17": "one process is judged; the command that trains compares several at every epoch",
}
"""Rules of the page that no check here shows, and why."""

NUMBERS = (np.nan, np.inf, -np.inf, -0.0, 1e-40, 65504.0)
"""Numbers that a conversion by way of another type does not survive."""


@st.composite
def arrays(draw: st.DrawFn) -> Call:
    """Draw an array of floats, some of them strange: whole, turned, a part, empty, one number."""
    rng, shape = draw(generators()), draw(sizes(3))
    x = np.array(normal(rng, *shape))
    x.reshape(-1)[: len(NUMBERS)] = NUMBERS[: x.size]
    parts = (x, x.T, x[::2], x[:0], x[0, 0, 0].reshape(()), x[:, ::-1])
    return Call("conversion", {"x": draw(st.sampled_from(parts))}, {})


def compositions() -> st.SearchStrategy[Call]:
    """Draw calls for the loss of a batch and its gradients, to be composed of the operators."""
    return losses().map(lambda call: call._replace(stem="composition"))


@check("backend-R13", draws=st.just(Call("contract", {}, {})), stem="contract")
def what_is_claimed_is_there(judge: Judge, call: Call) -> None:
    """Each claimed operator has forward and its gradient, each claimed level has its methods."""
    backend = backend_of(judge)
    judge.holds(hasattr(backend, "capabilities"), "there is no backend that claims anything")
    for lack in unhonoured(backend, backend.capabilities()):
        judge.holds(False, lack)


@check("backend-R11", draws=arrays(), stem="conversion")
def an_array_there_and_back_is_the_same_array(judge: Judge, call: Call) -> None:
    """to_numpy(from_numpy(x)) has the bytes, shape and type of x, NaN and -0.0 included."""
    backend, x = backend_of(judge), call.arrays["x"]
    for given in (x, np.isfinite(x)):
        back = attempt(judge, backend, given)
        kept = isinstance(back, np.ndarray | np.generic) and back.dtype == given.dtype
        judge.holds(kept and back.shape == given.shape, f"{kind(given)} came back as {kind(back)}")
        judge.holds(back.tobytes() == given.tobytes(), f"{kind(given)} came back with other bytes")


@check("backend-R10", draws=routing.calls(), stem="routing", agreement=True)
def what_routing_saved_has_its_couplings(judge: Judge, call: Call) -> None:
    """What routing saved has `couplings`, the weights of its last round: serving reads them."""
    # whose gradients are automatic serves as well (backend-R9), so they are asked for there, too
    judge.agree(call.forward_only(), "couplings")


@check("backend-R6", draws=compositions(), stem="composition", gradient=True, agreement=True)
def the_operators_compose_to_the_model(judge: Judge, call: Call) -> None:
    """Put together by the reference, the operators give its loss and its gradients."""
    judge.agree(call)


@check("backend-R13", draws=losses(), stem="loss", share=0.5)
def the_loss_reads_the_interests_that_are_served(judge: Judge, call: Call) -> None:
    """The loss is that of the interests which the backend serves for the same histories."""
    params, batch, catalogue = call.arrays.values()
    users = {"params": params, "histories": batch.histories, "catalogue": catalogue}
    got, served = judge.ask(call), judge.ask(Call("interests", users, call.numbers))
    close_to(judge, got, {"loss": loss_from(served, call)})


@check("backend-R13", draws=trainings(steps=1), stem="training", share=0.5)
def a_step_is_adam_on_the_gradients_of_the_loss(judge: Judge, call: Call) -> None:
    """The first step is that of Adam on the gradients which the backend gives for the batch."""
    params, (batch,), catalogue = call.arrays.values()
    arrays = {"params": params, "batch": batch, "catalogue": catalogue}
    config = {"config": call.numbers["config"]}
    got, gradients = judge.ask(call), judge.ask(Call("loss", arrays, config))
    close_to(judge, got, after_adam(gradients, call))


@check("backend-R15", draws=trainings(steps=3), stem="training", share=0.5)
def a_training_goes_on_from_what_its_state_says(judge: Judge, call: Call) -> None:
    """Begun anew after a step, from the parameters and moments said, it ends in the same bytes."""
    judge.equal(judge.ask(call.change(pause=1)), judge.ask(call))


def backend_of(judge: Judge) -> Any:
    """Return the backend that is judged; what is planted to be caught is none."""
    return getattr(judge.subject, "backend", None)


def attempt(judge: Judge, backend: Any, x: Array) -> Any:
    """Return an array after both conversions; what they raise is a failure of the check."""
    try:
        return backend.to_numpy(backend.from_numpy(x))
    except STRANGE as error:
        raise Broken(f"raised {type(error).__name__}: {error}", judge.evidence()) from error


def kind(x: Any) -> str:
    """Return in words what an array is."""
    shape, dtype = getattr(x, "shape", ""), getattr(x, "dtype", "")
    return f"{type(x).__name__} {dtype}{shape}"


def close_to(judge: Judge, got: Got, wanted: Mapping[str, Array]) -> None:
    """Compare parts of an answer with numbers made of other answers of the same backend."""
    for name, value in wanted.items():
        allowed = 2 * judge.expected(got.call)[name].allowed  # both sides round
        want = Expected(value, allowed)
        judge.close(name, got[name], want, partial(judge.worst, got.call, got.call, name))


def loss_from(served: Got, call: Call) -> Array:
    """Return the loss in float64 of interests that were served."""
    params, batch, catalogue = call.to(np.float64).arrays.values()
    config = call.numbers["config"]
    target, _ = mind.item_vectors(params, batch.target, catalogue)
    negatives, _ = mind.item_vectors(params, batch.negatives, catalogue)
    power = config.power if config.attention == "label" else 0.0
    interests = served["interests"].astype(np.float64)
    user, _ = label_attention.forward(interests, target, served["active"], power=power)
    loss, _ = sampled_softmax.forward(
        *(user, target, negatives, batch.target, *batch[2:]),
        temperature=config.temperature,
        normalise=config.normalise,
    )
    return np.asarray(loss)


def after_adam(gradients: Got, call: Call) -> Mapping[str, Array]:
    """Return the parameters after the first step in float64 on gradients that were given."""
    config = call.numbers["config"]
    after = {n: x.astype(np.float64) for n, x in flatten(call.arrays["params"]).items()}
    optimiser.update(
        after,
        {name: gradients[f"d_{name}"].astype(np.float64) for name in after},
        optimiser.init(after),
        learning_rate=call.numbers["learning_rate"],
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
    )
    return after
