"""Parameters: shapes, initial values, names."""

from itertools import pairwise

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.tolerances import STANDARD_ERRORS
from mindref.models import parameters
from mindref.models.parameters import Gradients, Sizes
from mindref.ops.embedding import RowGradient

SIZES = Sizes(items=300, item_rows=400, profile_rows=250, profile_features=3)
CONFIG = Config.of("mind", {"width": 100, "hidden": [160, 90], "profile_width": 20})


def made(config=CONFIG, sizes=SIZES, seed=0):
    return parameters.init(np.random.default_rng(seed), config, sizes)


@pytest.mark.rules("model-R21")
@pytest.mark.parametrize("hidden", [[], [30], [30, 20]])
@pytest.mark.parametrize(("rows", "features"), [(250, 3), (0, 0)])
def test_the_layers_lead_from_capsule_and_profile_to_the_width(rows, features, hidden):
    config = Config.of("mind", {"width": 8, "hidden": hidden, "profile_width": 5})
    params = made(config, Sizes(300, 400, rows, features))
    widths = [8 + features * 5, *hidden, 8]
    assert [layer.weight.shape for layer in params.layers] == list(pairwise(widths))
    assert [layer.bias.shape for layer in params.layers] == [(o,) for o in widths[1:]]
    assert [x.shape for x in params[:3]] == [(400, 8), (rows, 5), (8, 8)]


@pytest.mark.rules("model-R20")
@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("items", 1 / 100),
        ("profile", 1 / 100),
        ("bilinear", 1 / 100),
        ("layers.0.weight", 2 / 160),
        ("layers.1.weight", 2 / 160),
        ("layers.2.weight", 2 / 90),
    ],
)
def test_weights_start_normal_with_the_variance_of_the_page(name, variance):
    x = parameters.flatten(made())[name].astype(np.float64)
    error = np.sqrt(2 / x.size)  # of a sample variance, relative
    np.testing.assert_allclose(x.var(), variance, rtol=STANDARD_ERRORS * error, err_msg="variance")
    assert abs(x.mean()) < STANDARD_ERRORS * np.sqrt(variance / x.size)
    within = np.mean(np.abs(x) < np.sqrt(variance))
    error = np.sqrt(0.6827 * 0.3173 / x.size)
    np.testing.assert_allclose(
        within, 0.6827, rtol=0, atol=STANDARD_ERRORS * error, err_msg="normal"
    )


@pytest.mark.rules("model-R20")
def test_biases_are_zero_and_a_generator_draws_the_same_parameters_in_either_dtype():
    assert not any(layer.bias.any() for layer in made().layers)
    narrow, same, other = (parameters.flatten(made(seed=s)) for s in (1, 1, 2))
    exact = Config.of("mind", {**CONFIG.to_dict(), "dtype": "float64"})
    wide = parameters.flatten(made(exact, seed=1))
    for name, x in narrow.items():
        assert x.dtype == np.float32
        assert x.tobytes() == same[name].tobytes()
        assert x.tobytes() == wide[name].astype(np.float32).tobytes()
        assert wide[name].dtype == np.float64
        assert name.endswith("bias") or not np.array_equal(x, other[name])


@pytest.mark.rules("model-R22")
def test_parameters_and_gradients_have_one_name_each():
    params = made()
    named = parameters.flatten(params)
    layers = [f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")]
    assert list(named) == ["items", "profile", "bilinear", *layers]
    for name, x in parameters.flatten(parameters.unflatten(named)).items():
        assert x is named[name], name
    rows = RowGradient(np.array([0]), params.items[:1])
    gradients = Gradients(rows, rows, params.bilinear, params.layers)
    assert list(parameters.flatten_gradients(gradients)) == list(named)
    assert parameters.flatten_gradients(gradients)["layers.1.bias"] is params.layers[1].bias
