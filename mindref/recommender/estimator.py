"""The parameters of an estimator, with the interface of scikit-learn, which is not required."""

from __future__ import annotations

from typing import Any, Self

from mindref.config import Config
from mindref.presets import default_protocol

DEFAULT_PRESET = "mind"


class Estimator:
    """Keeps the constructor's arguments as passed, and the settings that they give."""

    config: Config  # every setting: of the parameters, or of the last training
    split: str  # splits the log, unless `fit` names another

    def __init__(self, **params: object) -> None:
        self._params: dict[str, Any] = {}
        self.set_params(**params)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return `preset` and the settings that were passed, with the passed values.

        After `load`, the settings of the run are parameters too. `fit` changes no parameter.
        deep: accepted for scikit-learn, without effect.
        """
        return dict(self._params)

    def set_params(self, **params: object) -> Self:
        """Change `preset` or settings for the next `fit`, and return self.

        Settings that were passed before stay and are applied to the new preset. A trained model is
        not changed. Raises ConfigError, which is a ValueError, for an unknown name or a bad value;
        then nothing is changed.
        """
        changed = {**self._params, **params}
        preset = changed["preset"]
        settings = {name: value for name, value in changed.items() if name != "preset"}
        self.config = Config.of(preset, settings)
        self.split = default_protocol(preset)
        self._params = changed
        return self

    def _use_settings(self, config: Config) -> None:
        """Add the settings of a run to the parameters, so that they give all its settings."""
        base = Config.of(self._params["preset"]).to_dict()
        settings = {k: x for k, x in config.to_dict().items() if x != base[k]}
        self.set_params(**{**settings, **self.get_params()})

    def __repr__(self) -> str:
        """Return the call that makes this estimator: what differs from the preset.

        After a `fit` with a start, `config` has the settings of the training, not this call.
        """
        preset = self._params["preset"]
        base, values = Config.of(preset).to_dict(), self.config.to_dict()
        changed = [f"{k}={values[k]!r}" for k in self._params if k in base and values[k] != base[k]]
        words = [f"preset={preset!r}"] * (preset != DEFAULT_PRESET) + changed
        return f"{type(self).__name__}({', '.join(words)})"
