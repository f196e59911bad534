"""The implementation under test: one function from a call to an answer.

Spec: specs/backend.md. The backend does the arithmetic; `backend_answers` calls its members.
"""

from __future__ import annotations

from typing import Any, Protocol

from mindref.backend import Capabilities
from mindref.conformance.runner import backend_answers
from mindref.conformance.runner.call import Answer, Call


class Implementation(Protocol):
    """An object whose method `answer` runs a call and returns the result."""

    name: str

    def answer(self, call: Call) -> Answer:
        """Return the parts of the answer by name."""


class BackendImplementation:
    """A backend as an implementation."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.name = str(backend.name)
        self.claims: Capabilities = backend.capabilities()

    def answer(self, call: Call) -> Answer:
        """Call the member of the backend that answers this call."""
        fields: dict[str, Any] = {"stem": call.stem, "arrays": call.arrays, "numbers": call.numbers}
        fields |= {"d_out": call.cotangent, "gradients": call.differentiable}
        return backend_answers.answer_call(self.backend, fields)
