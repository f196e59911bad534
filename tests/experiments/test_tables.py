"""The tables of a result."""

from mindref.experiments import tables

HEAD = {
    "format": "mindref experiment 2",
    "mindref": "1.0",
    "command": "mindref compare log.csv --out o",
    "data": {
        "log": "ab" * 32, "users": 9, "items": 1234, "interactions": 50, "split": "leave_last_out",
        "exclude_seen": True, "cases": [1000, 1000],
    },
    "seeds": [0, 1],
    "statistics": {
        "resamples": 2000, "confidence": 0.95,
        "intervals": ["bootstrap over users", "t over seeds"],
        "test": "sign flips over users", "adjusted": "Holm", "depth": 100,
    },
}  # fmt: skip


def difference_rows(percent):
    row = {"difference": 0.05, "low": 0.04, "high": 0.06, "percent": percent}
    return {f"hit_rate@{n}": {**row, "p": 0.04, "p_holm": 1e-7} for n in (10, 20, 50, 100)}


def make_arm(label, **options):
    trials = [{"settings": {}, "validation": 0.1, "diverged": ""}]
    expected = {"label": label, "settings": {"window": 5}, "trials": trials, "chosen": 0}
    estimate = {"value": 0.3, "low": 0.29, "high": 0.31, "sd": 0.002}
    metrics = {f"hit_rate@{n}": estimate for n in (10, 20, 50, 100)}
    results = {"metrics": metrics, "against": None}
    return {**expected, **results, "verdict": "base", "runs": label, **options}


COMPARED = {
    **HEAD,
    "kind": "compare",
    "lengths": [10, 20, 50, 100],
    "opponent": "b|c",
    "tuning": {"trials": 3, "metric": "hit_rate@50", "seed": 0, "cases": "validation"},
    "arms": [
        make_arm("b|c"),
        make_arm("mind", against=difference_rows(20.0)),
        make_arm("none", against=difference_rows(None)),
        make_arm("wild", metrics=None, chosen=None),
    ],
}
ABLATED = {
    **HEAD,
    "kind": "ablate",
    "lengths": [10, 50],
    "studies": [
        {
            "name": "sigma", "title": "Sigma of $5", "question": "?", "base": "x",
            "arms": [
                make_arm("x"),
                make_arm("y", against=difference_rows(20.0), verdict="better"),
                make_arm("z", metrics=None, verdict="no result"),
            ],
        }
    ],
}  # fmt: skip


def test_a_comparison_has_a_table_of_changes_one_of_intervals_and_one_of_trials():
    changes, intervals, tuning = tables.result_tables(COMPARED)
    assert changes.heads == ("model", "HR@10", "HR@50", "HR@100")
    rows = [": ".join(row[:2]) for row in changes.rows]
    assert rows == ["b|c: 0.3000", "mind: 0.3000 (+20.00)", "none: 0.3000", "wild: diverged"]
    assert "1,000 test cases (leave_last_out), unseen items of 1,234 ranked" in changes.title
    assert len(intervals.rows) == 3 * 4
    assert intervals.rows[4] == (
        "mind", "10", "0.3000 [0.2900, 0.3100]", "0.0020",
        "+0.0500 [+0.0400, +0.0600]", "0.040", "1e-07",
    )  # fmt: skip
    assert "95%, bootstrap over users, t over seeds; p:" in intervals.notes[0]
    notes = tables.result_tables({**COMPARED, "seeds": [0]})[1].notes
    assert "one seed: the intervals exclude the variance" in notes[1]
    texts = [tables.format_p(p) for p in (0.0, 3e-60, 2e-40, 1e-7, 0.04, 1.0)]
    assert texts == ["<1e-40", "<1e-40", "2e-40", "1e-07", "0.040", "1.000"]
    assert "3 trials per model" in tuning.notes[0]
    assert "validation cases with seed 0 only" in tuning.notes[0]
    assert tuning.rows[0] == ("b|c", "1", "window 5", "0.1000")
    assert tuning.rows[3][3] == "diverged"


def test_the_ablation_table_has_effect_and_verdict():
    (sheet,) = tables.result_tables(ABLATED)
    assert [row[:5] + row[-1:] for row in sheet.rows] == [
        ("sigma", "x", "0.3000", "", "", "base"),
        ("sigma", "y", "0.3000", "+0.0500 [+0.0400, +0.0600]", "1e-07", "better"),
        ("sigma", "z", "diverged", "", "", "no result"),
    ]
    (estimates,) = tables.result_tables({**ABLATED, "seeds": [0]})
    assert (sheet.heads[-1], estimates.heads[-1]) == ("verdict", "verdict (one seed)")
