"""The values of the placeholders in the table of steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from mindref.config import Config

LENGTH_TEXTS = {
    "squash": "a capsule is shorter than 1",
    "unit": "a capsule is no longer than 1",
    "none": "a capsule may have any length",
}


class TraceContext(NamedTuple):
    """Settings and sizes of the traced model."""

    config: Config
    iterations: int
    layers: int
    width: int
    profile: tuple[int, int]  # features, width of each; (0, 0) without
    optimiser_step: int
    top: int  # items of the recommended list
    items: int  # of the catalogue
    traced_items: int  # items in the trace of serving
    features: int  # table rows of an item

    @property
    def flags(self) -> set[str]:
        """Return the flags that remove steps."""
        flags = {
            "no_profile": not self.profile[0],
            "plain": not self.config.normalise,
            "no_gaps": self.config.effective_power == float("inf"),
        }
        return {name for name, holds in flags.items() if holds}


def model_values(context: TraceContext) -> dict[str, Any]:
    """Return the placeholders that do not depend on the iteration."""
    config = context.config
    power = config.effective_power
    moving = 0 < power < float("inf")  # the weights of the interests have a gradient
    over_interests = config.routing_axis == "interests"
    last, one = f"[{context.layers}]", "1" if config.normalise else ""
    return {
        "r": context.iterations,
        "layers": context.layers,
        "last": ("x" if config.last_relu else "y") + last,
        "d_last": f"d_x{last}",
        "over": "k" if over_interests else "i",
        "over_name": "interests" if over_interests else "films",
        "each_name": "film" if over_interests else "interest",
        "where": "mask:i" if over_interests else "active:k",
        "K": config.interests,
        "rule": config.interest_count,
        "squash": config.squash,
        "longest": "inf" if config.squash == "none" else "1",
        "length_text": LENGTH_TEXTS[config.squash],
        "p": power,
        "shares": "one_hot(s:k; active:k)"
        if power == float("inf")
        else "softmax(c:k; active:k; over=k)",
        "q": "q" + one,
        "t": "t" + one,
        "neg": "neg" + one,
        "v": "v" + one,
        "d_mixed": "d_v.mixed" if moving else "d_v",
        "query": " + d_query:d" if moving else "",
        "profile": "; p:gq" if context.profile[0] else "",
        "width": context.width,
        "features": context.profile[0],
        "sigma": config.sigma,
        "temperature": config.temperature,
        "rate": config.learning_rate,
        "beta1": config.beta1,
        "beta2": config.beta2,
        "epsilon": config.epsilon,
        "step": context.optimiser_step,
        "reach": largest_adam_move(context),
        "n": context.top,
        "last_item": context.items - 1,
        "window": config.window,
    }


def largest_adam_move(context: TraceContext) -> float:
    """Return the largest change of a number in one Adam step (Kingma and Ba 2015, section 2.1)."""
    config = context.config
    return config.learning_rate * max(1.0, (1 - config.beta1) / (1 - config.beta2) ** 0.5)


def numbered_values(context: TraceContext, number: int) -> dict[str, Any]:
    """Return the placeholders that depend on the iteration or layer."""
    config = context.config
    over = config.routing_axis == "interests"
    rectified = config.last_relu or number < context.layers
    inner = "w[t]:ij d_w[t]:ij" if over else "w[t]:lk d_w[t]:lk"
    last_only = config.routing_gradient == "last"
    paths = [f"from_z[{context.iterations}]:id"]
    for r in range(context.iterations - 1, 0, -1):
        paths += [] if last_only else [f"from_a[{r}]:id", f"from_z[{r}]:id"]
    return {
        # number 0: the step interests.join returns the input of layer 1
        "in": "input" if number <= 1 else f"hidden-{number - 1}",
        "out": "width" if number == context.layers else f"hidden-{number}",
        "through": "passed_through(d_x[t]:kn; y[t]:kn)" if rectified else "d_x[t]:kn",
        "later": "" if number == context.iterations else "d_b[t+1]:ik + ",
        "d_softmax": f"w[t]:ik d_w[t]:ik - w[t]:ik {inner}",
        "paths": " + ".join(paths),
    }


def fill_placeholders(text: str, context: TraceContext, number: int) -> str:
    """Return a text of the table with the placeholders replaced."""
    if "{" in text:
        text = text.format_map({**model_values(context), **numbered_values(context, number)})
    for back, shift in (("[t+1]", 1), ("[t-1]", -1), ("[t]", 0)):
        text = text.replace(back, f"[{number + shift}]")
    return text
