"""Every setting of a run, with unit, range and source; everything resolved, nothing implicit.

Spec: specs/model.md, specs/data.md and specs/optimiser.md give the meaning; this file gives the
ranges. `Config.of` takes a preset and changes, refuses unknown names and values out of range.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mindref.errors import ConfigError, say, written
from mindref.presets import PRESETS


def number(default: float, low: float, high: float, text: str, of: tuple[str, ...] = ()) -> Any:
    """Declare a number in [low, high]; of: the families that know it, all if none is named."""
    return field(default=default, metadata={"low": low, "high": high, "text": text, "of": of})


def choice(default: str, options: tuple[str, ...], text: str, of: tuple[str, ...] = ()) -> Any:
    """Declare one of several words; of: as for a number."""
    return field(default=default, metadata={"options": options, "text": text, "of": of})


def plain(default: Any, text: str, of: tuple[str, ...] = ()) -> Any:
    """Declare a setting whose type is its only check; of: as for a number."""
    return field(default=default, metadata={"text": text, "of": of})


MODELS = (
    "mind",
    "mind_plus",
    "youtube_dnn",
    "maxmf",
    "wals",
    "item_knn",
    "popularity",
    "random",
)


LAYERS = ("hidden", "attention_hidden")
MOST_LAYERS, WIDEST = 64, 65_536
PLUS, KNN = ("mind_plus",), ("item_knn",)
LEARNING = ("mind", "mind_plus", "youtube_dnn")


@dataclass(frozen=True)
class Config:
    """The settings of one run: the defaults follow the evidence, the preset `paper` the paper.

    Each has the effect that its text says (model-R29).
    """

    # the model (specs/model.md)
    model: str = choice("mind", MODELS, "family of models (specs/README.md)")
    interests: int = number(4, 1, 64, "K, the most interests a user has")
    width: int = number(64, 1, 4096, "d, width of items and interests")
    window: int = number(10, 1, 10_000, "L, most recent behaviours given to routing")
    iterations: int = number(6, 1, 100, "r, rounds of routing")
    sigma: float = number(0.1, 0, 1e6, "standard deviation of the initial logits")
    logits: str = choice(
        "keyed", ("keyed", "fixed", "per_call"), "how initial logits are drawn (specs/routing.md)"
    )
    interest_count: str = choice("log2", ("log2", "fixed"), "K' from the history length, or K")
    routing: str = choice("dynamic", ("dynamic", "uniform"), "coupling weights")
    routing_axis: str = choice("interests", ("interests", "behaviours"), "softmax of the logits")
    routing_gradient: str = choice("last", ("last", "all"), "gradient through the rounds")
    squash: str = choice("squash", ("squash", "unit", "none"), "length of a capsule")
    hidden: tuple[int, ...] = plain(
        (256,),
        "widths of the ReLU layers before the last, comma separated: up to 64, 1 to 65536",
    )
    last_relu: bool = plain(False, "rectify the last layer too")
    attention: str = choice(
        "label",
        ("label", "mean", "pooled"),
        "how interests are read in training; pooled: mind_plus alone",
    )
    power: float = number(float("inf"), 0, float("inf"), "p of label-aware attention")
    sharpness: float = number(
        1.0, 0, float("inf"), "attention pooled: from the mean (0) to the maximum (inf)", PLUS
    )
    recency: str = choice(
        "none",
        ("none", "shared", "interests"),
        "learned weights by age: none, the same for all interests, or for each",
        ("mind_plus", "youtube_dnn"),
    )
    votes: str = choice(
        "matrix", ("matrix", "items"), "what behaviours say: S e, or their item vectors", PLUS
    )
    head: str = choice(
        "layers",
        ("layers", "residual", "none"),
        "capsules to interests: by the layers, those added to the capsule, or as they are",
        PLUS,
    )
    contexts: int = number(0, 0, 64, "pooled vectors joined to each capsule", PLUS)
    dropout: float = number(0.0, 0, 0.99, "share of behaviours' entries left out in training", PLUS)
    score: str = choice("max", ("max", "sum"), "score of an item from the interests, at serving")
    loss: str = choice("sampled", ("sampled", "full"), "softmax over negatives or the catalogue")
    temperature: float = number(1.0, 1e-6, 1e6, "divides the products in the loss", LEARNING)
    normalise: bool = plain(
        False, "user and item vectors of length one in loss and serving", LEARNING
    )
    ranking: str = choice(
        "warp", ("warp", "auc"), "loss of pairs: weighted by the rank, or all alike", ("maxmf",)
    )
    similarity: str = choice(
        "bm25", ("bm25", "tfidf", "cosine"), "weights of users in the similarity of items", KNN
    )
    neighbours: int = number(500, 1, 1_000_000, "most similar items that are kept of each", KNN)
    k1: float = number(1.2, 0, 1e6, "of bm25: how soon more users of an item count less", KNN)
    b: float = number(0.25, 0, 1, "of bm25: how much long histories count less", KNN)
    regularization: float = number(10.0, 0, 1e6, "of the least squares", ("wals",))
    confidence: float = number(10.0, 0, 1e6, "in what a user met, beside 1 for the rest", ("wals",))
    sweeps: int = number(15, 1, 10_000, "rounds of least squares", ("wals",))
    fade: float = number(
        1.0, 1e-6, 1, "weight of a behaviour, for each that follows it", ("wals", *KNN)
    )
    item_features: tuple[str, ...] = plain((), "item features averaged into the item vector")
    user_features: tuple[str, ...] = plain((), "user features joined to each capsule")
    profile_width: int = number(8, 1, 4096, "width of the vector of a user feature")

    # negatives and training (specs/data.md, specs/optimiser.md)
    negatives: int = number(512, 1, 10_000_000, "negatives that a batch shares")
    sampler: str = choice(
        "unigram", ("unigram", "log_uniform", "uniform", "in_batch"), "distribution of negatives"
    )
    alpha: float = number(0.75, 0, 10, "unigram: power of the item's count")
    cuts: str = choice(
        "event", ("event", "user"), "training cuts uniform over events or over users"
    )
    batch: int = number(512, 1, 1_000_000, "samples of a step")
    steps: int = number(3000, 1, 1_000_000_000, "steps of training at the most")
    learning_rate: float = number(5e-3, 0, 100, "of Adam at the first step")
    decay: str = choice("linear", ("linear", "none"), "learning rate over the steps")
    beta1: float = number(0.9, 0, 0.999999, "Adam: decay of the first moment")
    beta2: float = number(0.999, 0, 0.9999999, "Adam: decay of the second moment")
    epsilon: float = number(1e-8, 1e-30, 1, "Adam: added to the root of the second moment")
    initial: float = number(
        1.0, 0, 1e3, "size of vectors and S before training, 1 / sqrt(d) being one", LEARNING
    )
    evaluate_every: int = number(500, 1, 1_000_000_000, "steps of an epoch: validate and save")
    patience: int = number(
        0, 0, 1_000_000, "epochs without a better validation before stopping; 0: never"
    )
    metric: str = plain("hit_rate@50", "validation metric that chooses the best epoch")
    validation_users: int = number(
        10_000, 1, 1_000_000_000, "users of the validation set at the most"
    )
    seed: int = number(0, 0, 2**63 - 1, "of everything random")
    dtype: str = choice("float32", ("float32", "float64"), "type of parameters and arithmetic")
    backend: str = plain("numba", "who computes: a registered name or module:object")

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            value = coerce(setting, getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)  # frozen, but not yet given away
            check(setting, value)
            if value != setting.default and not concerns(setting, self.model):  # model-R36
                families = " or ".join(setting.metadata["of"])
                expected = f"{setting.default}, or --model {families}"
                raise ConfigError(say(setting.name, expected, value))
        if self.loss == "sampled" and self.sampler == "in_batch" and self.batch == 1:
            # the only sample would be compared with itself: a loss of zero, no gradient
            raise ConfigError(say("batch", "at least 2 samples for the sampler in_batch", 1))
        if self.head == "none" and (self.contexts or self.user_features):  # mind_plus-R13
            expected = "layers or residual, to make use of contexts and user features"
            raise ConfigError(say("head", expected, "none"))
        if self.attention == "pooled" and self.model not in PLUS:
            raise ConfigError(say("attention", "label or mean, or --model mind_plus", "pooled"))

    @classmethod
    def of(cls, preset: str = "default", changes: Mapping[str, Any] | None = None) -> Config:
        """Return a preset with changes. Raises ConfigError for an unknown name or a bad value."""
        if preset not in PRESETS:
            raise ConfigError(say("preset", " or ".join(PRESETS), preset))
        settings = {**PRESETS[preset], **(changes or {})}
        known = {setting.name: setting for setting in dataclasses.fields(cls)}
        for name in settings:
            if name not in known:  # model-R27
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise ConfigError(say("configuration", "a known setting", name, hint))
        return cls(**settings)

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> Config:
        """Return the settings of a file; those that their family does not know have their defaults.

        A default may have changed since, of a setting that meant nothing to the run.
        """
        known = known_settings(settings.get("model", cls.model))
        foreign = {x.name for x in dataclasses.fields(cls)} - known
        return cls.of("default", {k: x for k, x in settings.items() if k not in foreign})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; infinity becomes the word inf."""
        values = dataclasses.asdict(self)
        return {k: "inf" if v == float("inf") else v for k, v in values.items()}  # model-R28

    def own(self) -> dict[str, Any]:
        """Return plain values of the settings that the family knows: what a file keeps."""
        known = known_settings(self.model)
        return {name: value for name, value in self.to_dict().items() if name in known}


def concerns(setting: dataclasses.Field[Any], model: str) -> bool:
    """Return whether a family of models knows a setting."""
    of = setting.metadata.get("of", ())
    return not of or model in of


def known_settings(model: str) -> set[str]:
    """Return the names of the settings that a family of models knows."""
    return {x.name for x in dataclasses.fields(Config) if concerns(x, model)}


def coerce(setting: dataclasses.Field[Any], value: Any) -> Any:
    """Return value in the type of the setting's default, from TOML, JSON or the command line."""
    kind = type(setting.default)
    try:
        if kind is tuple:
            return tuple(ITEMS[str(setting.type)](x) for x in listed(value))
        return CONVERT[kind](value)
    except (TypeError, ValueError, OverflowError) as error:  # model-R26
        got = written(value, quoted=True)
        raise ConfigError(say(setting.name, WORDS[kind], got)) from error


def listed(value: Any) -> Any:
    """Return the parts of a comma separated text; a list as it is, and no table."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Mapping):
        raise TypeError
    return value


def truth(value: Any) -> bool:
    """Return true or false as it is; a number or a word is neither."""
    if not isinstance(value, bool):
        raise TypeError
    return value


def whole(value: Any) -> int:
    """Return a whole number exactly, 3 for 3.0 and for "3"; a fraction or true raises."""
    number = int(value)
    if isinstance(value, bool) or not (isinstance(value, str) or number == value):
        raise ValueError
    return number


def real(value: Any) -> float:
    """Return a number, infinity included; true is none."""
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def word(value: Any) -> str:
    """Return a text as it is; anything else raises."""
    if not isinstance(value, str):
        raise TypeError
    return value


CONVERT: dict[type, Callable[[Any], Any]] = {bool: truth, int: whole, float: real, str: word}
ITEMS: dict[str, Callable[[Any], Any]] = {"tuple[int, ...]": whole, "tuple[str, ...]": word}
WORDS = {
    tuple: "a list, or values separated by commas",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
}


def check(setting: dataclasses.Field[Any], value: Any) -> None:
    """Raise ConfigError unless value lies in the setting's range."""
    meta = setting.metadata
    if "options" in meta and value not in meta["options"]:  # model-R25
        raise ConfigError(say(setting.name, " or ".join(meta["options"]), repr(value)))
    if "low" in meta and not meta["low"] <= value <= meta["high"]:  # model-R25; refuses NaN, too
        raise ConfigError(say(setting.name, f"{meta['low']} to {meta['high']}", value))
    if setting.name in LAYERS and not (
        len(value) <= MOST_LAYERS and all(1 <= width <= WIDEST for width in value)
    ):
        expected = f"at most {MOST_LAYERS} widths from 1 to {WIDEST:,}"
        raise ConfigError(say(setting.name, expected, ",".join(map(written, value))))
