"""What a report says is so: counts of what there is, words that fit the run at hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ranvier.analysis.report import page as page_file
from ranvier.analysis.report import part_phrase, render
from ranvier.analysis.report.clips import part_name, speakers_heard
from ranvier.analysis.report.drawings import drawings
from ranvier.network import Network

from .reports import Reading, accuracy, network, observed, report, rows, unpack

SHD = {"data.kind": "shd", "data.validation": "speakers", "protocol": "honest", "train.sigma_start_ms": "20.0"}


def text_of(**changes: Any) -> str:
    return " ".join(Reading(render([report(**changes)])).text.split())


def settings(**fields: str) -> dict[str, str]:
    return {**report().settings, **{name.replace("__", "."): value for name, value in fields.items()}}


def sparse() -> Network:
    """Most synapses are not there; one source of the hidden layer, and one input, have none at all."""
    net = network()
    generator = np.random.default_rng(5)
    layers = []
    for layer in net.layers:
        there = generator.random(layer.weight.shape) < 0.2
        there[:, :, 0] = False
        layers.append(replace(layer, weight=np.where(there, layer.weight, np.float32(0))))
    return replace(net, layers=tuple(layers))


def test_arrivals_are_counted_at_the_synapses_that_there_are() -> None:
    net, events = sparse(), np.arange(12.0)
    spikes = np.array([0, 0.5, 1, 1, 1, 2, 3, 4])
    expected = 0.0
    for layer, sent in zip(net.layers, (events, spikes), strict=True):
        for branch in range(layer.branches):
            for target in range(layer.targets):
                for source in range(layer.sources):
                    expected += sent[source] * (layer.weight[branch, target, source] != 0)
    text = text_of(network=net, observed=observed(source_events=events))
    assert f"{expected:,.0f} (each spike through each of its synapses" in text
    assert expected < 0.4 * sum(s.sum() * 2 * x.targets for s, x in zip((events, spikes), net.layers, strict=True))
    assert f"{sum(np.count_nonzero(x.weight) for x in net.layers):,}, each with a learned weight" in text
    assert "66 events" in text


@pytest.mark.parametrize(
    ("delays", "said"),
    [
        ("learned", "each with a learned weight and a learned delay"),
        ("fixed", "each with a learned weight and a delay that was not learned"),
        ("every", "there is one for every delay"),
        ("none", "each with a learned weight"),
    ],
)
def test_synapses_have_what_this_network_gave_them(delays: str, said: str) -> None:
    net = network()
    if delays == "none":
        still = [replace(x, delay_steps=np.zeros_like(x.delay_steps), max_delay=0) for x in net.layers]
        net = replace(net, layers=tuple(still))
    blurred = ("sigma_ms",) if delays != "learned" else ()
    made = [{k: v for k, v in row.items() if k not in blurred} for row in rows(histograms=False)]
    text = text_of(network=net, settings=settings(model__delays=delays), rows=made)
    cost = text[text.index("What it costs") : text.index("How to make it again")]
    assert said in cost
    assert ("allowed" in cost) == (delays != "none")
    if delays == "none":
        assert "delay" not in cost
        assert "one delay later" not in text
        assert "its delays" not in text
    assert ("drawn at random and not learned" in text) == (delays == "fixed")
    assert ("a synapse for each delay" in text) == (delays == "every")


@pytest.mark.parametrize(("kind", "said"), [("axonal", "from one neuron share"), ("dendritic", "to one neuron share")])
def test_delays_that_are_shared_are_called_so(kind: str, said: str) -> None:
    text = text_of(settings=settings(model__delay_type=kind))
    assert said in text
    assert "each on its own" not in text


def test_votes_are_counted_by_synapses_that_learn_nothing() -> None:
    assert "fixed ones that count the detectors' votes" in text_of(settings=settings(model__kind="detectors"))


def test_a_source_without_synapses_has_none_to_follow_and_a_weak_one_is_not_lost() -> None:
    net = sparse()
    weights = unpack(drawings(report(network=net))["synapses"][0]["weight"], "<i2").reshape(12, -1)
    assert (weights[0] == 0).all()
    weight = net.layers[0].weight.copy()
    weight[0, 0, 0] = -1e-6
    weak = replace(net, layers=(replace(net.layers[0], weight=weight), net.layers[1]))
    weights = unpack(drawings(report(network=weak))["synapses"][0]["weight"], "<i2").reshape(12, -1)
    assert weights[0].tolist() == [-1] + 7 * [0]


def test_delays_are_rounded_after_training_and_not_by_it() -> None:
    text = text_of()
    assert "one exact step" not in text
    assert "It began at 20 ms, drawn is its value at the end of each epoch, and training ended at 2.5 ms." in text
    assert "its delays were rounded to whole steps of 10 ms" in text
    constant = text_of(settings=settings(train__sigma_start_ms="2.5"))
    assert "It was 2.5 ms from first to last." in constant
    assert "so far it is at 2.5 ms" in text_of(result=None)
    unblurred = [{k: v for k, v in row.items() if k != "sigma_ms"} for row in rows(histograms=False)]
    assert "σ" not in text_of(rows=unblurred, settings=settings(model__delays="fixed"))


def test_the_table_of_epochs_says_what_its_columns_are() -> None:
    assert "σ at its end (ms)seconds so far" in text_of().replace("> ", "")


def test_bins_of_many_steps_are_named_whole_and_means_are_of_steps() -> None:
    long = replace(network().layers[0], max_delay=1000)
    net = replace(network(), layers=(long, replace(network().layers[1], max_delay=1000)))
    wide = report(network=net, rows=rows(histograms=False))
    layer = drawings(wide)["delays"]["layers"][0]
    assert layer["mean"][0] == pytest.approx(long.delay_steps.mean(), rel=1e-3)
    assert "0 to 150 ms" in Reading(render([wide])).text


@pytest.mark.parametrize(
    ("fields", "part", "heard"),
    [
        ({"data.kind": "shd", "data.validation": "speakers"}, "validation", "never"),
        ({"data.kind": "shd", "data.validation": "speakers"}, "test", None),
        ({"data.kind": "shd", "data.validation": "speakers"}, "seen", "heard"),
        ({"data.kind": "shd", "data.validation": "speakers", "protocol": "paper"}, "validation", None),
        ({"data.kind": "shd", "data.validation": "fraction"}, "validation", None),
        ({"data.kind": "shd", "data.validation": "none"}, "validation", None),
        ({"data.kind": "digits"}, "validation", "never"),
        ({"data.kind": "digits"}, "test", "never"),
        ({"data.kind": "coincidence"}, "test", None),
        ({"data.kind": "ssc"}, "validation", None),
        ({"data.kind": "gsc"}, "test", None),
        ({"data.kind": "folder", "data.validation": "fraction", "data.test": "fsdd"}, "test", None),
        ({"data.kind": "folder", "data.validation": "none", "data.test": "speakers"}, "test", "never"),
        ({"data.kind": "folder", "data.validation": "none", "data.test": "speakers"}, "validation", None),
    ],
)
def test_only_speakers_that_were_held_out_are_called_never_heard(
    fields: dict[str, str], part: str, heard: str | None
) -> None:
    assert speakers_heard(fields, part) == heard
    assert ("never heard" in part_name(fields, part)) == (heard == "never")


def test_the_same_clips_have_the_same_name_everywhere() -> None:
    never = report(settings={**settings(), **SHD})
    name = "validation clips (speakers never heard)"
    assert drawings(never)["named"]["validation_accuracy"] == name
    text = Reading(render([never])).text
    assert text.count(name) >= 2, "in the table of accuracies and in that of epochs"
    assert "voices" not in text
    plain = Reading(render([report()])).text
    assert "never heard" not in plain


def test_speakers_are_counted_where_they_are_known() -> None:
    parts = {"a": accuracy(1, 4), "b": accuracy(3, 4)}
    result = {**report().result, "accuracy": {"validation": {**accuracy(4, 8), "speakers": parts}}}  # type: ignore[dict-item]
    held_out = report(settings=SHD, result=result, observed=None)
    assert part_phrase(held_out, "validation", 8) == "8 validation clips of two speakers that it never heard"
    assert part_phrase(report(settings=SHD), "validation", 8) == ("8 validation clips of speakers that it never heard")
    text = Reading(render([held_out])).text
    assert "clips of one speaker are alike" in text
    assert "these two lie between 25.0% and 75.0%" in text


def test_clips_of_nobody_are_not_said_to_be_of_few_speakers() -> None:
    assert "alike" not in text_of(observed=observed(speakers={}))
    assert "of two speakers only" in text_of()


def test_the_page_begins_with_how_well_on_what_against_chance() -> None:
    text = text_of()
    lead = "This network is right on 85.0% of 20 test clips; guessing among its 2 classes would be right on 50.0%."
    assert lead in text
    assert "Below: how it learned, how spikes travel through it, its delays, what it mistakes for what and" in text
    nothing = text_of(result={**report().result, "accuracy": {}})  # type: ignore[dict-item]
    assert "is not known" in nothing


@pytest.mark.parametrize(
    ("train", "new", "said"),
    [
        (0.98, 0.64, "Training lies far above: at epoch 3, 98.0% of the training clips are right and 64.0%"),
        (0.60, 0.64, "Training lies below: at epoch 3,"),
        (0.66, 0.64, "The curves lie close together: at epoch 3,"),
    ],
)
def test_the_caption_fits_the_curves(train: float, new: float, said: str) -> None:
    made = [{**row, "train_accuracy": train, "validation_accuracy": new, "seen_accuracy": 0.95} for row in rows()]
    never = text_of(rows=made, settings={**settings(), **SHD})
    assert said in never
    assert ("not for speakers it never heard" in never) == (train > 0.9)
    assert "new to it too but of speakers it heard, 95.0% are right" in never
    plain = text_of(rows=made)
    assert ("not for clips it has not heard" in plain) == (train > 0.9)
    assert "of speakers it heard" not in plain


def test_what_makes_training_clips_harder_is_told_only_where_it_is_done() -> None:
    plain = text_of(settings=settings(model__delays="fixed", model__dropout="0.0"))
    for words in ("silenced at random", "changed at random", "blurred"):
        assert words not in plain
    harder = text_of(settings=settings(model__dropout="0.4", augment__keep_probability="0.9"))
    assert "with 40% of the hidden neurons silenced at random, with the clips changed at random" in harder
    assert "with blurred delays" in harder


def test_the_chosen_epochs_accuracy_stands_beside_the_last_ones() -> None:
    assert "that of the last epoch, 4, got 44.0% of them right" in text_of()
    assert "on the validation clips is optimistic; that on the test clips is not." in text_of()
    last = {**report().result, "best_epoch": 4}  # type: ignore[dict-item]
    assert "which was also the last" in text_of(result=last)
    none = {**last, "epoch_chosen_on": "nothing (last epoch)"}
    assert "The network is that of the last epoch, 4." in text_of(result=none)
    assert "optimistic" not in text_of(result=none)


def test_clips_that_the_epoch_was_chosen_on_are_one_part_and_called_so() -> None:
    result = {**report().result, "protocol": "paper", "epoch_chosen_on": "test (as published: optimistic)"}  # type: ignore[dict-item]
    text = text_of(result=result, settings=settings(protocol="paper"))
    assert "validation" not in text[text.index("How often") : text.index("How spikes travel")]
    assert "optimistic (chosen on the test clips, as published)" in text
    page = render([report(result=result, settings=settings(protocol="paper"))])
    assert page.count('<th scope="row">test clips</th>') == 1


def test_without_test_clips_no_number_is_called_a_test() -> None:
    result = {**report().result, "clips": {"test": 0}}  # type: ignore[dict-item]
    assert "no number here is a test result" in text_of(result=result)
    assert "no number here is a test result" not in text_of()


def test_the_worst_classes_are_told_with_nothing_as_0() -> None:
    three = network(("a", "b", "c"))
    never = np.array([[5, 0, 0], [4, 0, 1], [1, 0, 0]])
    text = text_of(network=three, observed=observed(confusion=never, clips=11, available=11))
    assert "Never right (0%): 2 of 3 classes, “b” and “c”." in text
    assert "Every class, worst firstclassrightof clipsb050.0%c010.0%a55100.0%" in text
    some = np.array([[5, 0, 0], [4, 1, 0], [0, 1, 0]])
    one = text_of(network=three, observed=observed(confusion=np.array([[5, 0, 0], [4, 1, 0], [0, 0, 0]])))
    assert "Worst of 2 classes: “b” (20.0% of 5)." in one, "a class without clips is not among them"
    assert "1 of 3 classes, “c”; next worst: “b” (20.0% of 5)." in text_of(
        network=three, observed=observed(confusion=some)
    )
    assert "Worst" not in text_of(network=three, observed=observed(confusion=np.diag([1, 2, 3])))


def test_the_day_of_a_run_is_told_where_its_result_has_it() -> None:
    dated = {**report().result, "finished": "2026-11-22T23:10Z"}  # type: ignore[dict-item]
    assert "Ranvier report, trained until 2026-11-22" in text_of(result=dated)
    assert "trained until" not in text_of()


def test_the_page_says_what_ranvier_is_and_where_fields_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    import email.message

    text = text_of(settings=settings(data__kind="shd"))
    assert "a Python library and command that trains spiking neural networks" in text
    assert "ranvier train shd --help" in text
    known = email.message.Message()
    known["Project-URL"] = "Homepage, https://example.org/ranvier"
    monkeypatch.setattr(page_file, "metadata", lambda name: known)
    whole = render([report()])
    assert " https://example.org/ranvier This file" in whole
    assert not re.search(r"(href|src)=.https?:", whole)


def test_one_is_one() -> None:
    text = text_of(result={**report().result, "threads": 1, "epochs": 1})  # type: ignore[dict-item]
    assert ", 1 threadcommit" in text
    assert "1 epochs" not in text


def test_how_far_delays_moved_is_told_of_the_epoch_that_was_kept() -> None:
    moved = [{**row, "delay_moved_ms": [2.0 * row["epoch"], 14.6]} for row in rows()]
    said = "By epoch 3, the one kept, half of the synapses had moved from where they began by more than 6 ms (input → "
    assert f"{said}hidden) and 15 ms (hidden → output)." in text_of(rows=moved)
    assert "had moved from where" not in text_of()
    assert "Grey outline: after epoch 1." in text_of()
    assert "the shortest and the longest begin about half as full" in text_of()
