"""Accuracies with their intervals, as results keep them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST = 2**53  # JSON readers hold whole numbers exactly up to here
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Clips = Annotated[int, Field(ge=1, le=MOST)]


class Record(BaseModel):
    """Frozen values of exact types; a field that is not known is refused."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants"
    )


class Accuracy(Record):
    """Share of clips that were right, and its 95% Wilson score interval.

    Attributes:
        value, low, high: in [0, 1].
        correct: clips that were right.
        clips: clips in all.
    """

    value: Share
    low: Share
    high: Share
    correct: Count
    clips: Clips

    @model_validator(mode="after")
    def _check(self) -> Accuracy:
        if self.correct > self.clips:
            raise ValueError(f"correct: {self.correct} of {self.clips} clips")
        return self


class OverSpeakers(Record):
    """Mean of speakers' accuracies, and its 95% t-interval: what other speakers may be expected to give.

    Attributes:
        value: the mean, every speaker counted once, in [0, 1].
        low, high: of the interval, cut to [0, 1]; None where there is none: one speaker, or all the same.
        speakers: how many.
    """

    value: Share
    low: Share | None = None
    high: Share | None = None
    speakers: Count


class SplitAccuracy(Accuracy):
    """Accuracy on a split.

    Attributes:
        speakers: by name; empty where they are not known, or too many.
        over_speakers: where the speakers are unseen.
        spikes_per_neuron_and_clip: mean of every hidden layer.
    """

    speakers: dict[str, Accuracy] = {}
    over_speakers: OverSpeakers | None = None
    spikes_per_neuron_and_clip: tuple[Annotated[float, Field(ge=0, le=MOST)], ...] = ()
