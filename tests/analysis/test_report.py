"""A report says what it is given, needs nothing else, and lets nobody's names become code."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ranvier.analysis.report import RunReport, page, render
from ranvier.analysis.report.accuracy import accuracies, interval_bar
from ranvier.analysis.report.against_best import result_of
from ranvier.analysis.report.drawings import STRONGEST, drawings
from ranvier.engine import run
from ranvier.runs import Example

from .reports import EVENTS, Reading, accuracy, data_of, network, observed, report, rows, unpack

HOSTILE = "</script x </script><script>alert('x')</script><img src=x onerror=\"alert(1)\"> & <!-- \u2028\u202e\x1b"


def test_a_report_is_whole_html_that_asks_nothing_of_the_network() -> None:
    reading = Reading(render([report()]))
    assert reading.open == []
    for tag, attributes in reading.elements:
        for name in ("src", "href", "action", "data"):
            link = attributes.get(name) or ""
            assert link.startswith(("#", "data:,")) or not link, (tag, link)
    assert not re.search(r"\b(fetch|XMLHttpRequest|import|WebSocket)\s*\(", "".join(reading.scripts))
    policy = next(a for tag, a in reading.elements if tag == "meta" and a.get("http-equiv"))
    assert (policy["content"] or "").startswith("default-src 'none'")
    identities = [a["id"] for _, a in reading.elements if "id" in a]
    assert len(set(identities)) == len(identities)


def test_a_report_tells_what_was_trained_and_how_well() -> None:
    text = Reading(render([report()])).text
    for part in (
        "It learned to tell a from b.",
        "85.0%",
        "17",
        "1,234",
        "50.0 … 90.0%",
        "anna",
        "90.0%",
        "abc123 and changes since",
        "ranvier train mine",
        "train.seed",
        "epoch 3, the best of 4 on the validation clips",
        "8.0 s, 2.0 s an epoch",
    ):
        assert part in text, part


def test_names_never_become_code() -> None:
    # a network refuses classes with characters that cannot be seen; all other names may have them
    visible = "".join(letter for letter in HOSTILE if letter.isprintable())
    hostile = report(
        name=HOSTILE,
        story=[HOSTILE],
        command=HOSTILE,
        settings={HOSTILE: HOSTILE},
        notes=[HOSTILE],
        network=network((visible, "b")),
        observed=observed(speakers={HOSTILE: (1, 2), "b": (1, 1)}, examples=(Example(0, HOSTILE, 9, EVENTS),)),
    )
    shown = HOSTILE.replace("\u2028", r"\u2028").replace("\u202e", r"\u202e").replace("\x1b", r"\x1b")
    for page_text in (render([hostile]), render([hostile, replace(hostile, settings={HOSTILE: "other"})])):
        reading = Reading(page_text)
        assert reading.open == []
        assert len(reading.scripts) == 2
        assert "<" not in reading.scripts[0], "browsers end a script where this parser does not"
        assert "img" not in {tag for tag, _ in reading.elements}
        assert not any(name.startswith("on") for _, attributes in reading.elements for name in attributes)
        assert json.loads(reading.scripts[0])[0]["classes"][0] == visible
        assert shown in reading.text


def test_the_strongest_synapses_of_a_neuron_can_be_followed() -> None:
    net = network()
    found = drawings(report())["synapses"][0]
    assert found["kept"] == STRONGEST
    target, delay = (unpack(found[name], "<u2").reshape(12, STRONGEST) for name in ("target", "delay"))
    weight = unpack(found["weight"], "<i2").reshape(12, STRONGEST)
    first = net.layers[0]
    for source in range(12):
        fan = first.weight[:, :, source]
        assert abs(weight[source, 0]) == pytest.approx(127 * abs(fan).max() / abs(first.weight).max(), abs=0.51)
        branch, neuron = np.unravel_index(abs(fan).argmax(), fan.shape)
        assert target[source, 0] == neuron
        assert delay[source, 0] == first.delay_steps[branch, neuron, source]
        assert np.sign(weight[source, 0]) == np.sign(fan[branch, neuron])
        assert (np.diff(abs(weight[source])) <= 0).all()


def test_a_clip_is_drawn_as_the_engine_runs_it() -> None:
    clip = drawings(report())["clips"][0]
    result = run(network(), EVENTS, 9)
    assert clip["steps"] == len(result.voltage) == 15
    assert clip["said"] == network().classes[result.prediction]
    assert (clip["label"], clip["speaker"]) == ("b", "anna")
    inputs, hidden = clip["rasters"]
    assert unpack(inputs["step"], "<u2").tolist() == [0, 0, 3, 7]
    assert unpack(inputs["neuron"], "<u2").tolist() == [1, 5, 5, 11]
    assert len(result.spikes[0]) > 0
    assert unpack(hidden["step"], "<u2").tolist() == result.spikes[0][:, 0].tolist()
    share = unpack(clip["share"], "<u1").reshape(15, 2)
    assert np.argmax(share.sum(0)) == result.prediction
    assert (abs(share.astype(int).sum(1) - 255) <= 1).all()


def test_spikes_that_go_on_being_heard_are_told_and_not_counted_as_arrivals() -> None:
    plain = render([report()])
    assert "an arrow shows where that begins" not in plain
    assert "additions on event-driven hardware" in plain
    hidden, last = network().layers
    filtered = replace(hidden, synapse_decay=np.full(8, 0.9, np.float32))
    told = render([report(network=replace(network(), layers=(filtered, last)))])
    assert "an arrow shows where that begins" in told
    assert "additions on event-driven hardware" not in told
    assert "a spike&#x27;s trace arrives at every step after it" in told


def test_delays_by_epoch_and_the_finished_ones_where_none_were_recorded() -> None:
    whole = drawings(report())["delays"]
    assert whole["epoch"] == [1, 2, 3, 4]
    assert whole["layers"][0]["counts"][2] == [3, 0, 0, 0, 0, 189]
    old = report(rows=rows(histograms=False))
    frozen = drawings(old)["delays"]
    assert frozen["epoch"] == []
    delays = network().layers[0].delay_steps
    assert frozen["layers"][0]["counts"] == [np.bincount(delays.ravel(), minlength=6).tolist()]
    assert "did not record its delays" in Reading(render([old])).text
    many = drawings(report(rows=rows(1000)))["delays"]
    assert len(many["epoch"]) <= 101
    assert many["epoch"][0] == 1
    assert 3 in many["epoch"], "the kept epoch is always there"
    assert many["epoch"][-1] == 1000


def test_long_delays_share_bins() -> None:
    long = replace(network().layers[0], max_delay=1000)
    net = replace(network(), layers=(long, network().layers[1]))
    counts = np.bincount(long.delay_steps.ravel(), minlength=1001)
    first = drawings(report(network=net, rows=rows(histograms=False)))["delays"]["layers"][0]
    assert first["width"] == 16
    assert first["counts"][0][0] == counts[:16].sum()
    assert sum(first["counts"][0]) == counts.sum()


def test_frames_are_drawn_as_a_picture() -> None:
    frames = np.linspace(-3, 5, 9 * 12).reshape(9, 12).astype(np.float32)
    dense = report(observed=observed(source_events=None, examples=(Example(0, "", 9, frames),)))
    clip = drawings(dense)["clips"][0]
    picture = unpack(clip["frames"], "<u1")
    assert len(picture) == 9 * 12
    assert (picture[0], picture[-1]) == (0, 255)
    assert unpack(clip["rasters"][0]["step"], "<u2").tolist() == []
    assert "real numbers at every step" in Reading(render([dense])).text


@pytest.mark.parametrize("missing", ["result", "network", "observed", "rows", "all"])
def test_what_is_missing_is_said(missing: str) -> None:
    nothing: dict[str, Any] = {"result": None, "network": None, "observed": None, "rows": []}
    changes = nothing if missing == "all" else {missing: nothing[missing]}
    if missing == "network":
        changes["observed"] = None
    text = Reading(render([report(**changes)])).text
    said = {
        "result": "The training has not finished.",
        "network": "The network is not finished.",
        "observed": "No clips were at hand",
        "rows": "No epoch has been finished.",
    }
    for name, sentence in said.items():
        assert (sentence in text) == (name in changes), sentence


def test_a_loss_that_is_not_a_number_breaks_nothing() -> None:
    bad = rows()
    bad[2]["loss"] = float("nan")
    assert data_of(render([report(rows=bad)]))[0]["curves"]["loss"] == [1.0, 0.5, None, 0.25]


def test_many_runs_fit_into_a_file_that_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = [report(name=f"run {number}") for number in range(6)]
    whole = data_of(render(reports))
    assert all("clips" in run and "left_out" not in run for run in whole)
    clips = len(page.as_json([[run["clips"], run["synapses"]] for run in whole]))
    monkeypatch.setattr(page, "LARGEST_BYTES", len(render(reports).encode()) - clips // 2)
    text = render(reports)
    short = data_of(text)
    assert "clips" in short[0], "the last runs lose first"
    assert short[-1]["left_out"][0] == "clips"
    assert "clips" not in short[-1]
    assert "Left out here" in Reading(text).text
    assert len(text.encode()) <= page.LARGEST_BYTES
    monkeypatch.setattr(page, "LARGEST_BYTES", 0)
    least = render(reports)
    drawn = {"dt", "longest", "layers", "classes", "rates"}
    known = {"name", "best", "curves", "named", "right", "began", "left_out"}
    assert all(set(run) <= known | drawn for run in data_of(least))
    assert least.count("<strong>85.0%</strong><small>") == 6, "every run keeps its row"


def test_the_shipped_limit_is_5_mb() -> None:
    assert page.LARGEST_BYTES < 5_000_000


def test_many_classes_are_listed_and_not_drawn() -> None:
    names = tuple(f"class {number}" for number in range(80))
    many = report(network=network(names), observed=observed(80))
    assert "confusion" not in drawings(many)
    text = Reading(render([many])).text
    assert "80 classes are too many to draw" in text
    assert "class 0class 13" in text, "the commonest mistake"


def test_the_sample_of_synapses_is_drawn_from_a_seed() -> None:
    assert drawings(report())["scatter"] == drawings(report())["scatter"]


def test_no_run_is_refused() -> None:
    with pytest.raises(ValueError, match="reports: none"):
        render([])


def test_the_time_of_an_epoch_is_the_trainings_divided_by_its_epochs() -> None:
    assert "8.0 s, 2.0 s an epoch" in Reading(render([report()])).text


def held_out(speakers: dict[str, tuple[int, int]], **more: Any) -> RunReport:
    """A run validated on speakers whom it did not train on."""
    right, clips = (sum(values) for values in zip(*speakers.values(), strict=True))
    by_name = {name: accuracy(*counts) for name, counts in speakers.items()}
    result = {
        **(report().result or {}),
        "accuracy": {"validation": {**accuracy(right, clips), "speakers": by_name, **more}},
    }
    settings = {"data.kind": "shd", "data.validation": "speakers", "model.delays": "learned"}
    return report(result=result, settings=settings)


def test_accuracy_on_unseen_speakers_has_the_interval_over_them() -> None:
    found = held_out({"4": (8, 10), "5": (7, 10), "6": (9, 10)})
    text = " ".join(Reading(render([found])).text.split())
    low, high = ttest_1samp([0.8, 0.7, 0.9], 0).confidence_interval()
    assert f"95% interval over speakers {100 * low:.1f} … {min(100, 100 * high):.1f}%" in text
    assert "95% over speakers" in text
    assert "clips' 95% interval 50.0 … 90.0%" in text
    bar = interval_bar(accuracies(found)[0][1])
    assert f"left:{100 * low:.2f}%;width:{100 - 100 * low:.2f}%" in bar
    told = {"value": 0.8, "low": 0.61, "high": 0.99, "speakers": 3}
    assert "61.0 … 99.0%" in Reading(render([held_out({"4": (8, 10)}, over_speakers=told)])).text


def test_one_speaker_has_no_interval_over_speakers() -> None:
    text = Reading(render([held_out({"4": (8, 10)})])).text
    assert "none (one speaker)" in text
    assert "one speaker gives no interval over speakers" in text
    assert "over speakers" not in Reading(render([report()])).text, "nobody knows whose clips these are"


def test_runs_that_leave_a_speaker_out_each_are_pooled_over_speakers() -> None:
    runs = [replace(held_out({name: (right, 10)}), name=name) for name, right in (("4", 8), ("5", 7), ("6", 9))]
    runs = [
        replace(run, observed=None, settings={**run.settings, "data.validation_speakers": run.name}) for run in runs
    ]
    low, _ = ttest_1samp([0.8, 0.7, 0.9], 0).confidence_interval()
    said = result_of(runs)
    assert "none is the best" in said
    assert f"over the three the mean is 80.0%, with a 95% interval (Student's t) of {100 * low:.1f} … 100.0%." in said
    assert "the mean" not in result_of([runs[0], runs[0], runs[1]])
