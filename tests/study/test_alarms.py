"""What rings: of every variant exactly the invariants that its entry lists, of the library none."""

from __future__ import annotations

from typing import Any

import pytest

from mindref.study import variants
from mindref.study.gradients.ledger import ledger_of
from mindref.study.run import Given, trace_of
from mindref.study.variants import scenes
from mindref.study.variants.alarms import PROBES, alarms, probed, ringing
from mindref.study.worlds.world import choose, open_world, pair
from tests.study import small


def user(seed: int = 0, **changes: Any) -> Given:
    settings = {"interests": 4, "width": 8, "iterations": 3, "routing_gradient": "all"}
    return Given(*small.given(seed, **{**settings, **changes}))


def kinds(given: Given, name: str) -> set[str]:
    entry = variants.find(name)
    return {alarm.kind for alarm in alarms(scenes.set_up(given, entry.scene), entry)}


@pytest.mark.parametrize("name", variants.names())
def test_the_listed_alarms_are_exactly_those_that_ring(name: str) -> None:
    entry = variants.find(name)
    assert kinds(user(), name) == set(entry.alarms)
    assert bool(entry.silent) == (not entry.alarms)


@pytest.mark.parametrize("name", variants.names())
@pytest.mark.parametrize(
    "changes", [{"routing_gradient": "last"}, {"interest_count": "fixed"}, {"normalise": True}]
)
def test_another_user_lets_no_other_alarm_ring(name: str, changes: dict[str, Any]) -> None:
    assert kinds(user(1, **changes), name) <= set(variants.find(name).alarms)


@pytest.mark.parametrize("setting", small.SETTINGS)
@pytest.mark.slow(every=3)
def test_nothing_rings_for_the_library(setting: str) -> None:
    given = user(0, **{**small.SETTINGS[setting]})
    assert ringing(trace_of(given)) == ()
    for name in variants.names():
        scene = variants.find(name).scene
        assert ringing(trace_of(scenes.set_up(given, scene))) == (), name


@pytest.mark.parametrize("setting", ["paper", "default", "unit"])
def test_no_probe_fails_for_the_library(setting: str) -> None:
    assert probed(user(0, **small.SETTINGS[setting]), None) == ()


def test_logits_that_are_all_zero_make_equal_interests_and_no_alarm() -> None:
    given = user(0)
    histories = given.batch.histories
    zero = histories._replace(init_logits=0 * histories.init_logits)
    assert probed(given._replace(batch=given.batch._replace(histories=zero)), None) == ()


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("zeros-as-logits", {"distinct"}),
        ("batch-summed-logits", {"asked-again", "after-another-user"}),
        ("redrawn-at-every-call", {"asked-again", "after-another-user", "more-padding"}),
        ("mask-after-softmax", {"more-padding"}),
        ("stop-gradient", {"slope"}),
        ("softmax-over-behaviours", set()),
    ],
)
def test_what_takes_two_passes_is_found_by_a_probe(name: str, failing: set[str]) -> None:
    entry = variants.find(name)
    here = scenes.set_up(user(power=2.0), entry.scene)
    assert {a.kind for a in probed(here, entry.mistake, entry.gradient)} == failing


def test_every_variant_is_found_one_way_or_the_other() -> None:
    for case in variants.bench(user()):
        assert case.alarms or case.probes, case.entry.name


@pytest.mark.slow
def test_every_probe_fails_for_somebody() -> None:
    found = {probe.kind for case in variants.bench(user()) for probe in case.probes}
    assert found == {probe.name for probe in PROBES}


def built_in(rule: str = "median") -> Given:
    world = open_world()
    model = world.model
    batch = pair(world, choose(world, rule).user).batch
    return Given(model.params, batch, model.catalogue, model.config)


@pytest.mark.slow
def test_the_built_in_user_shows_every_variant_and_all_its_alarms() -> None:
    for case in variants.bench(built_in()):
        assert case.differs, case.entry.name
        assert {alarm.kind for alarm in case.alarms} == set(case.entry.alarms), case.entry.name


def test_the_ledger_of_the_built_in_user_adds_up() -> None:
    for by in ("m", "S", "e"):
        found = ledger_of(built_in(), by)
        assert found.residual < 1e-9
        assert found.last_residual < 1e-9
        assert all(row.check.error < 1e-6 for row in found.rows)
        assert all(row.check.checked == row.closed.size for row in found.rows)
