"""What every augmentation of spike clips promises, and that each does what it says, as often as it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, chisquare, norm

from ranvier.data import DataError
from ranvier.data.augment import Augmentation, blend, drop_events, jitter, shift_channels, shift_steps
from ranvier.data.augment_masks import channel_mask, cut_mix, time_mask

CLASSES = 3


class Batch(NamedTuple):
    x: NDArray[np.float32]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]

    def locked(self) -> Batch:
        """The same, where to write is an error."""
        for part in self:
            part.setflags(write=False)
        return self


Operation = Callable[..., tuple[NDArray[Any], NDArray[Any]]]


def same_lengths(function: Callable[..., Any], *, lengths: bool = True, labels: bool = False) -> Operation:
    """The function on a batch, with those parts of it that it takes."""

    def operation(batch: Batch, generator: np.random.Generator, **settings: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        parts = [batch.x, *[batch.lengths] * lengths, *[batch.labels] * labels]
        return function(*parts, generator, **settings), batch.lengths

    return operation


def mixed(batch: Batch, generator: np.random.Generator, **settings: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return cut_mix(*batch, CLASSES, generator, **settings)[0], batch.lengths


def shifted(batch: Batch, generator: np.random.Generator, **settings: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return shift_steps(batch.x, batch.lengths, generator, **settings)


OPERATIONS: dict[str, tuple[Operation, dict[str, Any], dict[str, Any]]] = {
    # name: function, settings that change much, settings that change nothing
    "blend": (same_lengths(blend, labels=True), {"probability": 0.8}, {"probability": 0}),
    "shift_channels": (same_lengths(shift_channels, lengths=False), {"most": 9}, {"most": 0}),
    "shift_steps": (shifted, {"most": 9}, {"most": 0}),
    "drop_events": (same_lengths(drop_events, lengths=False), {"keep": 0.6}, {"keep": 1}),
    "jitter": (same_lengths(jitter), {"sigma_steps": 4.0}, {"sigma_steps": 0}),
    "channel_mask": (
        same_lengths(channel_mask, lengths=False),
        {"longest": 20, "probability": 0.8},
        {"longest": 20, "probability": 0},
    ),
    "time_mask": (
        same_lengths(time_mask),
        {"longest_steps": 20, "probability": 0.8},
        {"longest_steps": 20, "probability": 0},
    ),
    "cut_mix": (mixed, {"longest_share": 1.0, "probability": 0.8}, {"longest_share": 1.0, "probability": 0}),
}


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    time, clips, sources = (draw(st.integers(1, most)) for most in (12, 6, 7))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = generator.integers(1, time, clips, endpoint=True)
    x = generator.poisson(draw(st.sampled_from([0.0, 0.3, 4.0])), (time, clips, sources))
    x[np.arange(time)[:, None] >= lengths] = 0
    return Batch(x.astype(np.float32), lengths, generator.integers(0, CLASSES, clips)).locked()


def filled(lengths: NDArray[np.int64], sources: int, value: Any = 1) -> NDArray[np.float32]:
    """A batch whose every cell within the lengths holds the value (of its clip)."""
    inside = np.arange(lengths.max())[:, None] < lengths
    return np.repeat((inside * np.asarray(value))[:, :, None], sources, axis=2).astype(np.float32)


def assert_drawn_from(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Numbers of cases against their expectations."""
    assert chisquare(found, expected * (np.sum(found) / np.sum(expected))).pvalue > 1e-4


seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("name", OPERATIONS)
@given(batch=batches(), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_clips_stay_clips_and_the_batch_stays_as_it_was(name: str, batch: Batch, seed: int) -> None:
    operation, strong, _ = OPERATIONS[name]
    x, lengths = operation(batch, np.random.default_rng(seed), **strong)

    assert (str(x.dtype), str(lengths.dtype)) == ("float32", "int64")
    assert x.shape[1:] == batch.x.shape[1:]
    assert not np.shares_memory(x, batch.x)
    assert np.all((x >= 0) & (x == np.floor(x)))
    assert np.all((lengths >= 1) & (lengths <= len(x)))
    assert not x[np.arange(len(x))[:, None] >= lengths].any()
    if name != "shift_steps":
        np.testing.assert_array_equal(lengths, batch.lengths)
        assert len(x) == len(batch.x)

    again, lengths_again = operation(batch, np.random.default_rng(seed), **strong)
    np.testing.assert_array_equal(again, x)
    np.testing.assert_array_equal(lengths_again, lengths)


@pytest.mark.parametrize("name", OPERATIONS)
@given(batch=batches(), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_nothing_is_changed_where_nothing_is_asked_for(name: str, batch: Batch, seed: int) -> None:
    operation, _, off = OPERATIONS[name]
    x, lengths = operation(batch, np.random.default_rng(seed), **off)
    assert x.tobytes() == batch.x.tobytes()
    assert lengths.tolist() == batch.lengths.tolist()
    assert not np.shares_memory(x, batch.x)


@pytest.mark.parametrize("name", OPERATIONS)
def test_other_seeds_do_other_things(name: str) -> None:
    operation, strong, _ = OPERATIONS[name]
    generator = np.random.default_rng(0)
    batch = Batch(filled(np.full(20, 30), 25, generator.integers(1, 9, 20)), np.full(20, 30), np.zeros(20, np.int64))
    first, second = (operation(batch, np.random.default_rng(seed), **strong)[0] for seed in (1, 2))
    assert first.tobytes() != batch.x.tobytes()
    assert first.tobytes() != second.tobytes()


@pytest.mark.parametrize("name", ["channel_mask", "drop_events", "time_mask"])
@given(batch=batches(), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_what_removes_events_adds_none(name: str, batch: Batch, seed: int) -> None:
    operation, strong, _ = OPERATIONS[name]
    assert np.all(operation(batch, np.random.default_rng(seed), **strong)[0] <= batch.x)


@given(batch=batches(), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_jitter_keeps_every_event_in_its_clip_and_channel(batch: Batch, seed: int) -> None:
    x = jitter(batch.x, batch.lengths, np.random.default_rng(seed), sigma_steps=5.0)
    np.testing.assert_array_equal(x.sum(0), batch.x.sum(0))


@pytest.mark.parametrize("sigma", [0.4, 1.0, 6.5])
def test_jitter_moves_by_the_asked_spread(sigma: float) -> None:
    steps, events = 201, 100_000
    x = np.zeros((steps, 2, 3), np.float32)
    x[100, 1, 2] = events
    found = jitter(x, np.full(2, steps), np.random.default_rng(0), sigma_steps=sigma)[:, 1, 2]
    away = np.arange(steps) - 100
    expected = norm.cdf((away + 0.5) / sigma) - norm.cdf((away - 0.5) / sigma)
    spread = np.sqrt(np.sum(found * away**2) / events)
    assert spread == pytest.approx(np.sqrt(np.sum(expected * away**2)), rel=0.01)
    often = expected * events > 5
    assert_drawn_from(found[often], expected[often])


def test_jitter_stops_at_both_ends_of_the_clip() -> None:
    lengths, events = np.array([20, 12]), 20_000
    x = np.zeros((20, 2, 1), np.float32)
    x[0, :, 0] = x[lengths - 1, [0, 1], 0] = events
    found = jitter(x, lengths, np.random.default_rng(0), sigma_steps=2.0)
    share = norm.cdf(0.5 / 2.0)  # those that would leave, and those that round to no step
    for clip, length in enumerate(lengths):
        assert found[[0, length - 1], clip, 0] / events == pytest.approx([share, share], abs=0.02)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("count", [1, 6, 40])
def test_thinning_draws_binomially(keep: float, count: int) -> None:
    x = np.full((20, 30, 20), count, np.float32)
    found = np.bincount(drop_events(x, np.random.default_rng(1), keep=keep).astype(int).ravel(), minlength=count + 1)
    expected = binom.pmf(np.arange(count + 1), count, keep) * x.size
    often = expected > 5
    assert found[expected == 0].sum() == 0
    if often.sum() > 1:
        assert_drawn_from(found[often], expected[often])
    else:
        assert found[often].tolist() == [x.size]


def test_channels_are_moved_by_every_allowed_number_and_never_around() -> None:
    clips, sources, most = 3000, 9, 3
    x = np.random.default_rng(0).integers(1, 1000, (4, clips, sources)).astype(np.float32)
    moved = shift_channels(x, np.random.default_rng(1), most=most)
    found = np.zeros(2 * most + 1, int)
    for clip in range(clips):
        padded = np.pad(x[:, clip], ((0, 0), (most, most)))
        fits = [(padded[:, most - n : most - n + sources] == moved[:, clip]).all() for n in range(-most, most + 1)]
        assert sum(fits) == 1
        found += fits
    assert_drawn_from(found, np.ones(2 * most + 1))


def test_a_clip_can_be_moved_out_of_its_channels() -> None:
    moved = shift_channels(np.ones((2, 500, 3), np.float32), np.random.default_rng(0), most=10)
    assert set(moved.sum((0, 2)).tolist()) == {0, 2, 4, 6}


def test_clips_come_earlier_and_later_and_lengths_follow() -> None:
    generator, most = np.random.default_rng(0), 5
    lengths = generator.integers(1, 9, 4000, endpoint=True)
    x = filled(lengths, 2) * generator.integers(1, 1000, (9, len(lengths), 2)).astype(np.float32)
    moved, after = shift_steps(x, lengths, generator, most=most)
    assert len(moved) == 9 + most
    for clip, (length, new) in enumerate(zip(lengths, after, strict=True)):
        by = new - length
        expected = np.zeros((len(moved), 2))
        for step in range(max(0, -by), length):
            expected[step + by] = x[step, clip]
        np.testing.assert_array_equal(moved[:, clip], expected)
        assert expected.any()
    long = lengths > most
    assert_drawn_from(np.bincount((after - lengths)[long] + most), np.ones(2 * most + 1))
    assert (after - lengths)[lengths == 1].min() == 0


def test_time_grows_only_where_a_clip_needs_it() -> None:
    x = np.ones((10, 1, 1), np.float32) * (np.arange(10)[:, None, None] < 4)
    lengths = np.array([4])
    sizes = {len(shift_steps(x, lengths, np.random.default_rng(seed), most=8)[0]) for seed in range(100)}
    assert sizes == {10, 11, 12}


@pytest.mark.parametrize("axis", ["time", "channel"])
@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_a_mask_is_one_stretch_of_any_allowed_size_at_any_place(axis: str, probability: float) -> None:
    clips, room, longest = 6000, 7, 4
    generator = np.random.default_rng(3)
    if axis == "time":
        x = np.pad(np.ones((room, clips, 2), np.float32), ((0, 3), (0, 0), (0, 0)))
        masked = time_mask(x, np.full(clips, room), generator, longest_steps=longest, probability=probability)
        hidden = (masked == 0)[:room]
    else:
        x = np.ones((2, clips, room), np.float32)
        masked = channel_mask(x, generator, longest=longest, probability=probability)
        hidden = (masked == 0).transpose(2, 1, 0)
    np.testing.assert_array_equal(hidden[:, :, 0], hidden[:, :, 1])  # a whole step, or a whole channel

    size = hidden[:, :, 0].sum(0)
    start, last = hidden[:, :, 0].argmax(0), room - 1 - hidden[::-1, :, 0].argmax(0)
    any_hidden = size > 0
    np.testing.assert_array_equal((last - start + 1)[any_hidden], size[any_hidden])
    assert any_hidden.mean() == pytest.approx(probability, abs=0.02)
    assert_drawn_from(np.bincount(size[any_hidden])[1:], np.ones(longest))
    for width in range(1, longest + 1):
        assert_drawn_from(np.bincount(start[size == width]), np.ones(room - width + 1))


@pytest.mark.parametrize(("share", "probability"), [(1.0, 1.0), (0.5, 0.4)])
def test_cut_mix_takes_one_stretch_of_another_clip_and_says_how_much(share: float, probability: float) -> None:
    generator = np.random.default_rng(5)
    lengths, labels = generator.integers(4, 12, 3000), generator.integers(0, CLASSES, 3000)
    own = np.arange(3000)
    x = filled(lengths, 2, own + 1)
    found, target = cut_mix(x, lengths, labels, CLASSES, generator, longest_share=share, probability=probability)
    assert target.dtype == np.float32
    np.testing.assert_array_equal(found[:, :, 0], found[:, :, 1])
    found = found[:, :, 0].astype(int) - 1
    sizes, others = [], []
    for clip, length in enumerate(lengths):
        foreign = np.flatnonzero(found[:length, clip] != clip)
        expected = np.zeros(CLASSES)
        expected[labels[clip]] = 1
        if len(foreign):
            (other,) = set(found[foreign, clip].tolist())
            assert np.all(np.diff(foreign) == 1)
            assert foreign[-1] < lengths[other]
            assert len(foreign) <= share * min(length, lengths[other])
            expected[labels[clip]] -= len(foreign) / length
            expected[labels[other]] += len(foreign) / length
            sizes.append(len(foreign) / (share * min(length, lengths[other])))
            others.append((other - clip) % 3000)
        np.testing.assert_allclose(target[clip], expected, rtol=0, atol=1e-7)
    np.testing.assert_allclose(target.sum(1), 1, rtol=0, atol=2e-7)
    assert len(sizes) / 3000 == pytest.approx(probability, abs=0.03)
    assert max(sizes) == 1
    assert_drawn_from(np.histogram(others, 10, (1, 3000))[0], np.ones(10))


def test_cut_mix_never_takes_the_clip_itself_where_there_is_another() -> None:
    for seed in range(50):
        x, target = cut_mix(
            filled(np.array([8, 8]), 2, np.array([1, 2])),
            np.array([8, 8]),
            np.array([0, 1]),
            CLASSES,
            np.random.default_rng(seed),
            longest_share=0.9,
            probability=1.0,
        )
        assert (x[:, 0] == 2).any()
        assert (x[:, 1] == 1).any()
        assert np.all(target.max(1) < 1)


def test_a_clip_without_company_is_not_mixed() -> None:
    x = filled(np.array([8]), 2)
    found, target = cut_mix(
        x, np.array([8]), np.array([2]), CLASSES, np.random.default_rng(0), longest_share=1.0, probability=1.0
    )
    np.testing.assert_array_equal(found, x)
    assert target.tolist() == [[0, 0, 1]]


@given(batch=batches(), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_shares_sum_to_1(batch: Batch, seed: int) -> None:
    _, target = cut_mix(*batch, CLASSES, np.random.default_rng(seed), longest_share=1.0, probability=0.7)
    assert target.min() >= 0
    np.testing.assert_allclose(target.sum(1), 1, rtol=0, atol=2e-7)
    assert np.all(target[np.arange(len(target)), batch.labels] >= 0)


def mates(labels: NDArray[np.int64], seed: int, probability: float = 1.0) -> list[int]:
    """Which other clip each one was blended with; itself where it was left alone."""
    # two bundles of spikes, a distance apart that only this clip has; all have the same middle
    clips, middle = len(labels), len(labels) + 1
    x = np.zeros((3, clips, 2 * middle + 1), np.float32)
    for clip in range(clips):
        x[1, clip, [middle - clip - 1, middle + clip + 1]] = 400
    found = blend(x, np.full(clips, 3), labels, np.random.default_rng(seed), probability=probability)
    answer = []
    for clip in range(clips):
        distances = set(np.abs(np.flatnonzero(found[1, clip]) - middle) - 1)
        assert clip in distances
        answer.append(int((distances - {clip} or {clip}).pop()))
        if answer[-1] == clip:
            np.testing.assert_array_equal(found[:, clip], x[:, clip])
        else:
            assert found[1, clip].sum() == pytest.approx(800, abs=5 * np.sqrt(1600) / 2)
    return answer


def test_a_clip_is_blended_with_any_other_of_its_class() -> None:
    labels = np.array([2, 0, 2, 1, 0, 2, 2])
    found = np.zeros((7, 7))
    for seed in range(600):
        found[np.arange(7), mates(labels, seed)] += 1
    allowed = (labels == labels[:, None]) & ~np.eye(7, dtype=bool)
    allowed[3, 3] = True  # alone with its class
    assert not found[~allowed].any()
    for clip in range(7):
        if allowed[clip].sum() > 1:
            assert_drawn_from(found[clip, allowed[clip]], np.ones(allowed[clip].sum()))


def test_as_many_clips_are_blended_as_asked_for() -> None:
    labels = np.zeros(200, np.int64)
    alone = sum(clip == mate for seed in range(5) for clip, mate in enumerate(mates(labels, seed, 0.3)))
    assert alone / 1000 == pytest.approx(0.7, abs=0.05)


def test_clips_are_aligned_before_they_are_blended() -> None:
    generator = np.random.default_rng(0)
    shape = generator.poisson(20, (6, 5)).astype(np.float32)
    x = np.zeros((15, 2, 14), np.float32)
    x[1:7, 0, 2:7] = shape
    x[8:14, 1, 6:11] = shape
    found = np.mean(
        [blend(x, np.array([15, 15]), np.array([1, 1]), generator, probability=1.0) for _ in range(400)], axis=0
    )
    # half of twice the same
    assert not found[x == 0].any()
    np.testing.assert_allclose(found, x, atol=5 * np.sqrt(x.max() / 2 / 400))


def test_half_of_either_clip_is_kept_event_by_event() -> None:
    # mirror images: the means agree, so nothing moves
    x = np.zeros((2, 2, 20_000), np.float32)
    x[0, 0], x[1, 1] = 3, 5
    x = np.concatenate([x, x[::-1]])
    found = blend(x, np.array([4, 4]), np.array([0, 0]), np.random.default_rng(0), probability=1.0)
    for step, count in enumerate((3, 5, 5, 3)):
        counts = np.bincount(found[step, 0].astype(int), minlength=count + 1)
        assert_drawn_from(counts, binom.pmf(np.arange(count + 1), count, 0.5))


def test_a_clip_without_events_is_blended_where_it_stands() -> None:
    x = np.zeros((5, 2, 4), np.float32)
    x[3, 1, 2] = 1000
    found = blend(x, np.array([5, 5]), np.array([0, 0]), np.random.default_rng(0), probability=1.0)
    assert np.flatnonzero(found.sum((1, 2))).tolist() == [3]
    assert found[3, :, 2] == pytest.approx([500, 500], abs=80)


def tensors(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x, lengths, labels = (torch.from_numpy(part.copy()) for part in batch)
    return x, lengths, labels


ALL_ON = Augmentation(
    blend_probability=0.5,
    shift_channels=2,
    shift_steps=3,
    keep_probability=0.8,
    jitter_steps=1.5,
    channel_mask_probability=0.6,
    channel_mask_channels=3,
    time_mask_probability=0.7,
    time_mask_steps=4,
    cut_mix_probability=0.9,
    cut_mix_share=0.6,
)


@given(batch=batches(), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_everything_in_the_stated_order(batch: Batch, seed: int) -> None:
    given_tensors, before = tensors(batch), tensors(batch)
    x, lengths, target = ALL_ON.apply(*given_tensors, CLASSES, np.random.default_rng(seed))
    for now, then in zip(given_tensors, before, strict=True):
        assert torch.equal(now, then)

    generator = np.random.default_rng(seed)
    expected = blend(*batch, generator, probability=0.5)
    expected = shift_channels(expected, generator, most=2)
    expected, steps = shift_steps(expected, batch.lengths, generator, most=3)
    expected = drop_events(expected, generator, keep=0.8)
    expected = jitter(expected, steps, generator, sigma_steps=1.5)
    expected = channel_mask(expected, generator, longest=3, probability=0.6)
    expected = time_mask(expected, steps, generator, longest_steps=4, probability=0.7)
    expected, shares = cut_mix(expected, steps, batch.labels, CLASSES, generator, longest_share=0.6, probability=0.9)
    np.testing.assert_array_equal(x.numpy(), expected)
    assert lengths.tolist() == steps.tolist()
    np.testing.assert_array_equal(target.numpy(), shares)
    assert (x.dtype, lengths.dtype, target.dtype) == (torch.float32, torch.int64, torch.float32)


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (Augmentation(blend_probability=1.0), lambda b, g: blend(b.x, b.lengths, b.labels, g, probability=1.0)),
        (Augmentation(shift_channels=3), lambda b, g: shift_channels(b.x, g, most=3)),
        (Augmentation(shift_steps=3), lambda b, g: shift_steps(b.x, b.lengths, g, most=3)[0]),
        (Augmentation(keep_probability=0.2), lambda b, g: drop_events(b.x, g, keep=0.2)),
        (Augmentation(jitter_steps=2.0), lambda b, g: jitter(b.x, b.lengths, g, sigma_steps=2.0)),
        (
            Augmentation(channel_mask_probability=1.0, channel_mask_channels=2),
            lambda b, g: channel_mask(b.x, g, longest=2, probability=1.0),
        ),
        (
            Augmentation(time_mask_probability=1.0, time_mask_steps=2),
            lambda b, g: time_mask(b.x, b.lengths, g, longest_steps=2, probability=1.0),
        ),
        (
            Augmentation(cut_mix_probability=1.0, cut_mix_share=0.9),
            lambda b, g: cut_mix(b.x, b.lengths, b.labels, CLASSES, g, longest_share=0.9, probability=1.0)[0],
        ),
    ],
)
def test_each_alone(augmentation: Augmentation, expected: Callable[[Batch, np.random.Generator], Any]) -> None:
    generator = np.random.default_rng(0)
    batch = Batch(
        generator.poisson(2.0, (8, 5, 6)).astype(np.float32), np.full(5, 8), np.array([0, 1, 0, 1, 2])
    ).locked()
    x, _, target = augmentation.apply(*tensors(batch), CLASSES, np.random.default_rng(4))
    np.testing.assert_array_equal(x.numpy(), expected(batch, np.random.default_rng(4)))
    assert x.numpy().tobytes() != batch.x.tobytes()
    assert target.dtype == (torch.float32 if augmentation.cut_mix_probability else torch.int64)


@given(batch=batches())
@settings(max_examples=20, deadline=None)
def test_by_default_a_batch_comes_back_and_nothing_is_drawn(batch: Batch) -> None:
    generator = np.random.default_rng(0)
    x, lengths, target = Augmentation().apply(*tensors(batch), CLASSES, generator)
    assert x.numpy().tobytes() == batch.x.tobytes()
    assert lengths.tolist() == batch.lengths.tolist()
    assert (target.tolist(), target.dtype) == (batch.labels.tolist(), torch.int64)
    assert generator.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_cross_entropy_takes_either_target() -> None:
    generator = np.random.default_rng(0)
    batch = Batch(np.ones((9, 40, 2), np.float32), np.full(40, 9), generator.integers(0, CLASSES, 40))
    scores = torch.from_numpy(generator.normal(size=(40, CLASSES)).astype(np.float32))
    *_, hard = Augmentation(shift_steps=1).apply(*tensors(batch), CLASSES, generator)
    *_, soft = Augmentation(cut_mix_probability=1.0).apply(*tensors(batch), CLASSES, generator)
    for target, shares in ((hard, F.one_hot(hard, CLASSES)), (soft, soft)):
        by_hand = -(shares * scores.log_softmax(1)).sum(1).mean()
        assert float(F.cross_entropy(scores, target)) == pytest.approx(float(by_hand), rel=1e-5)
    assert soft.max(1).values.min() < 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("blend_probability", 1.1),
        ("blend_probability", -0.1),
        ("blend_probability", float("nan")),
        ("shift_channels", -1),
        ("shift_steps", 65536),
        ("keep_probability", 1.5),
        ("jitter_steps", -2.0),
        ("jitter_steps", float("inf")),
        ("channel_mask_probability", 2),
        ("channel_mask_channels", -3),
        ("time_mask_probability", -1),
        ("time_mask_steps", -1),
        ("cut_mix_probability", 7),
        ("cut_mix_share", 1.01),
        # a mask that is on, and masks nothing
        ("channel_mask_probability", 0.5),
        ("time_mask_probability", 0.5),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(DataError, match=field):
        Augmentation(**{field: value})


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [(name, setting, -1) for name, (_, strong, _) in OPERATIONS.items() for setting in strong]
    + [("drop_events", "keep", 1.1), ("cut_mix", "longest_share", 1.1), ("blend", "probability", float("nan"))],
)
def test_each_function_names_what_it_refuses(name: str, setting: str, value: float) -> None:
    operation, strong, _ = OPERATIONS[name]
    batch = Batch(np.ones((4, 2, 3), np.float32), np.full(2, 4), np.zeros(2, np.int64))
    with pytest.raises(DataError, match=rf"^{setting}: {value} is not allowed"):
        operation(batch, np.random.default_rng(0), **{**strong, setting: value})


@pytest.mark.parametrize("name", ["blend", "drop_events", "jitter"])
@pytest.mark.parametrize("count", [0.5, -1, float("nan"), float("inf"), 2.0**25])
def test_events_are_drawn_from_whole_counts_only(name: str, count: float) -> None:
    operation, strong, _ = OPERATIONS[name]
    x = np.zeros((4, 2, 3), np.float32)
    x[2, :, 1] = count
    with pytest.raises(DataError, match=r"events in step 2, clip 0, source 1 \(whole numbers"):
        operation(Batch(x, np.full(2, 4), np.zeros(2, np.int64)), np.random.default_rng(0), **strong)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(label: int) -> None:
    with pytest.raises(DataError, match=rf"label {label} of clip 1 is not allowed \(0 ... 2\)"):
        cut_mix(
            np.ones((4, 2, 3), np.float32),
            np.full(2, 4),
            np.array([0, label]),
            3,
            np.random.default_rng(0),
            longest_share=1.0,
            probability=1.0,
        )
