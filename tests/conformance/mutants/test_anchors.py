"""An edit at an anchor changes the one statement that the anchor names, and nothing else."""

import ast
import textwrap

import pytest

from mindref.conformance.mutants.anchors import Edit, apply_edits, read_edits
from mindref.conformance.mutants.source_units import labels_of

SOURCE = textwrap.dedent(
    '''\
    """A module."""

    LIMIT = 3  # page-R9


    class Saved:
        """What is kept."""

        x: int  # page-R8

        @property
        def double(self):
            return 2 * self.x


    # page-R7
    @cached
    def forward(x, y, *, n=1):
        """Return a sum."""
        x = where(x, 0)  # 1, page-R1, R2
        if x is None:  # page-R3: refused
            raise ShapeError("x")
        elif y is None:
            raise TypeError("y")
        # page-R4, R5
        total = add(
            x,
            y,
        )
        for turn in range(n):  # page-R6
            total += x
            check(total)
        text = """two
    lines"""
        with quiet():
            try:
                return total
            except ValueError:  # page-R10
                return x
    '''
)


def change(at, text, place="new", statements=1):
    """Return the lines that an edit removes and the lines that it adds, without indentation."""
    edited = apply_edits(SOURCE, [Edit("f.py", at, text, place, statements)])
    ast.parse(edited)
    before, after = SOURCE.split("\n"), edited.split("\n")
    while before and after and before[0] == after[0]:
        before.pop(0), after.pop(0)
    while before and after and before[-1] == after[-1]:
        before.pop(), after.pop()
    removed, added = ("\n".join(filter(None, map(str.strip, x))) for x in (before, after))
    return removed, added


DEF = "def forward(x, y, *, n=1):"
TOTAL = "total = add(\nx,\ny,\n)"
TEXT = 'text = """two\nlines"""'


@pytest.mark.parametrize(
    ("at", "text", "removed", "added"),
    [
        ("module: page-R9", "LIMIT = 4", "LIMIT = 3  # page-R9", "LIMIT = 4  # page-R9"),
        ("Saved: x =", "x: float", "x: int  # page-R8", "x: float  # page-R8"),
        ("Saved.double: return", "return self.x", "return 2 * self.x", "return self.x"),
        ("Saved.double: @property", "@cached", "@property", "@cached"),
        ("Saved.double: @property", "", "@property", ""),
        ("forward: page-R1", "", "x = where(x, 0)  # 1, page-R1, R2", "# 1, page-R1, R2"),
        ("forward: page-R7", "def forward(x):", DEF, "def forward(x):"),
        ("forward: def", "def forward(x):", DEF, "def forward(x):"),
        (
            "forward: page-R3",
            "if not x:",
            "if x is None:  # page-R3: refused",
            "if not x:  # page-R3: refused",
        ),
        ("forward: elif", "elif y:", "elif y is None:", "elif y:"),
        ("forward: elif", "", 'elif y is None:\nraise TypeError("y")', ""),
        ("forward: raise 2", "pass", 'raise TypeError("y")', "pass"),
        ("forward: raise TypeError", "", 'raise TypeError("y")', "pass"),
        ("forward: page-R5", "total = x", TOTAL, "total = x"),
        ("forward: page-R4 total =", "total = x", TOTAL, "total = x"),
        (
            "forward: for turn",
            "for turn in range(3):",
            "for turn in range(n):  # page-R6",
            "for turn in range(3):  # page-R6",
        ),
        ("forward: total +=", "total -= x", "total += x", "total -= x"),
        ("forward: check(", "", "check(total)", ""),
        ("forward: text =", 'text = """a\nb"""', TEXT, 'text = """a\nb"""'),
        (
            "forward: page-R10",
            "except KeyError:",
            "except ValueError:  # page-R10",
            "except KeyError:  # page-R10",
        ),
        ("forward: return total", "return 0", "return total", "return 0"),
    ],
)
def test_an_edit_replaces_the_named_statement(at, text, removed, added):
    assert change(at, text) == (removed, added)


def test_a_compound_statement_is_replaced_with_its_body():
    removed, added = change("forward: with", "return x")
    assert removed.startswith("with quiet():\ntry:")
    assert added == "return x"


def test_statements_are_inserted_before_and_after():
    assert change("forward: total +=", "a = 1\nb = 2", "before") == ("", "a = 1\nb = 2")
    assert change("forward: page-R1", "a = 1", "after") == ("", "a = 1")
    assert change("forward: def", "a = 1", "before") == ("", "a = 1")


def test_a_run_of_statements_is_replaced():
    removed = "total += x\ncheck(total)"
    assert change("forward: total +=", "", statements=2) == (removed, "pass")
    with pytest.raises(ValueError, match="fewer than 3 statements follow"):
        change("forward: total +=", "", statements=3)


@pytest.mark.parametrize("at", ["forward: elif", "forward: except", "Saved.double: @property"])
def test_a_branch_or_decorator_begins_no_run_of_statements(at):
    message = f"f.py: '{at}': `statements` needs a statement, not a branch or decorator"
    with pytest.raises(ValueError, match=message):
        change(at, "", statements=2)


def test_several_edits_look_up_their_anchors_before_any_edit():
    edits = [
        Edit("f.py", "forward: total =", "a = 1", "before"),
        Edit("f.py", "forward: total =", "b"),
    ]
    assert "    a = 1\n    b\n" in apply_edits(SOURCE, edits)
    edits = [Edit("f.py", "forward: for", "pass"), Edit("f.py", "forward: check(", "")]
    with pytest.raises(ValueError, match="overlap"):
        apply_edits(SOURCE, edits)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("forward: raise", "f.py: 2 statements of 'forward' match 'raise'; exactly one must match"),
        ("forward: raise 3", "f.py: 2 statements of 'forward' match 'raise 3'"),
        ("forward: page-R99", "f.py: 0 statements of 'forward' match 'page-R99'"),
        ("backward: return", "f.py: there is no function or class 'backward'"),
        ("forward", "'forward' is not of the form 'FUNCTION: ANCHOR'"),
    ],
)
def test_an_anchor_must_match_exactly_one_statement(at, message):
    with pytest.raises(ValueError, match=message):
        change(at, "pass")


def test_a_text_that_is_no_statement_raises():
    with pytest.raises(ValueError, match="'forward: total =': the new text is no statement"):
        change("forward: total =", "if x:")


def test_an_edit_of_a_table_has_one_text():
    assert read_edits({"at": "f.py::f: if", "new": "x"}) == (Edit("f.py", "f: if", "x"),)
    both = {"edits": [{"at": "f.py::f: if", "after": "x"}, {"at": "g: if", "new": ""}]}
    assert read_edits(both) == (Edit("f.py", "f: if", "x", "after"), Edit("f.py", "g: if", ""))
    assert read_edits({"at": "f: if", "new": "x"}, "f.py") == (Edit("f.py", "f: if", "x"),)
    with pytest.raises(ValueError, match="one of new, before, after"):
        read_edits({"at": "f.py::f: if", "new": "x", "after": "y"})
    with pytest.raises(ValueError, match="`at` with a file"):
        read_edits({"at": "f: if", "new": "x"})


def test_a_comment_abbreviates_labels():
    labels = ["routing-R2", "routing-R9", "numerics-R4"]
    assert labels_of("# 2, routing-R2, R9: and numerics-R4") == labels
