"""Several runs on a page: which is best, by how much, and what of that chance may explain."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ranvier.analysis.report import RunReport, render
from ranvier.analysis.report.against_best import best_run, difference, result_of, told_apart
from ranvier.analysis.report.comparison import differences, setting

from .reports import Reading, accuracy, data_of, observed, report

BASE = {"name": "a", "data.kind": "shd", "data.validation": "speakers", "model.delays": "learned", "train.seed": "0"}


def run(name: str, right: Any, *, which: str = "these", part: str = "test", **changes: Any) -> RunReport:
    """A run that was right on some of its clips."""
    right = np.asarray(right, bool)
    result = {**report().result, "accuracy": {part: accuracy(int(right.sum()), len(right))}}  # type: ignore[dict-item]
    seen = observed(split=part, right=right, fingerprint=which, clips=len(right), available=len(right))
    return replace(report(name=name, settings=dict(BASE), result=result, observed=seen), **changes)


def with_settings(made: RunReport, **fields: str) -> RunReport:
    return replace(made, settings={**made.settings, **{k.replace("__", "."): v for k, v in fields.items()}})


def text_of(*reports: RunReport) -> str:
    return " ".join(Reading(render(reports)).text.split())


GENERATOR = np.random.default_rng(3)
GOOD = GENERATOR.random(400) < 0.7
NEAR = np.where(GENERATOR.random(400) < 0.05, ~GOOD, GOOD)
FAR = np.where(GENERATOR.random(400) < 0.6, False, GOOD)


def test_the_difference_to_the_best_is_that_of_a_paired_test() -> None:
    best, far = run("best", GOOD), run("far", FAR)
    apart = difference(far, best)
    assert apart is not None
    assert apart.half is not None
    expected = stats.ttest_rel(FAR.astype(float), GOOD.astype(float)).confidence_interval(0.95)
    assert (apart.value - apart.half, apart.value + apart.half) == pytest.approx((expected.low, expected.high))
    assert told_apart(far, best)
    assert not told_apart(run("near", NEAR), best)
    low, high = (f"{100 * end:+.1f}".replace("-", "−") for end in (expected.low, expected.high))
    assert f"{low} … {high}" in text_of(best, far)


def test_clips_that_are_not_the_same_are_not_paired() -> None:
    best = run("best", GOOD)
    for other in (run("far", FAR, which="others"), with_settings(run("far", FAR), data__kind="folder")):
        assert difference(other, best) is None
        assert best_run([best, other]) is None
        text = text_of(best, other)
        assert "measured on different clips, so none is the best" in text
        assert "difference to the best" not in text
    longer_steps = with_settings(run("far", FAR), data__dt_ms="5.0", data__root="elsewhere")
    assert difference(longer_steps, best) is not None


def test_runs_without_what_was_observed_are_compared_by_their_intervals() -> None:
    best, near = (replace(run(name, right), observed=None) for name, right in (("best", GOOD), ("near", NEAR)))
    assert best_run([best, near]) is not None
    assert difference(near, best) is None
    assert not told_apart(near, best), "the made-up intervals are the same"
    assert "not known" in text_of(best, near)
    assert best_run([best, with_settings(near, data__split_seed="1")]) is None


def test_the_first_sentence_tells_the_result() -> None:
    best, near, far = run("best", GOOD), run("near", NEAR), run("far", FAR)
    share = {made.name: 100 * made.observed.right.mean() for made in (best, near, far) if made.observed}
    assert result_of([far, best]) == (
        f"The best of two is best: right on {share['best']:.1f}% of 400 test clips (guessing: 50.0%). The other is "
        f"right on {share['far']:.1f}%. On these clips it is worse by more than the clips' chance explains, but the "
        "best was picked on the very same clips; another seed may change the order."
    )
    three = result_of([far, best, near])
    assert f"The others are right on {share['far']:.1f}% to {share['near']:.1f}%." in three
    assert "On these clips near cannot be told apart from the best" in three
    waiting = replace(far, result=None)
    assert "One of the runs cannot be counted yet." in result_of([best, near, waiting])
    assert "There is nothing to compare yet." in result_of([best, waiting])
    assert text_of(far, best).index("The best of two") < text_of(far, best).index("They differ in no fields")


def test_speakers_never_heard_are_told_of_the_best() -> None:
    speakers = {"speakers": {name: {"correct": 140, "clips": 200} for name in "12"}}
    results = [
        {**made.result, "accuracy": {"validation": {**made.result["accuracy"]["validation"], **speakers}}}
        for made in (run("best", GOOD, part="validation"), run("far", FAR, part="validation"))
        if made.result
    ]
    best, far = (
        replace(run(name, right, part="validation"), result=result)
        for name, right, result in zip(("best", "far"), (GOOD, FAR), results, strict=True)
    )
    text = text_of(best, far)
    assert "of 400 validation clips of two speakers that it never heard" in text
    assert "All are of the same 400 validation clips (speakers never heard)." in text
    assert "another speaker may well lie outside the clips' interval." in text


def test_fields_that_mean_nothing_in_a_run_are_a_dash_and_no_difference() -> None:
    learned = with_settings(run("a", GOOD), model__hidden="256,256", train__sigma_start_ms="122.7")
    none = with_settings(run("b", FAR), model__delays="none", model__hidden="478,478", train__sigma_start_ms="5.0")
    assert setting(none, "train.sigma_start_ms") == "–"
    assert setting(learned, "train.sigma_start_ms") == "122.7"
    assert setting(none, "model.hidden") == "478 and 478"
    assert differences([learned, none]) == ["model.delays", "model.hidden"]
    text = text_of(learned, none)
    assert "They differ in model.delays and model.hidden." in text
    assert "runmodel.delaysmodel.hidden alearned256 and 256bnone478 and 478" in text.replace("hiddena", "hidden a")


def test_synapses_from_everywhere_do_not_read_as_none() -> None:
    few = with_settings(run("a", GOOD), model__incoming="10")
    every = with_settings(run("b", FAR), model__incoming="none")
    assert [setting(made, "model.incoming") for made in (few, every)] == ["10", "all"]


def test_guessing_is_explained_where_it_is_drawn() -> None:
    said = "the short grey line guessing"
    for low, drawn in ((0.45, True), (0.62, False)):
        part = {"value": 0.7, "low": low, "high": 0.75, "correct": 280, "clips": 400}
        pair = [
            replace(made, result={**made.result, "accuracy": {"test": part}})
            for made in (run("a", GOOD), run("b", FAR))
            if made.result
        ]
        assert (said in text_of(*pair)) == drawn, "guessing is right on 50%"


def test_many_differences_are_a_row_each() -> None:
    one = with_settings(run("a", GOOD), **{f"x{number}": "0" for number in range(7)})
    other = with_settings(run("b", FAR), **{f"x{number}": "1" for number in range(7)})
    text = text_of(one, other)
    assert "They differ in 7 fields of their configuration." in text
    assert "fieldabx001x101" in text


def test_the_axis_spans_the_intervals_and_bars_lie_on_it() -> None:
    page = render([run("best", GOOD), run("far", FAR)])
    assert '<th scope="col" role="columnheader" class="graph ends"><span>50%</span><span>90%</span></th>' in page
    bars = re.findall(r'class="span" style="left:([\d.]+)%;width:([\d.]+)%"', page[: page.index("Each run for itself")])
    assert bars == [("0.00", "100.00")] * 2, "the made-up intervals are 50 to 90%"


def test_the_last_epoch_stands_beside_an_accuracy_on_clips_that_the_epoch_was_chosen_on() -> None:
    chosen = [run(name, right, part="validation") for name, right in (("best", GOOD), ("far", FAR))]
    assert text_of(*chosen).count("last epoch 44.0%") == 2
    assert "the last epoch's, on the same clips, stands beside it" in text_of(*chosen)
    assert "last epoch 44.0%" not in text_of(run("best", GOOD), run("far", FAR)), "that is of other clips"


def test_the_page_knows_which_run_is_right_most_often() -> None:
    data = data_of(render([run("far", FAR), run("best", GOOD)]))
    assert data[0]["right"] < data[1]["right"] == pytest.approx(GOOD.mean(), rel=1e-4)


def test_a_row_that_becomes_a_block_says_what_its_cells_are() -> None:
    reading = Reading(render([run("best", GOOD), run("far", FAR)]))
    cells = [a for tag, a in reading.elements if tag == "td" and a.get("role") == "cell"]
    assert {"right", "95% interval", "difference to the best, points"} <= {str(a.get("data-name")) for a in cells}
    roles = [a.get("role") for tag, a in reading.elements if tag == "table" and "stacked" in str(a.get("class"))]
    assert roles
    assert set(roles) == {"table"}
