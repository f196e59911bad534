"""The alarms of a variant are exactly the invariants that fail."""

import re

import pytest

from mindref.study import variants
from mindref.study.record import instrument_reference
from mindref.study.terminal.compare import format_variant
from mindref.study.tracing import trace_pair
from mindref.study.variants import setups

ALARM = re.compile(r" alarm  no longer true: (.*?)  \(residual[^)]*\)(?:  at (.*))?")


def printed_alarms(user, name):
    """Return step and text of every printed alarm; a probe has no step."""
    lines = [line.text for line in format_variant(user.trace, user.inputs, name, 4000)]
    matches = [match for line in lines if (match := ALARM.fullmatch(line))]
    assert len(matches) == sum(line.startswith(" alarm") for line in lines)
    assert bool(matches) or any(line.startswith(" no alarm  ") for line in lines)
    return {
        (step, text)
        for text, steps in (m.groups() for m in matches)
        if steps
        for step in steps.split(", ")
    }


def failing_invariants(user, name):
    """Return step and text of every invariant that fails in a new trace of the variant."""
    entry = variants.find_variant(name)
    copies = instrument_reference(entry.mutant)
    inputs = setups.apply_setup(user.inputs, entry.setup)
    setups.serve_other_user(inputs, entry.setup, copies.modules)
    trace = trace_pair(inputs, copies=copies)
    return {
        (step.id, invariant.text)
        for step in trace.steps
        for invariant in step.invariants
        if not invariant.residual <= invariant.tolerance
    }


@pytest.mark.parametrize("name", variants.variant_names())
@pytest.mark.slow(every=5)
def test_the_alarms_are_the_invariants_that_fail(name, film_club):
    assert printed_alarms(film_club, name) == failing_invariants(film_club, name)


def test_the_reference_breaks_no_invariant(film_club):
    assert all(x.holds for step in film_club.trace.steps for x in step.invariants)


def test_the_repositories_of_a_variant_are_printed(run_commands):
    text = run_commands("v softmax-over-behaviours", columns=200)
    for source in variants.find_variant("softmax-over-behaviours").seen:
        assert f"{source.repository}, at commit {source.commit} of {source.date}" in text
    assert "reference" in text
    assert text.count("variant") > 2


def test_every_variant_of_a_step_is_in_the_list(film_club, run_commands):
    of_steps = {name for step in film_club.trace.steps for name in step.variants}
    assert of_steps <= set(variants.variant_names())
    text = run_commands("g routing[1].weights", "v")
    assert "> softmax-over-behaviours" in text
    words = " ".join(text.split())
    for name in variants.variant_names():
        assert f"{name} {variants.find_variant(name).title}" in words
