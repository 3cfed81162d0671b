"""Several runs on a page: which is best, by how much, and what of that chance may explain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ranvier.analysis.report import RunReport, render
from ranvier.analysis.report.comparison import NO_EFFECT, best_run, compare, difference, differences, is_worse

from .reports import SETTINGS, Page, accuracy, record, report, result

GENERATOR = np.random.default_rng(0)
GOOD = np.arange(400) < 320
NEAR = GOOD ^ (GENERATOR.random(400) < 0.02)
FAR = GOOD & (GENERATOR.random(400) < 0.8)


def run(name: str, right: NDArray[np.bool_], *, which: str = "these", split: str = "test") -> RunReport:
    """A run of 400 clips."""
    known = accuracy(int(right.sum()), 400)
    seen = record(split=split, right=right, fingerprint=which, clips=400, available=400)
    return report(name=name, record=seen, result=result(accuracy={split: known}))


def with_fields(made: RunReport, **fields: str) -> RunReport:
    there = {**dict(made.settings.fields), **{name.replace("__", "."): value for name, value in fields.items()}}
    delays = there["model.delays"]
    return replace(made, settings=replace(made.settings, delays=delays, fields=tuple(there.items())))


def test_the_difference_to_the_best_is_that_of_a_paired_test() -> None:
    best, far = run("best", GOOD), run("far", FAR)
    assert best_run([far, best]) is best
    apart = difference(far, best)
    assert apart is not None
    assert apart.half is not None
    expected = stats.ttest_rel(FAR.astype(int), GOOD.astype(int)).confidence_interval()
    assert (apart.value - apart.half, apart.value + apart.half) == pytest.approx((expected.low, expected.high))
    cell = Page(render([best, far])).column("Accuracy of the runs", "difference to the best (points)")
    low, value, high = (f"{100 * x:+.1f}".replace("-", "−") for x in (expected.low, apart.value, expected.high))
    assert cell == {"best": "best", "far": f"{value} {low} … {high}"}


def test_only_runs_on_the_same_clips_are_paired() -> None:
    best, far = run("best", GOOD), run("far", FAR)
    divided = replace(far, settings=replace(SETTINGS, division=(("data.kind", "folder"),)))
    for other in (run("far", FAR, which="others"), divided):
        assert best_run([best, other]) is None
        assert difference(other, best) is None
    assert best_run([best]) is None
    head = Page(render([best, divided])).tables["Accuracy of the runs"][0]
    assert "difference to the best (points)" not in head


@pytest.mark.parametrize(("right", "worse"), [(NEAR, False), (FAR, True)])
@pytest.mark.parametrize("recorded", [True, False])
def test_worse_is_more_than_chance_explains(right: Any, worse: bool, recorded: bool) -> None:
    best, other = run("best", GOOD), run("other", right)
    if not recorded:  # then their intervals are compared, which these overlap
        best, other = replace(best, record=None), replace(other, record=None)
    assert is_worse(other, best) == (worse and recorded)
    made = compare([other, best])
    assert (made.best, list(made.close)) == (best, [] if worse and recorded else ["other"])


def test_fields_without_effect_are_no_difference() -> None:
    learned = with_fields(run("a", GOOD), model__hidden="256,256", train__sigma_start_ms="122.7")
    none = with_fields(run("b", FAR), model__delays="none", model__hidden="478,478", train__sigma_start_ms="10")
    assert differences([learned, none]) == [
        ("model.delays", ["learned", "none"]),
        ("model.hidden", ["256,256", "478,478"]),
    ]
    none = with_fields(none, model__max_delay_ms="0")
    longer = with_fields(learned, model__max_delay_ms="300")
    other = with_fields(run("c", FAR), model__max_delay_ms="240")
    fields = dict(differences([none, longer, other]))
    assert fields["model.max_delay_ms"] == [NO_EFFECT, "300", "240"]
    table = Page(render([learned, none])).tables["Fields that differ"]
    assert table == [["field", "a", "b"], ["model.delays", "learned", "none"], ["model.hidden", "256,256", "478,478"]]


def test_the_axis_spans_the_intervals_and_bars_lie_on_it() -> None:
    made = compare([run("best", GOOD), run("far", FAR)])
    assert made.axis == (0.5, 0.9), "the made-up intervals are 50 to 90%"
    assert [one.row.bar(made.axis)[:2] for one in made.runs if one.row is not None] == [pytest.approx((0, 100))] * 2


def test_the_last_epoch_stands_beside_an_accuracy_on_clips_that_the_epoch_was_chosen_on() -> None:
    chosen = compare([run(name, right, split="validation") for name, right in (("best", GOOD), ("far", FAR))])
    assert [one.last for one in chosen.runs] == [pytest.approx(0.4 + 4 / 3000)] * 2
    assert [one.last for one in compare([run("best", GOOD), run("far", FAR)]).runs] == [None, None]


def test_the_page_knows_which_run_is_best() -> None:
    made = Page(render([run("far", FAR), run("best", GOOD)]))
    assert made.data[0]["right"] < made.data[1]["right"] == pytest.approx(GOOD.mean(), rel=1e-4)
    rows = [a["class"] for tag, a in made.elements if tag == "tr" and "class" in a][:2]
    assert rows == ["depth0 muted", "depth0"]


def test_a_row_that_becomes_a_block_says_what_its_cells_are() -> None:
    made = Page(render([run("best", GOOD), run("far", FAR)]))
    cells = [a for tag, a in made.elements if tag == "td" and a.get("role") == "cell" and a.get("class") != "graph"]
    assert cells
    assert all(a.get("data-name") for a in cells)
    roles = [a.get("role") for tag, a in made.elements if tag == "table" and "stacked" in str(a.get("class"))]
    assert set(roles) == {"table"}


def test_runs_that_leave_a_speaker_out_each_are_pooled_over_speakers() -> None:
    def held_out(name: str, right: int) -> RunReport:
        known = accuracy(right, 10, speakers={name: accuracy(right, 10)})
        settings = replace(SETTINGS, unseen=frozenset({"validation"}), division=(("speaker", name),))
        return report(name=name, record=None, result=result(accuracy={"validation": known}), settings=settings)

    runs = [held_out(name, right) for name, right in (("4", 8), ("5", 7), ("6", 9))]
    made = compare(runs)
    assert made.best is None
    assert made.pooled is not None
    low, _ = stats.ttest_1samp([0.8, 0.7, 0.9], 0).confidence_interval()
    assert [made.pooled.value, made.pooled.low] == pytest.approx([0.8, low])
    assert made.pooled.speakers == 3
    assert compare([runs[0], runs[0], runs[1]]).pooled is None


def test_a_run_without_a_result_keeps_its_row() -> None:
    made = Page(render([run("best", GOOD), replace(run("young", FAR), result=None)]))
    assert made.column("Accuracy of the runs", "accuracy")["young"] == "4 of 4 epochs"
