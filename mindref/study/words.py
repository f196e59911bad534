"""What the builder puts in the braces of the table: facts of the configuration and of the round."""

from __future__ import annotations

from typing import Any, NamedTuple

from mindref.config import Config

LENGTHS = {
    "squash": "a capsule is shorter than 1",
    "unit": "a capsule is no longer than 1",
    "none": "a capsule may have any length",
}


class About(NamedTuple):
    """What is known before the first step."""

    config: Config
    rounds: int
    layers: int
    width: int
    profile: tuple[int, int]  # features, width of each; (0, 0) without
    optimiser_step: int
    top: int  # items of the list that serving makes
    items: int  # of the catalogue
    shown: int  # of them, when they are served
    features: int  # rows of the table that an item may have

    @property
    def flags(self) -> set[str]:
        """Return what makes steps vanish."""
        found = {
            "no_profile": not self.profile[0],
            "plain": not self.config.normalise,
            "no_gaps": self.config.power == float("inf") and self.config.attention == "label",
        }
        return {name for name, holds in found.items() if holds}


def words(about: About) -> dict[str, Any]:
    """Return what does not depend on the round."""
    config = about.config
    power = config.power if config.attention == "label" else 0.0
    moving = 0 < power < float("inf")  # the weights of the interests have a gradient
    over_interests = config.routing_axis == "interests"
    last, one = f"[{about.layers}]", "1" if config.normalise else ""
    return {
        "R": about.rounds,
        "L": about.layers,
        "last": ("x" if config.last_relu else "y") + last,
        "d_last": f"d_x{last}",
        "over": "j" if over_interests else "i",
        "over_name": "interests" if over_interests else "behaviours",
        "each_name": "behaviour" if over_interests else "interest",
        "where": "mask:i" if over_interests else "active:j",
        "K": config.interests,
        "rule": config.interest_count,
        "squash": config.squash,
        "longest": "inf" if config.squash == "none" else "1",
        "length_text": LENGTHS[config.squash],
        "p": power,
        "shares": "one_hot(s:j; active:j)"
        if power == float("inf")
        else "softmax(g:j; active:j; over=j)",
        "q": "q" + one,
        "t": "t" + one,
        "neg": "neg" + one,
        "d_mixed": "d_u.mixed" if moving else "d_u",
        "query": " + d_query:d" if moving else "",
        "profile": "; p:gq" if about.profile[0] else "",
        "width": about.width,
        "G": about.profile[0],
        "rate": config.learning_rate,
        "beta1": config.beta1,
        "beta2": config.beta2,
        "epsilon": config.epsilon,
        "step": about.optimiser_step,
        "reach": reach(about),
        "n": about.top,
        "last_item": about.items - 1,
        "window": config.window,
    }


def reach(about: About) -> float:
    """Return the most that Adam moves a number in one step: see Kingma and Ba 2015, section 2.1."""
    config = about.config
    return config.learning_rate * max(1.0, (1 - config.beta1) / (1 - config.beta2) ** 0.5)


def turn_words(about: About, turn: int) -> dict[str, Any]:
    """Return what depends on the round or layer."""
    config = about.config
    over = config.routing_axis == "interests"
    rectified = config.last_relu or turn < about.layers
    inner = "w[r]:ik d_w[r]:ik" if over else "w[r]:lj d_w[r]:lj"
    last_only = config.routing_gradient == "last"
    paths = [f"from_sums[{about.rounds}]:id"]
    for r in range(about.rounds - 1, 0, -1):
        paths += [] if last_only else [f"from_agreement[{r}]:id", f"from_sums[{r}]:id"]
    return {
        "in": "input" if turn == 1 else f"hidden-{turn - 1}",
        "out": "width" if turn == about.layers else f"hidden-{turn}",
        "through": "passed_through(d_x[r]:jn; y[r]:jn)" if rectified else "d_x[r]:jn",
        "later": "" if turn == about.rounds else "d_b[r+1]:ij + ",
        "d_softmax": f"w[r]:ij d_w[r]:ij - w[r]:ij {inner}",
        "paths": " + ".join(paths),
    }


def fill(text: str, about: About, turn: int) -> str:
    """Return a text of the table with its words and rounds filled in."""
    if "{" in text:
        text = text.format_map({**words(about), **turn_words(about, turn)})
    for back, shift in (("[r+1]", 1), ("[r-1]", -1), ("[r]", 0)):
        text = text.replace(back, f"[{turn + shift}]")
    return text
