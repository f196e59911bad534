"""The backend: all operators, and levels 2 and 3 composed of them.

Spec: specs/backend.md, specs/model.md and specs/optimiser.md. `routing`, `label_attention` and
`sampled_softmax` use the operators `softmax` and `squash` of the same backend.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mindref.backend import CONCURRENCY, OPERATORS, OPTIONS, Capabilities
from mindref.config import Config
from mindref.models.parameters import (
    Catalogue,
    Gradients,
    Layer,
    Params,
    flatten,
    flatten_gradients,
    unflatten,
)
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Bools, Ints
from mindref.training.optimiser import State
from tests.conformance.independent.argument_checks import (
    check_axes,
    check_floats,
    check_masks,
    check_rows,
)
from tests.conformance.independent.embedding import Embedding, EmbeddingSaved
from tests.conformance.independent.label_attention import LabelAttention
from tests.conformance.independent.relu_layer import ReluLayer, ReluSaved
from tests.conformance.independent.routing import Routing, RoutingSaved
from tests.conformance.independent.sampled_softmax import SampledSoftmax
from tests.conformance.independent.softmax import Softmax
from tests.conformance.independent.squash import Squash

Tables = dict[str, Any]
"""Arrays by the name of the parameter."""


class TowerSaved(NamedTuple):
    items: EmbeddingSaved
    profile: EmbeddingSaved
    routing: RoutingSaved
    layers: list[ReluSaved]
    active: Bools
    mask: Bools
    profile_shape: tuple[int, int]  # of the profile vectors that were looked up


class TrainingState:
    """Parameters and moments by name, and the number of steps."""

    def __init__(self, params: Tables, first: Tables, second: Tables, step: int) -> None:
        self.params, self.first, self.second, self.step = params, first, second, step


class IndependentBackend:
    """A right backend. A fault replaces the class of one operator, or a method of this class."""

    name = "independent"
    operators: ClassVar[dict[str, Any]] = {}  # classes that replace those of operators
    concurrency: tuple[str, ...] = CONCURRENCY

    def __init__(self) -> None:
        def make(stem: str, standard: Any, *arguments: Any) -> Any:
            return self.operators.get(stem, standard)(*arguments)

        softmax, squash = make("softmax", Softmax), make("squash", Squash)
        self.ops = SimpleNamespace(
            embedding=make("embedding", Embedding),
            softmax=softmax,
            squash=squash,
            routing=make("routing", Routing, softmax, squash),
            relu_layer=make("relu_layer", ReluLayer),
            label_attention=make("label_attention", LabelAttention, softmax),
            sampled_softmax=make("sampled_softmax", SampledSoftmax, squash),
        )

    def capabilities(self) -> Capabilities:
        levels = ("ops", "model", "train", "serve")
        return Capabilities(OPERATORS, levels, options=OPTIONS, concurrency=self.concurrency)

    def to_numpy(self, x: Any) -> Any:
        return x

    def from_numpy(self, x: Any) -> Any:
        return x

    # level 2

    def interests(
        self, params: Params, histories: Any, catalogue: Catalogue, config: Config
    ) -> tuple[Array, Bools]:
        interests, saved = self.tower_forward(params, histories, catalogue, config)
        return interests, saved.active

    def loss_and_gradients(
        self, params: Params, batch: Any, catalogue: Catalogue, config: Config
    ) -> tuple[Any, Gradients]:
        ops = self.ops
        interests, of_tower = self.tower_forward(params, batch.histories, catalogue, config)
        target, of_target = self.embed_items(params, batch.target, catalogue)
        negatives, of_negatives = self.embed_items(params, batch.negatives, catalogue)
        power = config.power if config.attention == "label" else 0.0
        user, of_attention = ops.label_attention.forward(
            interests, target, of_tower.active, power=power
        )
        loss, of_loss = ops.sampled_softmax.forward(
            user,
            target,
            negatives,
            batch.target,
            batch.negatives,
            batch.target_log_expected,
            batch.negative_log_expected,
            temperature=config.temperature,
            normalise=config.normalise,
        )
        d_user, d_target, d_negatives = ops.sampled_softmax.backward(1.0, of_loss)
        d_interests, d_query = ops.label_attention.backward(d_user, of_attention)
        uses = [
            ops.embedding.backward(d_negatives, of_negatives),
            ops.embedding.backward(d_target + d_query, of_target),
        ]
        d_behaviours, profile, bilinear, layers = self.tower_backward(d_interests, of_tower)
        items = join_row_gradients([*uses, d_behaviours])
        return loss, Gradients(items, profile, bilinear, layers)

    def embed_items(self, params: Params, ids: Ints, catalogue: Catalogue) -> tuple[Array, Any]:
        check_rows("items", ids, len(catalogue.rows))
        rows, weights = catalogue.rows[ids], catalogue.weights[ids]
        return self.ops.embedding.forward(params.items, rows, weights)

    def behaviour_ids(self, items: Ints, mask: Bools) -> Ints:
        return items[mask]

    def read_bilinear(self, bilinear: Array) -> Array:
        return bilinear

    def repeat_profile(self, profile: Array, interests: int) -> Array:
        """Return the profile (B, P) of each user for each interest (B, K, P)."""
        users, width = profile.shape
        return np.broadcast_to(profile[:, None, :], (users, interests, width))

    def profile_backward(self, d_profile: Array, active: Bools) -> Array:
        return d_profile.sum(axis=1)

    def active_interests(self, mask: Bools, config: Config) -> Bools:
        lengths = mask.sum(axis=1)
        if config.interest_count == "log2":
            floor_log2 = np.frexp(np.maximum(lengths, 1).astype(np.float64))[1] - 1
            num_active = np.clip(floor_log2, 1, config.interests)
        else:
            num_active = np.where(lengths > 0, config.interests, 1)
        return np.arange(config.interests)[None, :] < num_active[:, None]

    def tower_forward(
        self, params: Params, histories: Any, catalogue: Catalogue, config: Config
    ) -> tuple[Array, TowerSaved]:
        ops, mask = self.ops, histories.mask
        users, length = mask.shape
        behaviours = self.behaviour_ids(histories.items, mask)
        vectors, of_items = self.embed_items(params, behaviours, catalogue)
        history = np.zeros((users, length, vectors.shape[1]), vectors.dtype)
        history[mask] = vectors
        rows = histories.profile.reshape(-1, 1)
        ones = np.ones(rows.shape, params.profile.dtype)
        profile, of_profile = ops.embedding.forward(params.profile, rows, ones)
        profile_shape = profile.shape
        profile = profile.reshape(users, histories.profile.shape[1] * profile.shape[1])
        active = self.active_interests(mask, config)
        is_dynamic, logits = config.routing == "dynamic", histories.init_logits
        capsules, of_routing = ops.routing.forward(
            history,
            mask,
            self.read_bilinear(params.bilinear),
            logits if is_dynamic else np.zeros(logits.shape, logits.dtype),
            active,
            iterations=config.iterations if is_dynamic else 1,
            gradient=config.routing_gradient,
            axis=config.routing_axis,
            kind=config.squash,
        )
        count = capsules.shape[1]
        joined = np.concatenate([capsules, self.repeat_profile(profile, count)], axis=2)
        x: Any = joined.reshape(users * count, joined.shape[2])
        of_layers = []
        for index, layer in enumerate(params.layers):
            relu = config.last_relu or index + 1 < len(params.layers)
            x, of_layer = ops.relu_layer.forward(x, layer.weight, layer.bias, relu=relu)
            of_layers.append(of_layer)
        interests = np.where(active[:, :, None], x.reshape(users, count, x.shape[1]), 0)
        saved = TowerSaved(of_items, of_profile, of_routing, of_layers, active, mask, profile_shape)
        return interests, saved

    def tower_backward(self, d_interests: Array, saved: TowerSaved) -> tuple[Any, ...]:
        """Return the gradients of the behaviours, the profile table, S and the layers."""
        ops, active = self.ops, saved.active
        users, count, width = d_interests.shape
        d_x: Any = np.where(active[:, :, None], d_interests, 0).reshape(users * count, width)
        layers = []
        for of_layer in reversed(saved.layers):
            d_x, d_weight, d_bias = ops.relu_layer.backward(d_x, of_layer)
            layers.append(Layer(d_weight, d_bias))
        d_x = d_x.reshape(users, count, d_x.shape[1])
        d_history, d_bilinear, _ = ops.routing.backward(d_x[:, :, :width], saved.routing)
        d_profile = self.profile_backward(d_x[:, :, width:], active)
        profile = ops.embedding.backward(d_profile.reshape(saved.profile_shape), saved.profile)
        behaviours = ops.embedding.backward(d_history[saved.mask], saved.items)
        return behaviours, profile, d_bilinear, tuple(reversed(layers))

    # level 3

    def init(self, params: Params, config: Config, moments: State | None = None) -> TrainingState:
        arrays = {name: np.array(x) for name, x in flatten(params).items()}
        if moments is None:
            first, second = (
                {name: np.zeros_like(x) for name, x in arrays.items()} for _ in range(2)
            )
            return TrainingState(arrays, first, second, 0)
        first = {name: np.array(x) for name, x in moments.first.items()}
        second = {name: np.array(x) for name, x in moments.second.items()}
        return TrainingState(arrays, first, second, int(moments.step))

    def step(
        self,
        state: TrainingState,
        batch: Any,
        catalogue: Catalogue,
        config: Config,
        learning_rate: float,
    ) -> tuple[TrainingState, Any]:
        params = self.parameters(state)
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradients = self.loss_and_gradients(params, batch, catalogue, config)
            by_name = flatten_gradients(gradients)
            if not np.isfinite(loss) or not all(map(has_finite_squares, by_name.values())):
                return state, loss.dtype.type(np.nan)
        self.update_tables(state, by_name, config, learning_rate)
        return state, loss

    def update_tables(
        self, state: TrainingState, gradients: Tables, config: Config, learning_rate: float
    ) -> None:
        state.step += 1
        step = self.correction_step(state)
        root = math.sqrt(1 - config.beta2**step)
        rate = self.read_rate(learning_rate, state) * root / (1 - config.beta1**step)
        for name, gradient in gradients.items():
            self.update_table(name, state, gradient, config, rate, config.epsilon * root)

    def correction_step(self, state: TrainingState) -> int:
        return state.step

    def read_rate(self, learning_rate: float, state: TrainingState) -> float:
        return learning_rate

    def update_table(
        self,
        name: str,
        state: TrainingState,
        gradient: Any,
        config: Config,
        rate: float,
        epsilon: float,
    ) -> None:
        rows: Any = slice(None)
        values = gradient
        if isinstance(gradient, RowGradient):
            rows, values = gradient.rows, gradient.values
        first, second, x = state.first[name], state.second[name], state.params[name]
        m = config.beta1 * first[rows] + (1 - config.beta1) * values
        v = config.beta2 * second[rows] + (1 - config.beta2) * (values * values)
        first[rows], second[rows] = m, v
        x[rows] = x[rows] - rate * (m / (np.sqrt(v) + epsilon))

    def parameters(self, state: TrainingState) -> Params:
        return unflatten(state.params)

    def moments(self, state: TrainingState) -> State:
        return State(state.step, state.first, state.second)

    # level serve

    def scores(self, interests: Array, active: Bools, items: Array) -> Array:
        axes = {"interests": (interests, "BKD"), "active": (active, "BK"), "items": (items, "ND")}
        check_axes("scores", **axes)
        check_floats("scores", interests=interests, items=items)
        check_masks("scores", active=active)
        best = np.full((len(active), len(items)), -np.inf, items.dtype)
        for user, interest in zip(*np.nonzero(active), strict=True):
            best[user] = np.maximum(best[user], items @ interests[user, interest])
        return best


def join_row_gradients(gradients: list[RowGradient]) -> RowGradient:
    """Return the sum of gradients of one table."""
    rows = np.concatenate([gradient.rows for gradient in gradients])
    values = np.concatenate([gradient.values for gradient in gradients])
    return Embedding().sum_rows(rows, values)


def has_finite_squares(gradient: Any) -> bool:
    values = gradient.values if isinstance(gradient, RowGradient) else gradient
    return bool(np.isfinite(values * values).all())
