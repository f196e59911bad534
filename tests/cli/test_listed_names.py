"""Names that the help lists without importing NumPy equal those of the library."""

from mindref.backend import OPERATORS
from mindref.cli import train
from mindref.data import splits
from mindref.ops import OPS


def test_the_command_offers_exactly_the_split_protocols():
    assert train.PROTOCOLS == splits.PROTOCOLS


def test_the_contract_of_a_backend_lists_every_operator():
    assert tuple(OPS) == OPERATORS
