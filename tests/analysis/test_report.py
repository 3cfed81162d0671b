"""A report shows the numbers that it is given, needs nothing else, and lets nobody's names become code."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ranvier.analysis.report import page, render
from ranvier.analysis.report.accuracy import accuracy_rows, split_name
from ranvier.analysis.report.drawings import STRONGEST, drawings
from ranvier.engine import Engine
from ranvier.network import Dense, Network, Scores, Trace
from ranvier.runs import Example, ProbeRecord
from tests.drawn import counted
from tests.networks import changed, dense

from .reports import EVENTS, SETTINGS, Page, accuracy, network, record, report, result, rows, sparse, unpack

HOSTILE = "</script x </script><script>alert('x')</script><img src=x onerror=\"alert(1)\"> & <!-- \u2028\u202e\x1b"
SECTIONS = [
    *("Accuracy", "Confusion matrix", "Spikes", "Firing rates", "Delays", "Learning curves"),
    *("Settings", "Cost", "Reproduce"),
]
FIGURES = ["confusion", "travel", "rates", "delays", "strength", "learning"]


def shown(**changes: Any) -> Page:
    return Page(render([report(**changes)]))


def settings(**changes: Any) -> dict[str, Any]:
    return {"settings": replace(SETTINGS, **changes)}


def probe() -> ProbeRecord:
    kinds = (("as it is", "nothing", 17), ("delays permuted", "delays", 4), ("clips backwards", "order", 6))
    results = [{"name": name, "kind": kind, "accuracy": accuracy(right, 20)} for name, kind, right in kinds]
    return ProbeRecord.model_validate({"network": "x", "data": "test clips", "seed": 0, "results": tuple(results)})


def test_a_report_is_whole_html_that_asks_nothing_of_the_network() -> None:
    made = shown(probe=probe())
    assert made.open == []
    for tag, attributes in made.elements:
        for name in ("src", "href", "action", "data"):
            link = attributes.get(name) or ""
            assert link.startswith(("#", "data:,")) or not link, (tag, link)
    assert not re.search(r"\b(fetch|XMLHttpRequest|import|WebSocket)\s*\(", "".join(made.scripts))
    policy = next(a for tag, a in made.elements if tag == "meta" and a.get("http-equiv"))
    assert (policy["content"] or "").startswith("default-src 'none'")
    identities = [a["id"] for _, a in made.elements if "id" in a]
    assert len(set(identities)) == len(identities)


def test_the_output_is_told_as_it_is_read() -> None:
    net = counted(network())
    (clip,), run = drawings(report(network=net))["clips"], Engine(net).run(EVENTS, 9)
    assert run.voltage.sum() > 0
    np.testing.assert_array_equal(unpack(clip["share"], "<u1").reshape(run.voltage.shape), 255 * run.voltage)


SAID = {
    "softmax": "softmax is added",
    "sum": "voltages are added",
    "max": "highest voltage that its output has had",
    "last": "at the last step",
    "count": "Output spikes are counted",
}


@pytest.mark.parametrize("scores", get_args(Scores))
def test_the_page_says_what_scores_are_and_holds_what_they_are_made_of(scores: Scores) -> None:
    plain = network()
    net = counted(plain) if scores == "count" else replace(plain, decoding=replace(plain.decoding, scores=scores))
    made = shown(network=net)
    assert [kind for kind, said in SAID.items() if said in made.text] == [scores]
    (data,) = made.data
    assert data["scores"] == scores
    ran = Engine(net).run(EVENTS, 9)
    share = unpack(data["clips"][0]["share"], "<u1").reshape(ran.voltage.shape)
    if scores not in ("softmax", "count"):
        low, high = ran.voltage.min(), ran.voltage.max()
        np.testing.assert_allclose(share, 255 * (ran.voltage - low) / (high - low), atol=0.51)
    elif scores == "softmax":
        assert np.abs(share.sum(1, dtype=int) - 255).max() <= 1  # rounded
    else:
        np.testing.assert_array_equal(share, 255 * ran.voltage)


def test_every_connection_of_a_layer_can_be_followed() -> None:
    first, last = network().layers
    own = Dense("hidden_1", 3, np.full((1, 8, 8), 9, np.float32), np.full((1, 8, 8), 2, np.int16))
    skip = Dense("input", 4, np.full((1, 2, 12), 7, np.float32), np.full((1, 1, 1), 4, np.int16))
    layers = (replace(first, inputs=(*first.inputs, own)), replace(last, inputs=(*last.inputs, skip)))
    made = report(network=replace(network(), layers=layers))
    found = drawings(made)["synapses"]
    assert [(each["from"], each["to"]) for each in found] == [(0, 1), (1, 1), (1, 2), (0, 2)]
    assert unpack(found[1]["delay"], "<u2").tolist() == 8 * 4 * [2]
    assert unpack(found[3]["delay"], "<u2").reshape(12, 4).tolist() == 12 * [[4, 4, 0, 0]]
    # of one source all weights are in 127ths of the largest
    ends = [np.abs(unpack(each["weight"], "<i2")).max() for each in found]
    assert (ends[1], ends[3]) == (127, 127)
    assert ends[0] == round(127 * float(np.abs(dense(first).weight).max()) / 7)
    assert "4 strongest synapses to every layer" in Page(render([made])).text
    assert "8 strongest synapses to the next layer" in shown().text


def test_connections_between_the_same_layers_are_followed_as_one() -> None:
    first, last = network().layers
    more = Dense(first.inputs[0].source, 9, np.full((1, 8, 12), 9, np.float32), np.full((1, 8, 12), 5, np.int16))
    made = report(network=replace(network(), layers=(replace(first, inputs=(*first.inputs, more)), last)))
    found = drawings(made)["synapses"]
    assert [(each["from"], each["to"], each["kept"]) for each in found] == [(0, 1, STRONGEST), (1, 2, STRONGEST)]
    assert unpack(found[0]["delay"], "<u2").tolist() == 12 * STRONGEST * [5]  # 8 of the larger weights


def test_every_section_has_its_heading_and_every_figure_its_fold_out() -> None:
    made = shown()
    assert (made.headings, made.figures) == (SECTIONS, FIGURES)
    folded = sum(tag == "details" and a.get("class") == "what" for tag, a in made.elements)
    assert folded == len(FIGURES) + 2, "and accuracy and cost"
    lengths = [len(told.split()) for told in re.findall(r"<figcaption>(.*?)</figcaption>", render([report()]))]
    assert len(lengths) == len(FIGURES)
    assert max(lengths) < 30, "a line under each figure"


def test_the_numbers_of_a_run() -> None:
    made = shown()
    assert made.column("Accuracy", "accuracy") == {
        "test clips": "85.0%", "speaker anna": "90.0%", "speaker ben": "80.0%", "validation clips": "80.0%",
    }  # fmt: skip
    assert made.column("Accuracy", "95% over clips")["test clips"] == "50.0 … 90.0%"
    assert made.column("Accuracy", "clips")["test clips"] == "20"
    assert made.column("Fields of the recipe", "value") == dict(SETTINGS.fields)
    expected = {"network of epoch": "3 of 4", "last epoch": "40.1% on the same clips", "commit": "abc123", "seed": "0"}
    assert made.facts | expected == made.facts
    assert (
        made.facts | {"parameters": "1,234", "training": "8.0 s, 2.0 s per epoch", "spikes per clip": "12"}
        == made.facts
    )
    assert made.tables["Confusion matrix"] == [["", "a", "b"], ["a", "7", "3"], ["b", "0", "10"]]
    assert made.tables["Commonest mistakes"][1:] == [["a", "b", "3"]]
    assert made.column("Accuracy of every class", "accuracy") == {"a": "70.0%", "b": "100.0%"}
    assert made.column("Mean spikes of a neuron in a clip", "silent") == {"hidden layer": "1"}
    assert made.column("Metrics by epoch", "loss") == {"1": "1", "2": "0.5", "3": "0.3333", "4": "0.25"}
    assert made.column("Synapses by delay", "input → hidden")["50 ms"] == "1996"


def test_names_never_become_code() -> None:
    # a network refuses classes with characters that cannot be seen; all other names may have them
    visible = "".join(letter for letter in HOSTILE if letter.isprintable())
    hostile = report(
        name=HOSTILE,
        description=[HOSTILE],
        command=HOSTILE,
        settings=replace(SETTINGS, recipe=HOSTILE, fields=((HOSTILE, HOSTILE),)),
        notes=[HOSTILE],
        network=network((visible, "b")),
        result=result(machine=HOSTILE, left_out=(HOSTILE,), versions={HOSTILE: HOSTILE}),
        record=record(speakers={HOSTILE: (1, 2), "b": (1, 1)}, examples=(Example(0, HOSTILE, 9, EVENTS),)),
    )
    escaped = HOSTILE.replace("\u2028", r"\u2028").replace("\u202e", r"\u202e").replace("\x1b", r"\x1b")
    other = replace(hostile, settings=replace(SETTINGS, fields=((HOSTILE, "other"),)))
    for text in (render([hostile]), render([hostile, other])):
        made = Page(text)
        assert made.open == []
        assert len(made.scripts) == 2
        assert "<" not in made.scripts[0], "browsers end a script where this parser does not"
        assert "img" not in {tag for tag, _ in made.elements}
        assert not any(name.startswith("on") for _, attributes in made.elements for name in attributes)
        assert made.data[0]["classes"][0] == visible
        assert escaped in made.text
        assert not set("\u2028\u202e\x1b") & set(text)


def test_accuracy_on_unseen_speakers_has_the_interval_over_them() -> None:
    speakers = {name: accuracy(right, 10) for name, right in (("4", 8), ("5", 7), ("6", 9))}
    older = {"result": result(accuracy={"validation": accuracy(24, 30, speakers=speakers)}), "record": None}
    made = shown(**older, **settings(unseen=frozenset({"validation"})))
    low, high = ttest_1samp([0.8, 0.7, 0.9], 0).confidence_interval()
    column = made.column("Accuracy", "95% over speakers")
    assert column["validation clips (unseen speakers)"] == f"{100 * low:.1f} … {min(100, 100 * high):.1f}% (3)"
    row = next(accuracy_rows(report(**older, **settings(unseen=frozenset({"validation"})))))
    assert row.bar() == pytest.approx((100 * low, 100 - 100 * low, 80))
    assert "95% over speakers" not in shown().tables["Accuracy"][0], "nobody knows whose clips these are"
    one = {"result": result(accuracy={"test": accuracy(8, 10, over_speakers={"value": 0.8, "speakers": 1})})}
    assert shown(**one).column("Accuracy", "95% over speakers")["test clips"] == "none (one speaker)"


@pytest.mark.parametrize(
    ("changes", "split", "name"),
    [
        ({"unseen": frozenset({"test"})}, "test", "test clips (unseen speakers)"),
        ({"unseen": frozenset({"test"})}, "validation", "validation clips"),
        ({}, "seen", "held-out clips (seen speakers)"),
        ({"published": True}, "validation", "test clips"),
        ({}, "mine.h5", "clips of mine.h5"),
    ],
)
def test_a_split_has_one_name(changes: dict[str, Any], split: str, name: str) -> None:
    assert split_name(replace(SETTINGS, **changes), split) == name


def test_clips_that_the_epoch_was_chosen_on_are_one_split() -> None:
    published = {"result": result(protocol="paper", epoch_chosen_on="test"), **settings(published=True)}
    assert [row for row in shown(**published).column("Accuracy", "clips") if "speaker" not in row] == ["test clips"]


def test_comparisons_stand_in_the_table_in_grey() -> None:
    fixed = {"accuracy": {"test": accuracy(5, 20)}, "parameters": 6, "seconds": 1.0}
    made = report(result=result(comparison={"fixed": fixed}))
    (row,) = [row for row in accuracy_rows(made) if row.name.startswith("for comparison")]
    assert (row.accuracy.value, row.muted) == (0.25, True)


def test_a_probe_stands_in_the_report_and_without_one_its_command() -> None:
    made = shown(probe=probe())
    assert made.column("Accuracy under disturbances", "accuracy") == {
        "as it is": "85.0%", "delays permuted": "20.0%", "clips backwards": "30.0%",
    }  # fmt: skip
    red = [a for tag, a in made.elements if tag == "tr" and a.get("class") in ("depth0", "depth1 muted")]
    assert [a["class"] for a in red][-3:] == ["depth0", "depth1 muted", "depth1 muted"]
    without = shown()
    assert "Accuracy under disturbances" not in without.tables
    assert "ranvier probe RUN" in without.text


def test_a_control_stands_beside_the_network() -> None:
    plain = probe().model_dump()
    gain = {"value": 0.25, "low": 0.05, "high": 0.45}
    fixed = {"name": "control", "kind": "control", "accuracy": accuracy(12, 20), "gain": gain}
    made = shown(
        probe=ProbeRecord.model_validate({**plain, "results": (*plain["results"], fixed), "control": "runs/fixed"})
    )
    assert made.column("Accuracy under disturbances", "accuracy")["control"] == "60.0%"
    assert "runs/fixed" in made.text
    assert "+25.0 points (95% interval +5.0 ... +45.0, clip by clip)" in made.text
    assert "points" not in shown(probe=probe()).text


def test_operations_are_counted_at_the_synapses_that_there_are() -> None:
    net, events, spikes = sparse(), np.arange(12.0), np.array([0, 0.5, 1, 1, 1, 2, 3, 4])
    expected = 0.0
    for layer, sent in zip(net.layers, (events, spikes), strict=True):
        for synapse, target, source in np.ndindex(dense(layer).weight.shape):
            expected += sent[source] * (dense(layer).weight[synapse, target, source] != 0)
    made = report(network=net, record=record(source_events=events))
    assert made.operations == expected
    facts = Page(render([made])).facts
    assert facts["synaptic operations per clip"] == f"{expected:,.0f}"
    assert facts["synapses"] == f"{sum(np.count_nonzero(dense(layer).weight) for layer in net.layers):,}"
    assert facts["input per clip"] == "66 events"


def test_traces_are_not_counted_as_operations() -> None:
    hidden, last = network().layers
    filtered = replace(network(), layers=(replace(hidden, output=Trace(np.full(8, 0.9, np.float32))), last))
    assert report(network=filtered).operations is None
    assert "synaptic operations per clip" not in shown(network=filtered).facts


def test_a_network_without_delays_has_no_figures_of_them() -> None:
    still = [changed(x, delay_steps=np.zeros_like(dense(x).delay_steps), max_delay=0) for x in network().layers]
    made = shown(network=replace(network(), layers=tuple(still)), **settings(delays="none", sigma_start_ms=None))
    assert not {"delays", "strength"} & set(made.figures)
    assert "longest delay" not in made.facts


def test_the_strongest_synapses_of_a_neuron_can_be_followed() -> None:
    net = network()
    found = drawings(report())["synapses"][0]
    assert found["kept"] == STRONGEST
    target, delay = (unpack(found[name], "<u2").reshape(12, STRONGEST) for name in ("target", "delay"))
    weight = unpack(found["weight"], "<i2").reshape(12, STRONGEST)
    first = dense(net.layers[0])
    for source in range(12):
        fan = first.weight[:, :, source]
        assert abs(weight[source, 0]) == pytest.approx(127 * np.abs(fan).max() / np.abs(first.weight).max(), abs=0.51)
        branch, neuron = np.unravel_index(np.abs(fan).argmax(), fan.shape)
        assert target[source, 0] == neuron
        assert delay[source, 0] == first.delay_steps[branch, neuron, source]
        assert np.sign(weight[source, 0]) == np.sign(fan[branch, neuron])
        assert (np.diff(abs(weight[source])) <= 0).all()


def test_a_source_without_synapses_has_none_to_follow_and_a_weak_one_is_not_lost() -> None:
    net = sparse()
    weights = unpack(drawings(report(network=net))["synapses"][0]["weight"], "<i2").reshape(12, -1)
    assert (weights[0] == 0).all()
    weight = dense(net.layers[0]).weight.copy()
    weight[0, 0, 0] = -1e-6
    weak = replace(net, layers=(changed(net.layers[0], weight=weight), net.layers[1]))
    weights = unpack(drawings(report(network=weak))["synapses"][0]["weight"], "<i2").reshape(12, -1)
    assert weights[0].tolist() == [-1] + 7 * [0]


def test_a_clip_is_drawn_as_the_engine_runs_it() -> None:
    clip = drawings(report())["clips"][0]
    ran = Engine(network()).run(EVENTS, 9)
    assert clip["steps"] == len(ran.voltage) == 15
    assert clip["said"] == network().classes[ran.prediction]
    assert (clip["label"], clip["speaker"]) == ("b", "anna")
    inputs, hidden = clip["rasters"]
    assert unpack(inputs["step"], "<u2").tolist() == [0, 0, 3, 7]
    assert unpack(inputs["neuron"], "<u2").tolist() == [1, 5, 5, 11]
    assert len(ran.spikes[0]) > 0
    assert unpack(hidden["step"], "<u2").tolist() == ran.spikes[0][:, 0].tolist()
    share = unpack(clip["share"], "<u1").reshape(15, 2)
    assert np.argmax(share.sum(0)) == ran.prediction
    assert (abs(share.astype(int).sum(1) - 255) <= 1).all()


def test_the_axis_of_frequencies_has_round_ones_where_they_lie() -> None:
    hz = np.geomspace(2000, 100, 12)
    ticks = drawings(report(input_hz=hz))["ticks"]
    assert [label for _, label in ticks] == ["100 Hz", "200 Hz", "500 Hz", "1 kHz", "2 kHz"]
    assert [place for place, _ in ticks][:: len(ticks) - 1] == pytest.approx([11, 0])
    assert hz[round(ticks[3][0])] == pytest.approx(1000, rel=0.15)
    assert "ticks" not in drawings(report())


def test_delays_by_epoch_and_the_finished_ones_where_none_were_recorded() -> None:
    whole = drawings(report())["delays"]
    assert whole["epoch"] == [1, 2, 3, 4]
    assert whole["layers"][0]["counts"][2] == [3, 0, 0, 0, 0, 1997]
    frozen = drawings(report(rows=rows(delay_histograms=None)))["delays"]
    assert frozen["epoch"] == []
    delays = dense(network().layers[0]).delay_steps
    assert frozen["layers"][0]["counts"] == [np.bincount(delays.ravel(), minlength=6).tolist()]
    assert frozen["layers"][0]["mean"][0] == pytest.approx(delays.mean(), rel=1e-3)
    many = drawings(report(rows=rows(1000)))["delays"]
    assert len(many["epoch"]) <= 101
    assert (many["epoch"][0], many["epoch"][-1]) == (1, 1000)
    assert 3 in many["epoch"], "the kept epoch is always there"


def long_delays() -> Network:
    first, last = network().layers
    return replace(network(), layers=(changed(first, max_delay=1000), changed(last, max_delay=1000)))


def test_long_delays_share_bins() -> None:
    made = report(network=long_delays(), rows=rows(delay_histograms=None))
    counts = np.bincount(dense(long_delays().layers[0]).full_delay_steps.ravel(), minlength=1001)
    first = drawings(made)["delays"]["layers"][0]
    assert first["width"] == 16
    assert first["counts"][0][0] == counts[:16].sum()
    assert sum(first["counts"][0]) == counts.sum()
    assert "0 to 150 ms" in Page(render([made])).column("Synapses by delay", "input → hidden")


def test_frames_are_drawn_as_a_picture() -> None:
    frames = np.linspace(-3, 5, 9 * 12).reshape(9, 12).astype(np.float32)
    dense = report(record=record(source_events=None, examples=(Example(0, "", 9, frames),)))
    clip = drawings(dense)["clips"][0]
    picture = unpack(clip["frames"], "<u1")
    assert len(picture) == 9 * 12
    assert (picture[0], picture[-1]) == (0, 255)
    assert unpack(clip["rasters"][0]["step"], "<u2").tolist() == []
    assert dense.operations is None
    assert Page(render([dense])).open == []


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        ({"result": None}, FIGURES),
        ({"network": None, "record": None}, ["learning"]),
        ({"record": None}, ["delays", "strength", "learning"]),
        ({"rows": []}, FIGURES[:-1]),
        ({"result": None, "network": None, "record": None, "rows": []}, []),
    ],
)
def test_what_is_missing_leaves_its_heading(changes: dict[str, Any], figures: list[str]) -> None:
    made = shown(**changes)
    assert (made.headings, made.figures, made.open) == (SECTIONS, figures, [])


def test_a_loss_that_is_not_a_number_breaks_nothing() -> None:
    bad = rows()
    bad[2] = bad[2].model_copy(update={"loss": float("nan")})
    assert shown(rows=bad).data[0]["curves"]["loss"] == [1.0, 0.5, None, 0.25]


def test_many_runs_fit_into_a_file_that_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = [report(name=f"run {number}") for number in range(6)]
    whole = Page(render(reports)).data
    assert all("clips" in each and "left_out" not in each for each in whole)
    clips = len(page.as_json([[each["clips"], each["synapses"]] for each in whole]))
    monkeypatch.setattr(page, "LARGEST_BYTES", len(render(reports).encode()) - clips // 2)
    text = render(reports)
    short = Page(text).data
    assert "clips" in short[0], "the last runs lose first"
    assert short[-1]["left_out"][0] == "clips"
    assert "clips" not in short[-1]
    assert len(text.encode()) <= page.LARGEST_BYTES
    monkeypatch.setattr(page, "LARGEST_BYTES", 0)
    least = Page(render(reports))
    drawn = {"dt", "longest", "layers", "classes", "scores", "rates"}
    known = {"name", "best", "curves", "named", "right", "began", "left_out"}
    assert all(set(each) <= known | drawn for each in least.data)
    assert len(least.tables["Accuracy of the runs"]) == 7, "every run keeps its row"


def test_the_shipped_limit_is_5_mb() -> None:
    assert page.LARGEST_BYTES < 5_000_000


def test_many_classes_are_listed_and_not_drawn() -> None:
    names = tuple(f"class {number}" for number in range(80))
    many = report(network=network(names), record=record(80))
    assert "confusion" not in drawings(many)
    made = Page(render([many]))
    assert "confusion" not in made.figures
    assert made.tables["Commonest mistakes"][1] == ["class 0", "class 1", "3"]


def test_the_sample_of_synapses_is_drawn_from_a_seed() -> None:
    assert drawings(report())["scatter"] == drawings(report())["scatter"]


def test_no_run_is_refused() -> None:
    with pytest.raises(ValueError, match="reports: none"):
        render([])
    assert json.loads(page.as_json([1])) == [1]
