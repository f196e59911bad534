"""T8: of every variant, the alarms that are listed are the invariants that fail."""

from __future__ import annotations

import re

import pytest

from mindref.study import variants
from mindref.study.run import trace_of
from mindref.study.terminal.bench import variant_view
from mindref.study.variants import scenes
from tests.study.terminal.conftest import Said, Studied

ALARM = re.compile(r" alarm  no longer true: (.*?)  \(residual[^)]*\)(?:  at (.*))?")


def listed(user: Studied, name: str) -> set[tuple[str, str]]:
    """Return step and text of every alarm that is shown; probes stand at no step."""
    lines = [line.text for line in variant_view(user.trace, user.given, name, 4000)]
    found = [match for line in lines if (match := ALARM.fullmatch(line))]
    assert len(found) == sum(line.startswith(" alarm") for line in lines)
    assert bool(found) or any(line.startswith(" no alarm  ") for line in lines)
    return {
        (step, text)
        for text, steps in (m.groups() for m in found)
        if steps
        for step in steps.split(", ")
    }


def failing(user: Studied, name: str) -> set[tuple[str, str]]:
    """Return step and text of every invariant that the variant breaks, traced anew."""
    entry, modules = variants.find(name), variants.built(name)
    given = scenes.set_up(user.given, entry.scene)
    scenes.before(given, entry.scene, modules)
    trace = trace_of(given, modules=modules)
    return {
        (step.id, each.text)
        for step in trace.steps
        for each in step.invariants
        if not each.residual <= each.tolerance
    }


@pytest.mark.parametrize("name", variants.names())
@pytest.mark.slow(every=5)
def test_t8_the_alarms_are_the_invariants_that_fail(name: str, film_club: Studied) -> None:
    assert listed(film_club, name) == failing(film_club, name)


def test_t8_the_reference_rings_no_alarm(film_club: Studied) -> None:
    assert all(each.holds for step in film_club.trace.steps for each in step.invariants)


def test_t8_where_it_was_seen_is_said(said: Said) -> None:
    text = said("v softmax-over-behaviours", columns=200)
    for seen in variants.find("softmax-over-behaviours").seen:
        assert f"{seen.repository}, at commit {seen.commit} of {seen.date}" in text
    assert "reference" in text
    assert text.count("variant") > 2


def test_t8_every_variant_of_a_step_is_one_of_the_bench(film_club: Studied, said: Said) -> None:
    named = {name for step in film_club.trace.steps for name in step.variants}
    assert named <= set(variants.names())
    text = said("g routing[1].weights", "v")
    assert "> softmax-over-behaviours" in text
    assert all(name in text for name in variants.names())
