"""The routing iterations of the default user of `mindref study`, in a plane and as weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.models import mind
from tests.pictures.builtin_user import builtin_pair, study_model
from tests.pictures.plot import Plot
from tests.pictures.svg import Drawing, Point, mix_colours

ARROW = 5  # drawn length of a capsule of length 1, in the unit of the votes
PANEL = 216  # px
ROW = 22  # px
BARS, BAR = (262, 411, 560), 132  # left ends and width of the bars, px
TABLE = 362  # y of the heading of the bars, px


class UserRouting(NamedTuple):
    """The routing of a user: L behaviours, K active interests, r iterations."""

    titles: list[str]  # (L,)
    shelves: list[str]  # (L,)
    votes: np.ndarray  # (L, 2) in the plane
    couplings: np.ndarray  # (r, L, K)
    capsules: np.ndarray  # (r, K, 2) in the plane
    variance: float  # share of the variance of the votes that the plane displays


def draw() -> Drawing:
    """Return the picture."""
    user = route_user()
    iterations, behaviours, interests = user.couplings.shape
    out = Drawing(
        TABLE + 18 + ROW * behaviours,
        f"{iterations} routing iterations of one user",
        f"{behaviours} films of a user in a plane, and {interests} arrows, the capsules, in"
        f" {iterations} iterations. Films of one shelf are near each other. At first each film"
        " divides its coupling weights among all interests. In the last iteration most films"
        " belong to one interest. Bars below show the coupling weights of each film.",
    )
    out.heading(f"Routing assigns {behaviours} films of one user to {interests} interests")
    for t in range(iterations):
        draw_panel(out, user, t)
    draw_bars(out, user)
    draw_legend(out, user)
    return out


def route_user() -> UserRouting:
    """Return the routing of the user, in the plane in which the votes differ most."""
    pair = builtin_pair()
    _, saved = mind.loss(*pair)
    mask, active = pair.batch.histories.mask[0], saved.interests.active[0]
    votes = saved.interests.routing.votes[0][mask]
    plane = principal_plane(votes)
    steps = saved.interests.routing.iterations
    couplings = np.array([x.weights.out[0][mask][:, active] for x in steps])
    order = np.lexsort((-couplings[-1].max(axis=1), couplings[-1].argmax(axis=1)))
    items = pair.batch.histories.items[0][mask][order]
    groups = study_model().groups
    return UserRouting(
        [study_model().titles[item] for item in items],
        [groups.names[groups.of_item[item]] for item in items],
        votes[order] @ plane,
        couplings[:, order],
        np.array([x.capsules[0][active] @ plane for x in steps]),
        float((votes @ plane).var(axis=0).sum() / votes.var(axis=0).sum()),
    )


def principal_plane(votes: np.ndarray) -> np.ndarray:
    """Return the two principal axes (D, 2) of votes (L, D); the largest entry is positive."""
    axes = np.linalg.svd(votes - votes.mean(axis=0), full_matrices=False)[2][:2].T
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(axes * np.sign(axes[largest, [0, 1]]))


def draw_panel(out: Drawing, user: UserRouting, t: int) -> None:
    """Draw behaviours and capsules of iteration t, from 0, in the plane."""
    corner = (14 + t * (PANEL + 12), 60.0)
    reach = 1.22 * float(np.abs(user.votes).max())
    out.text((corner[0], 50), f"iteration {t + 1}", "ink bold")
    out.rect(corner, (PANEL, PANEL), "soft", radius=6)
    plot = Plot(out, corner, (PANEL, PANEL), (-reach, reach), (-reach, reach))
    for vote, weights in zip(user.votes, user.couplings[t], strict=True):
        kind, colour = int(weights.argmax()) + 1, mix_colours(weights)
        out.marker(kind, plot.point(*vote), "mark", r=5.5, fill=colour)
    draw_shelves(plot, user)
    out.marker(1, plot.point(0, 0), "ink", r=3)
    labels: list[Point] = []
    tips = [plot.point(*(ARROW * capsule)) for capsule in user.capsules[t]]
    for k, capsule in enumerate(user.capsules[t]):
        out.arrow([plot.point(0, 0), tips[k]], f"line s{k + 1}", f"mark f{k + 1}", width=3)
        x, y = plot.point(*(ARROW * capsule + 0.9 * capsule / np.linalg.norm(capsule)))
        occupied = [*tips[:k], *tips[k + 1 :], *labels]
        while any(abs(x - left) < 10 and abs(y - top) < 13 for left, top in occupied):
            y += 2
        labels.append((x, y))
        out.text((x, y + 5), str(k + 1), "ink bold", anchor="middle")


def draw_shelves(plot: Plot, user: UserRouting) -> None:
    """Write the name of each shelf below its films; above, for the highest film."""
    for shelf in sorted(set(user.shelves)):
        votes = user.votes[[name == shelf for name in user.shelves]]
        x, y = plot.point(*votes.mean(axis=0))
        highest = votes[:, 1].max() == user.votes[:, 1].max()
        x = min(max(x, plot.corner[0] + 50), plot.corner[0] + plot.size[0] - 50)
        plot.drawing.text((x, y + (-26 if highest else 28)), shelf, "dim", size=13, anchor="middle")


def draw_bars(out: Drawing, user: UserRouting) -> None:
    """Draw the coupling weights of each behaviour in each iteration as a divided bar."""
    out.text((14, TABLE), "coupling weights", "ink bold")
    for t, left in enumerate(BARS):
        out.text((left, TABLE), f"iteration {t + 1}", "ink bold")
        for i, weights in enumerate(user.couplings[t]):
            draw_bar(out, (left, TABLE + 12 + ROW * i), weights)
    for i, title in enumerate(user.titles):
        out.text((14, TABLE + 26 + ROW * i), title, size=14)


def draw_bar(out: Drawing, corner: tuple[float, float], weights: np.ndarray) -> None:
    """Draw one bar; a part with a weight of at least 0.2 has the number of its interest."""
    left, top = corner
    for k, weight in enumerate(weights):
        width = BAR * float(weight)
        out.rect((left, top), (max(width - 1, 0), ROW - 5), f"f{k + 1}")
        if weight >= 0.2:
            middle = (left + width / 2, top + 13)
            out.text(middle, str(k + 1), "flat bold over", size=13, anchor="middle")
        left += width


def draw_legend(out: Drawing, user: UserRouting) -> None:
    """Explain points and arrows."""
    interests = user.couplings.shape[2]
    for k in range(interests):
        out.marker(k + 1, (24 + 92 * k, 296), f"mark f{k + 1}")
        out.text((36 + 92 * k, 301), f"interest {k + 1}", size=14)
    notes = (
        ((36 + 92 * interests, 301), "shape: largest weight; colour: mixture of weights"),
        (
            (14, 325),
            f"Points: votes S e. Arrows: capsules u, {ARROW} times as long."
            f" Plane: {100 * user.variance:.0f} % of the variance.",
        ),
    )
    for point, note in notes:
        out.text(point, note, "dim", size=14)
