"""Every way to a step leads to the same state; symbols and questions."""

import pytest

from tests.assertions import nonempty

pytestmark = pytest.mark.slow
STATE = """() => [document.querySelector('#step .position code').textContent,
  [...document.querySelectorAll('#step .results td[data-index]')].map(x => x.dataset.value).join(),
  document.querySelector('#step .results').textContent,
  document.querySelector('#step-list [aria-current]').dataset.step,
  document.querySelector('#slider').value,
  new URLSearchParams(location.hash.slice(1)).get('step')]"""


@pytest.fixture(scope="module")
def expected(shared):
    """The state at each step, reached by its address."""
    states = []
    for step in shared.steps():
        shared.at(step=step)
        states.append(shared.page.evaluate(STATE))
    return states


def test_the_address_leads_to_each_step(shared, expected):
    steps = shared.steps()
    assert [state[0] for state in expected] == steps
    assert [state[3] for state in expected] == steps
    assert [state[4] for state in expected] == [str(n + 1) for n in range(len(steps))]
    assert len({state[1] for state in expected}) > 0.9 * len(steps)


NEXT = {
    "next": "document.querySelector('#next').click()",
    "key": "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))",
    "letter": "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'n'}))",
    "slider": """(s => { s.value = Number(s.value) + 1; s.dispatchEvent(new Event('input')) })
        (document.querySelector('#slider'))""",
    "rail": """(all => all[all.findIndex(x => x.hasAttribute('aria-current')) + 1].click())
        ([...document.querySelectorAll('#step-list button')])""",
}
PREVIOUS = {
    "previous": "document.querySelector('#previous').click()",
    "left key": "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}))",
}


@pytest.mark.parametrize("way", [*NEXT, *PREVIOUS])
def test_every_way_to_a_neighbour_reaches_the_same_state(shared, expected, way):
    first, *others = expected if way in NEXT else expected[::-1]
    shared.at(step=first[0])
    for state in nonempty(others):
        shared.page.evaluate((NEXT | PREVIOUS)[way])
        assert shared.page.evaluate(STATE) == state


def test_real_keys_work_after_a_click_on_a_step(shared, expected):
    shared.page.click(f"#step-list button[data-step='{expected[3][0]}']")
    shared.page.keyboard.press("ArrowRight")
    assert shared.page.evaluate(STATE) == expected[4]
    shared.page.keyboard.press("End")
    assert shared.page.evaluate(STATE) == expected[-1]
    shared.page.keyboard.press("Home")
    assert shared.page.evaluate(STATE) == expected[0]


def test_a_reload_restores_the_place_the_number_and_the_edits(opened, file, expected):
    page = opened(file, "#ask=0")
    for state in expected[::11]:
        page.at(step=state[0])
        page.reload()
        assert page.page.evaluate(STATE) == state
    page.at(step="routing[2].weights", cell="w[2]@5", edits="set:b[1]:3:2.5;r:4", view="steps")
    before = page.page.inner_text("#columns")
    page.reload()
    assert page.page.inner_text("#columns") == before
    assert "edited" in before


def test_an_unknown_address_opens_the_first_step(opened, file):
    page = opened(file, "#step=nowhere&user=9&cell=zz@4&view=none&ask=0")
    assert page.step() == page.steps()[0]
    assert page.errors == []


@pytest.mark.parametrize(
    "place",
    ["cell=w[2]@-1", "cell=w[2]@1.5", "view=__proto__", "view=toString", "edits=K:-1",
     "edits=r:1e9", "edits=K:2.5", "edits=__proto__:3", "edits=S:abc", "edits=set:w[9]:1:2",
     "edits=;;;", "user=-1"],
)  # fmt: skip
def test_no_address_breaks_the_page(opened, file, place):
    page = opened(file, f"#ask=0&step=routing[2].weights&{place}")
    assert page.selfcheck() == "pass"
    assert page.step() == "routing[2].weights"
    assert page.errors == []


def test_a_reload_restores_a_number_of_an_added_iteration(opened, file):
    page = opened(file, "#ask=0&step=routing[5].weights&edits=r:5&cell=w[5]@3")
    assert page.page.inner_text("#inspector .chosen").startswith("w[5][")
    page.open_details()
    page.page.click("#reset")
    assert page.step() == "routing[3].weights", "the last iteration"
    assert page.page.get_attribute("#step-list [aria-current]", "data-step") == "routing[3].weights"


LINKED = """([symbol, name]) => {
  const button = document.querySelector(`.terms button[data-symbol="${symbol}"]`);
  button.click();
  const pressed = button.getAttribute('aria-pressed');
  return new Promise(done => setTimeout(() => {
    const all = [...document.querySelectorAll('[data-symbol]')];
    const linked = all.filter(x => x.classList.contains('linked'));
    const cells = [...document.querySelectorAll('#step figure.tensor')]
      .filter(x => x.dataset.tensor === name)
      .flatMap(x => [...x.querySelectorAll('td[data-index]')]);
    const found = {
      pressed,
      wrong: linked.filter(x => x.dataset.symbol !== symbol).length,
      missed: all.filter(x => x.dataset.symbol === symbol && !linked.includes(x)).length,
      cells: cells.filter(x => x.classList.contains('linked')).length,
      all: cells.length,
      math: linked.filter(x => x.closest('math')).length,
      entry: linked.filter(x => x.closest('#inspector')).length,
      code: linked.filter(x => x.closest('.code')).length,
    };
    button.click();
    found.left = document.querySelectorAll('.linked').length;
    done(found) })) }"""


def test_a_symbol_marks_its_cells_code_and_entry(shared, trace):
    terms = code = 0
    for step in trace["steps"]:
        shared.at(step=step["id"])
        for symbol, name in step["equation"]["symbols"].items():
            found = shared.page.evaluate(LINKED, [symbol, name])
            where = f"{step['id']} {symbol}"
            assert found["pressed"] == "true", where
            assert found["wrong"] == found["missed"] == found["left"] == 0, where
            assert found["cells"] == found["all"] > 0, where
            assert found["math"] > 0, where
            assert found["entry"] == 1, where
            terms, code = terms + 1, code + bool(found["code"])
    assert terms > 100
    assert code > 0.6 * terms  # the others are not named in the lines that are shown


def test_a_click_on_the_formula_or_the_code_marks_too(shared):
    shared.at(step="routing[1].weights")
    for place in ("#step math [data-symbol=w]", "#step .code [data-symbol=w]"):
        shared.page.dispatch_event(place, "click")
        assert shared.page.query_selector(f"{place}.linked")
        shared.page.dispatch_event(place, "click")


def test_each_formula_is_a_line_with_a_text_for_screen_readers(shared, trace):
    for step in nonempty(trace["steps"]):
        shared.at(step=step["id"])
        lines = step["equation"]["plain"].splitlines()
        assert shared.page.get_attribute("#step math", "alttext") == "; ".join(lines)
        assert len(shared.page.query_selector_all("#step math mtr")) in (len(lines), 0)
        assert len(lines) == 1 or shared.page.query_selector("#step math mtable")


LEGEND = """all => all.map(x => [
  [...x.querySelectorAll('math')].map(y => y.textContent).join(), x.dataset.letters,
  x.querySelector('b').textContent])"""


@pytest.mark.parametrize("edits", ["", "r:5"])
def test_the_legend_shows_each_symbol_as_the_equation_does(shared, edits):
    shared.at(step="routing[2].capsules", edits=edits)
    legend = shared.page.eval_on_selector_all("#step .terms button", LEGEND)
    assert legend == [["uk(t),u", "", "u[2]"], ["zk(t),x", "x", "z[2]"], ["a", "a", "unit[2]"]]
    shared.at(step="routing[4].capsules" if edits else "routing[3].capsules", edits=edits)
    legend = shared.page.eval_on_selector_all("#step .terms button", LEGEND)
    assert legend[2] == ["a", "a", "unit[4]" if edits else "unit[3]"]


def test_the_legend_has_the_constants_of_the_equation(shared):
    shared.at(step="update.S")
    named = shared.page.eval_on_selector_all(
        "#step .constants div", "x => x.map(y => y.textContent.replaceAll('\\n', ' '))"
    )
    assert named[0] == "η′step size with the bias correction"
    assert "ηlearning rate, 0.005" in named


COLOURS = """([symbol, name]) => [...document.querySelectorAll('#step [data-symbol]')]
  .filter(x => x.dataset.symbol === symbol && x.matches('math *, .code .term, .terms button'))
  .map(x => x.style.getPropertyValue('--q'))
  .concat(document.querySelector(`#step figure[data-tensor="${name}"]`)?.style
    .getPropertyValue('--q') ?? [])"""


def test_a_symbol_has_the_colour_of_its_table_everywhere(shared, trace):
    for step in nonempty(trace["steps"]):
        shared.at(step=step["id"])
        for symbol, name in step["equation"]["symbols"].items():
            colours = shared.page.evaluate(COLOURS, [symbol, name])
            assert len(colours) > 1
            assert len(set(colours)) == 1, (step["id"], symbol)


LIT = """() => [...document.querySelectorAll('.lit')].map(x => x.closest('math') ? 'equation'
  : x.matches('.line') ? 'line' : x.closest('.code') ? 'code' : x.closest('#inspector') ? 'entry'
  : x.matches('.terms button') ? 'legend' : x.matches('.name') ? 'table' : x.className)"""


def test_every_symbol_of_a_formula_has_a_button_in_the_legend(shared, trace):
    for step in nonempty(trace["steps"]):
        shared.at(step=step["id"])
        symbols = shared.page.eval_on_selector_all(
            "#step math [data-symbol]", "all => all.map(x => x.dataset.symbol)"
        )
        buttons = shared.page.eval_on_selector_all(
            "#step .terms button", "all => all.map(x => x.dataset.symbol)"
        )
        assert set(symbols) <= set(buttons), step["id"]


@pytest.mark.parametrize(
    "place",
    ["#step figure.tensor .name", "#step .terms [data-symbol=w]"],
)
def test_the_keyboard_focus_highlights_and_enter_marks_a_symbol(shared, place):
    shared.at(step="routing[1].weights")
    shared.page.focus(place)
    assert set(shared.page.evaluate(LIT)) == {
        "equation", "line", "code", "entry", "legend", "table",
    }  # fmt: skip
    shared.page.keyboard.press("Enter")
    assert shared.page.query_selector(f"{place}.linked")
    assert shared.page.query_selector("#step .code .line.linked")
    shared.page.keyboard.press("Space")
    assert shared.page.query_selector(".linked") is None
    shared.page.focus("#theme")
    assert shared.page.query_selector(".lit") is None


def test_a_source_line_marks_the_symbol_that_it_assigns(shared):
    shared.at(step="routing[1].sums")
    line = shared.page.query_selector("#step .code .line.first")
    assert line.inner_text().startswith("z = sum_votes")
    line.dispatch_event("pointerover")
    assert {"equation", "line", "legend", "table"} <= set(shared.page.evaluate(LIT))
    line.dispatch_event("click")
    assert shared.page.query_selector("#step figure[data-tensor='z[1]'] .name.linked")
    line.dispatch_event("click")


def test_a_tap_marks_a_symbol(opened, file):
    page = opened(file, "#ask=0&step=routing[1].weights", has_touch=True,
                  viewport={"width": 400, "height": 800}).page  # fmt: skip
    page.tap("#step math [data-symbol=b]")
    assert page.query_selector("#step .terms [data-symbol=b][aria-pressed=true]")
    page.tap("#step figure.tensor .name")
    assert page.query_selector("#step math [data-symbol=w].linked")


def test_the_pointer_highlights_every_occurrence_of_a_symbol(shared):
    shared.at(step="routing[1].weights")
    shared.page.dispatch_event("#step .terms [data-symbol=b]", "pointerover")
    lit = shared.page.eval_on_selector_all(".lit", "all => all.map(x => x.dataset.symbol)")
    assert len(lit) > 3
    assert set(lit) == {"b"}
    shared.page.dispatch_event("#step-title", "pointerover")
    assert shared.page.query_selector(".lit") is None


def test_a_link_to_a_cell_opens_its_page(shared):
    shared.at(step="serve.scores", cell="score@233")
    assert shared.page.query_selector("#step td[data-index='233'][aria-selected=true]")
    assert "rows 51 to 60 of 60" in shared.text()


def test_numbers_are_hidden_before_an_answer(opened, file, trace):
    asked = [step for step in trace["steps"] if step["question"]]
    assert len(asked) >= 5
    page = opened(file)
    for number, step in enumerate(asked):
        page.at(step=step["id"], ask=1)
        assert page.page.query_selector("#step td[data-index]") is None
        assert page.page.query_selector("#step .results") is None
        assert page.page.query_selector("#step details.input") is None, "b[2] has the answer"
        if number % 3 == 2:
            page.page.click("text=Skip and show the numbers")
        else:
            answer = step["question"]["answer"]
            said = answer if number % 3 == 0 else (answer + 1) % len(step["question"]["choices"])
            page.page.check(f".predict input[value='{said}']")
            page.page.click("text=Answer")
            verdict = page.page.inner_text(".predict")
            assert verdict.startswith("Right." if said == answer else "Wrong.")
            assert step["question"]["choices"][answer] in verdict
        assert page.page.query_selector("#step .results td[data-index]")
        assert page.page.query_selector("#step details.input")
    page.at(step=asked[0]["id"], ask=1)
    assert page.page.query_selector("#step .results"), "an answered question is not asked again"


def test_the_inspector_hides_numbers_of_a_hidden_table(opened, file):
    page = opened(file, "#step=routing[2].weights&cell=w[2]@3")
    assert page.page.query_selector("#inspector [data-value]") is None


LETTERS = """() => {
  const letter = element => {
    const copy = element.cloneNode(true);
    for (const part of [copy, ...copy.querySelectorAll('msub, msubsup')])
      if (part.localName.startsWith('msub')) part.children[1].remove();
    return copy.textContent };
  return [...document.querySelectorAll('#step .math [data-symbol]')].map(element => {
    const button = document.querySelector(
      `.terms button[data-symbol="${CSS.escape(element.dataset.symbol)}"]`);
    const printed = [...button.querySelectorAll('math')].map(x => letter(x.firstElementChild));
    return [letter(element), [...printed, button.querySelector('b').textContent],
      button.textContent] }) }"""


def test_each_letter_of_a_formula_is_in_the_legend(shared):
    several = {}
    for step in shared.steps():
        shared.at(step=step)
        for letter, printed, text in shared.page.evaluate(LETTERS):
            assert letter in printed, (step, letter, text)
            if len(printed) > 2:
                several[step] = text
    assert any("z" in text and "x" in text for text in several.values()), several


COLOUR_OF = """name => [...document.querySelectorAll('#step .terms button')]
  .find(x => x.querySelector('b').textContent === name).style.getPropertyValue('--q')"""


@pytest.mark.parametrize(
    ("step", "names"),
    [("routing[2].weights", ["b[2]", "w[2]"]), ("routing[2].sums", ["w[2]", "Se", "z[2]"]),
     ("routing[2].capsules", ["z[2]", "u[2]"])],
)  # fmt: skip
def test_tensors_of_one_formula_of_routing_have_different_colours(shared, step, names):
    shared.at(step=step)
    colours = [shared.page.evaluate(COLOUR_OF, name) for name in names]
    assert all(colours)
    assert len(set(colours)) == len(names), colours
