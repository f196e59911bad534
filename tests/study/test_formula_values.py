"""The formulas of the pages, evaluated on random arrays, are the reference operators."""

import re

import numpy as np
import pytest

from mindref.ops import label_attention, relu_layer, routing, sampled_softmax, softmax, squash
from mindref.study import formulas
from mindref.study.latex import parse_formula
from mindref.training import optimiser
from tests.assertions import assert_close
from tests.study import formula_program
from tests.study.formula_program import FormulaProgram

USERS, BEHAVIOURS, INTERESTS, WIDTH, NEGATIVES = 3, 5, 4, 6, 7
STEP = re.compile(r"^forward \d+$")


def draw_normal(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)


def page_steps(page, *numbers, section="forward"):
    return [f"{page} {section} {number}" for number in numbers]


def squash_jacobian(z):
    """Return the derivative of squash, a symmetric matrix."""
    _, saved = squash.forward(np.tile(z, (len(z), 1)))
    return squash.backward(np.eye(len(z)), saved)


def check_squash():
    for scale in (0.1, 5.0):
        x, g = scale * draw_normal(WIDTH), draw_normal(WIDTH)
        program = FormulaProgram({}, I=np.eye(WIDTH), x=x, g=g)
        program.run(*page_steps("squash", 1, 2, 3, 4), "squash forward")
        program.run(*(f"squash backward Together.{n}" for n in (3, 4, 2, 5, 6, 7, 8)))
        out, saved = squash.forward(x)
        assert_close(program.array("u"), out)
        assert_close(program.array("d_x"), squash.backward(g, saved))
        assert_close(program.array("J") @ g, squash.backward(g, saved))


def check_softmax():
    entries = range(BEHAVIOURS)
    logits, mask, g = draw_normal(BEHAVIOURS), np.arange(BEHAVIOURS) != 2, draw_normal(1, 5)[0]
    program = FormulaProgram({"j": entries, "i": entries}, b=logits, q=mask, g=np.where(mask, g, 0))
    program.run(*page_steps("softmax", 1, 2, 3, 4, 5))
    program.run(*page_steps("softmax", "5 and 4", 3, section="backward"))
    weights, saved = softmax.forward(logits, mask, axis=0)
    assert_close(program.array("w"), weights)
    assert_close(program.array("d_c"), softmax.backward(g, saved))


def check_label_attention():
    v, e, g = draw_normal(1, INTERESTS, WIDTH), draw_normal(1, WIDTH), draw_normal(WIDTH)
    ranges = {"k": range(INTERESTS), "j": range(INTERESTS)}
    program = FormulaProgram(ranges, v=v[0], e=e[0], g=g, p=1.7)
    program.run(*page_steps("label_attention", 1, 2, 3, 4))
    program.run(*page_steps("label_attention", "2 without overflow.1", "2 without overflow.2"))
    program.run("label_attention backward 4.1")
    program.run(*page_steps("label_attention", 3, 2, 1, section="backward"))
    out, saved = label_attention.forward(v, e, np.ones((1, INTERESTS), bool), power=1.7)
    d_v, d_e = label_attention.backward(g[None], saved)
    assert_close(program.array("o"), out[0])
    assert_close(program.array("d_v"), d_v[0])
    assert_close(program.array("d_e"), d_e[0])


def run_routing(axis, gradient):
    """Return a program after two iterations and the backward pass of one user, and the arrays."""
    arrays = [draw_normal(1, BEHAVIOURS, WIDTH), np.ones((1, BEHAVIOURS), bool),
              draw_normal(WIDTH, WIDTH), draw_normal(1, BEHAVIOURS, INTERESTS)]  # fmt: skip
    ranges = {"i": range(BEHAVIOURS), "l": range(BEHAVIOURS), "k": range(INTERESTS),
              "j": range(INTERESTS), "users": range(1)}  # fmt: skip
    functions = {"squash": lambda z: squash.forward(z)[0], "J": squash_jacobian}
    program = FormulaProgram(ranges, functions, e=arrays[0][0], S=arrays[2], r=2)
    program.values["b"] = {(i, k, 1): x for (i, k), x in np.ndenumerate(arrays[3][0])}
    is_paper = axis == "interests"
    weights = "routing forward 2" if is_paper else 'routing option axis="behaviours"'
    for t in (1, 2):
        program.run(weights, *page_steps("routing", 3, 4, *[5] * (t == 1)), t=t)
    d_out = draw_normal(1, INTERESTS, WIDTH)
    program.values["d_u"] = {(k, 2): d_out[0, k] for k in range(INTERESTS)}
    program.values["d_b"] = {(i, k, 3): 0.0 for (i, k) in np.ndindex(BEHAVIOURS, INTERESTS)}
    if gradient == "last":
        last = {key[:2]: w for key, w in program.values["w"].items() if key[2] == 2}
        program.values["w_bar"] = last
        program.run('routing backward gradient="last".2')
    else:
        for t in (2, 1):
            steps = [*["5.1", "5.2"] * (t == 1), 4, "3.1", "3.2", "2.1" if is_paper else "2.2"]
            program.run(*page_steps("routing", *steps, section="backward"), t=t)
    program.run(*page_steps("routing", "1.1", "1.2", section="backward"))
    return program, arrays, d_out


def check_routing(axis="interests", gradient="all"):
    program, arrays, d_out = run_routing(axis, gradient)
    active = np.ones((1, INTERESTS), bool)
    options = {"iterations": 2, "gradient": gradient, "axis": axis}
    capsules, saved = routing.forward(*arrays, active, **options)
    d_e, d_S, d_logits = routing.backward(d_out, saved)
    assert_close([program.values["u"][k, 2] for k in range(INTERESTS)], capsules[0])
    for (i, k, t), weight in program.values["w"].items():
        assert_close(weight, saved.iterations[t - 1].weights.out[0, i, k])
    assert_close(program.array("d_e"), d_e[0])
    assert_close(program.array("d_S"), d_S)
    if gradient == "all":
        first = {key: x for key, x in program.values["d_b"].items() if key[2] == 1}
        assert_close(list(first.values()), d_logits[0].ravel())


def run_user(arrays, user, normalise):
    """Return the program of sampled_softmax for one user, after forward and backward."""
    x, target, negatives, ids, drawn_ids, log_e, log_s = arrays
    program = FormulaProgram(
        {"s": range(NEGATIVES)}, u=x[user], t=target[user], n=negatives, tau=0.7,
        i_t=ids[user], i=drawn_ids, E_t=np.exp(log_e[user]), E=np.exp(log_s), d_loss=1 / USERS,
    )  # fmt: skip
    program.run("sampled_softmax forward 2")
    program.run("sampled_softmax forward 3", replace=True)
    program.run("sampled_softmax forward 4")
    logits = program.array("z")
    program.store_arrays(m=logits.max(), r=np.logaddexp.reduce(logits))
    program.run("sampled_softmax forward 4 without overflow", "sampled_softmax backward")
    program.run("sampled_softmax backward 4")
    program.run(*(f"sampled_softmax backward 2.{n}" for n in (1, 2, 3, 4)))
    return program


def check_sampled_softmax():
    arrays = (
        draw_normal(USERS, WIDTH), draw_normal(USERS, WIDTH)[::-1], draw_normal(NEGATIVES, WIDTH),
        np.arange(USERS), np.arange(NEGATIVES) + 1, draw_normal(USERS), draw_normal(NEGATIVES),
    )  # fmt: skip
    programs = [run_user(arrays, user, False) for user in range(USERS)]
    batch = FormulaProgram(
        {"b": range(USERS), "s": range(NEGATIVES)}, u=arrays[0], B=USERS,
        loss=np.array([x.values["loss"][()] for x in programs]),
        d_c=np.array([x.array("d_c") for x in programs]),
    )  # fmt: skip
    batch.run("sampled_softmax forward 5", "sampled_softmax backward 2.5")
    out, saved = sampled_softmax.forward(*arrays, temperature=0.7)
    d_user, d_target, d_negatives = sampled_softmax.backward(1.0, saved)
    assert_close(batch.array("out"), out)
    assert_close([x.array("d_u") for x in programs], d_user)
    assert_close([x.array("d_t") for x in programs], d_target)
    assert_close(batch.array("d_n"), d_negatives)


def check_unit_length():
    x, g = draw_normal(WIDTH), draw_normal(1, WIDTH)[0]
    program = FormulaProgram({}, x=x, d_x_hat=g)
    program.run("sampled_softmax forward 1", "sampled_softmax backward 1")
    unit, saved = sampled_softmax.to_unit_length(x, normalise=True)
    assert_close(program.array("x_hat"), unit)
    assert_close(program.array("d_x"), sampled_softmax.to_unit_length_backward(g, saved))


def check_relu_layer():
    x, weight, bias = draw_normal(USERS, WIDTH), draw_normal(WIDTH, 2), draw_normal(2)
    g = draw_normal(USERS, 2)
    ranges = {"m": range(USERS), "i": range(WIDTH), "o": range(2)}
    program = FormulaProgram(ranges, x=x, W=weight, c=bias, g=g)
    program.run(*page_steps("relu_layer", 1, 2))
    program.run(*page_steps("relu_layer", 2, 1, section="backward"))
    out, saved = relu_layer.forward(x, weight, bias, relu=True)
    assert_close(program.array("y"), out)
    for name, expected in zip("xWc", relu_layer.backward(g, saved), strict=True):
        assert_close(program.array(f"d_{name}"), expected)


def check_optimiser():
    params = {"theta": draw_normal(WIDTH)}
    state = optimiser.init(params)
    numbers = {"eta": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 0.05}
    names = {"eta": "learning_rate", "beta_1": "beta1", "beta_2": "beta2", "epsilon": "epsilon"}
    settings = {names[letter]: x for letter, x in numbers.items()}
    zeros = np.zeros(WIDTH)
    program = FormulaProgram({}, m=zeros, v=zeros, theta=params["theta"].copy(), **numbers)
    for t in (1, 2, 3):
        g, before = draw_normal(t, WIDTH)[-1], program.array("theta")
        program.store_arrays(t=t, g=g)
        program.run("optimiser forward.1", "optimiser forward.2", replace=True)
        program.run(*page_steps("optimiser", 1, 2, 3))
        program.run("optimiser forward.4", "optimiser forward.5", replace=True)
        state = optimiser.update(params, {"theta": g}, state, **settings)
        for letter, expected in (("m", state.first), ("v", state.second), ("theta", params)):
            assert_close(program.array(letter), expected["theta"])
        (latex,) = formulas.find_formulas("optimiser forward.3")
        move = program.evaluate(parse_formula(latex, "optimiser").parts)
        assert_close(before + move, params["theta"])


CHECKS = {
    name.removeprefix("check_"): check
    for name, check in globals().copy().items()
    if name.startswith("check_")
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_formulas_of_a_page_are_the_operator(name):
    CHECKS[name]()


@pytest.mark.parametrize(("axis", "gradient"), [("behaviours", "all"), ("interests", "last")])
def test_the_formulas_of_an_option_of_routing_are_the_operator(axis, gradient):
    check_routing(axis, gradient)


def test_every_numbered_formula_of_the_forward_sections_is_evaluated(monkeypatch):
    evaluated = set()

    def find_and_note(reference):
        evaluated.add(re.sub(r"\.\d$", "", reference))
        return formulas.find_formulas(reference)

    monkeypatch.setattr(formula_program, "find_formulas", find_and_note)
    for check in CHECKS.values():
        check()
    pages = formulas.load_formulas()
    steps = {f"{x} {name}" for x in CHECKS if x in pages for name in pages[x] if STEP.search(name)}
    assert steps - evaluated == {"routing forward 1"}, "step 1 of routing has no equals sign"


@pytest.mark.parametrize(
    ("page", "name", "text", "mistake"),
    [
        ("squash", "forward 3", "n^2 /", "n^3 /"),
        ("squash", "backward Together", "- a a", "+ a a"),
        ("softmax", "forward 5", "/ s", "s"),
        ("softmax", "backward 3", "w_i (", "("),
        ("label_attention", "forward 2", "^p", "^{p-1}"),
        ("label_attention", "backward 4", r"\langle g", r"7 \langle g"),
        ("routing", "forward 5", "b_{ik}^{(t)} + a", "a"),
        ("routing", "backward 2", "d_{b_{ik}}^{(t+1)} + ", ""),
        ("sampled_softmax", "forward 2", r"/ \tau - \log E_s", r"- \log E_s"),
        ("sampled_softmax", "backward 2", r"d_y / \tau", "d_y"),
        ("relu_layer", "forward 2", "0", "1"),
        ("relu_layer", "backward 2", r"\gt", r"\le"),
        ("optimiser", "forward 2", "g^2", "g^4"),
        ("optimiser", "forward 3", r" + \varepsilon'", ""),
    ],
)  # fmt: skip
def test_a_wrong_formula_is_noticed(page, name, text, mistake, monkeypatch):
    latex = formulas.load_formulas()[page][name]
    wrong = [x.replace(text, mistake) for x in latex]
    assert wrong != latex
    monkeypatch.setitem(formulas.load_formulas()[page], name, wrong)
    with pytest.raises(AssertionError):
        CHECKS[page]()
