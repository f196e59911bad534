"""The routing iterations of a user of the built-in model, in a plane and as weights."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from mindref.models import mind
from mindref.study.models.user_rules import MIN_BEHAVIOURS
from tests.pictures.builtin_user import builtin_pair, study_model
from tests.pictures.plot import Plot
from tests.pictures.svg import Drawing, Point, mix_colours

INTERESTS = 3  # active interests of the user
ARROW = 5  # drawn length of a capsule of length 1, in the unit of the votes
LABEL = 13  # distance of a number from its arrow, px
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


@cache
def separated_user() -> int:
    """Return the user with the most separated coupling weights.

    Each of the three active interests must have the largest weight of a film in the last iteration.
    Of these users, the mean of the films' largest weights is largest for this user.
    """
    separation = {}
    for user in np.flatnonzero(study_model().histories.lengths >= MIN_BEHAVIOURS):
        pair = builtin_pair(int(user))
        _, saved = mind.loss(*pair)
        active = np.flatnonzero(saved.interests.active[0])
        weights = saved.interests.routing.couplings[0][pair.batch.histories.mask[0]]
        if len(active) == INTERESTS and set(weights.argmax(axis=1)) == set(active):
            separation[int(user)] = float(weights.max(axis=1).mean())
    return max(separation, key=lambda user: separation[user])


def route_user() -> UserRouting:
    """Return the routing of the user, in the plane in which the votes differ most."""
    pair = builtin_pair(separated_user())
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
    occupied = [plot.point(*vote) for vote in user.votes] + draw_shelves(plot, user)
    out.marker(1, plot.point(0, 0), "ink", r=3)
    arrows = [arrow_points(plot, capsule) for capsule in user.capsules[t]]
    occupied += [point for points in arrows for point in points]
    for k, points in enumerate(arrows):
        out.arrow([points[0], points[-1]], f"line s{k + 1}", f"mark f{k + 1}", width=3)
        x, y = find_free_point(points, occupied)
        occupied.append((x, y))
        out.text((x, y + 5), str(k + 1), "ink bold", anchor="middle")


def arrow_points(plot: Plot, capsule: np.ndarray) -> list[Point]:
    """Return eleven points of the arrow of a capsule, from the origin to the tip."""
    return [plot.point(*(ARROW * part * capsule)) for part in np.linspace(0, 1, 11)]


def find_free_point(points: list[Point], occupied: list[Point]) -> Point:
    """Return the point near an arrow that is farthest from the points that are in use."""
    line = np.array(points)
    x, y = (line[-1] - line[0]) / np.linalg.norm(line[-1] - line[0])
    sides = [line[4:] + side * LABEL * np.array([y, -x]) for side in (1, -1)]
    beside = np.concatenate([*sides, line[-1:] + LABEL * np.array([x, y])])
    distances = np.linalg.norm(beside[:, None] - np.array(occupied), axis=2).min(axis=1)
    best = beside[np.minimum(distances, LABEL - 1).argmax()]
    return float(best[0]), float(best[1])


def draw_shelves(plot: Plot, user: UserRouting) -> list[Point]:
    """Write the name of each shelf below or above its films; return points of the names."""
    points = []
    for shelf in sorted(set(user.shelves)):
        votes = user.votes[[name == shelf for name in user.shelves]]
        is_highest = votes[:, 1].max() == user.votes[:, 1].max()
        y = votes[:, 1].max() if is_highest else votes[:, 1].min()
        x, y = plot.point(votes[:, 0].mean(), y)
        x = min(max(x, plot.corner[0] + 50), plot.corner[0] + plot.size[0] - 50)
        y += -10 if is_highest else 20
        plot.drawing.text((x, y), shelf, "dim", size=13, anchor="middle")
        points += [(float(left), y - 4) for left in np.linspace(x - 48, x + 48, 13)]
    return points


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
