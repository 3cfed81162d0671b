"""The sections of a recipe and their fields, as plain values with ranges and units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def split_text(value: object) -> object:
    """``256, 256`` on the command line is a list, and ``empty`` one without anything."""
    if not isinstance(value, str):
        return value
    return [part for part in map(str.strip, value.split(",")) if part not in ("", "empty")]


def _none(value: object) -> object:
    return None if value == "none" else value


def _absolute(value: str | None) -> str | None:
    return str(Path(value).absolute()) if value else value


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _names(value: object) -> object:
    """Text stays whole: a name may hold commas, and only who knows the names can tell (``split_names``)."""
    if isinstance(value, str):
        return [value] if split_text(value) else []
    return [_text(part) for part in value] if isinstance(value, list | tuple) else value


# leaves out a value that a recipe has; TOML has no null
OptionalText = Annotated[str | None, BeforeValidator(_none)]
# a relative path is one from the working directory, in a .toml file too; a run is used from other folders
OptionalPath = Annotated[str | None, BeforeValidator(_none), AfterValidator(_absolute)]
OptionalNumber = Annotated[float | None, BeforeValidator(_none)]
OptionalInteger = Annotated[int | None, BeforeValidator(_none)]
Integers = Annotated[tuple[int, ...], BeforeValidator(split_text)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Sizes = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(split_text)]


class Section(BaseModel):
    """A part of a recipe: frozen, an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CoincidenceData(Section):
    """A synthetic task made on the spot: which order did the channels fire in?"""

    kind: Literal["coincidence"]
    classes: int = Field(ge=2, le=100, description="patterns")
    channels: int = Field(ge=2, le=1000, description="input channels")
    dt_ms: float = Field(gt=0, le=1000, description="length of a step [ms]")
    gap_ms: float = Field(gt=0, description="time between two spikes of a pattern [ms]")
    jitter: float = Field(ge=0, le=1, description="probability that a pattern's spike comes one step early or late")
    noise: int = Field(ge=0, le=100, description="further spikes per channel and clip")
    clip_ms: float = Field(gt=0, description="length of a clip [ms]")
    train_clips: int = Field(ge=1, le=10_000_000, description="clips to train on")
    validation_clips: int = Field(ge=1, le=10_000_000, description="clips to choose the epoch on")
    test_clips: int = Field(ge=1, le=10_000_000, description="clips read once, after training")
    seed: int = Field(ge=0, description="seed of patterns and clips")


class DigitsData(Section):
    """Spoken digits that come with the package: zero to nine in English and German, synthetic voices."""

    kind: Literal["digits"]
    file: OptionalPath = Field(None, description="what ranvier data make-digits wrote, none for the package's own")

    @property
    def dt_ms(self) -> float:
        """Length of a step [ms]."""
        return 10.0


class _Recorded(Section):
    """Recordings in SHD's format."""

    root: OptionalPath = Field(None, description="folder that holds the recording")
    channels: OptionalInteger = Field(
        None, ge=1, le=65535, description="channels of the recording, none takes what it says of itself, else 700"
    )
    time_unit: Literal["recording", "s", "ms", "us"] = Field(
        "recording", description="unit of the recording's times; recording: what it says of itself, else seconds"
    )
    pool: int = Field(ge=1, description="neighbouring channels summed into one input")
    dt_ms: float = Field(gt=0, le=1000, description="length of a step [ms]")
    alignment: Literal["zero", "first_event"] = Field(description="where step 0 begins")


class _HeldOut(_Recorded):
    """Validation clips are taken from those to train on."""

    validation: Literal["speakers", "fraction", "leave-one-speaker-out", "none"] = Field(
        description="what the epoch is chosen on: held-out speakers, a random share of the clips, each speaker in turn "
        "(one training each), or nothing (the last epoch counts)"
    )
    validation_fraction: float = Field(gt=0, lt=1, description="share held out by validation = fraction")
    seen_fraction: float = Field(
        ge=0, lt=1, description="share of the training speakers' clips held out besides, to report on speakers seen"
    )
    split_seed: int = Field(ge=0, description="seed of the random shares; the same for every train.seed")


class SHDData(_HeldOut):
    """Spiking Heidelberg Digits, or any recording in its format: shd_train.h5[.gz], and shd_test.h5[.gz] if there."""

    kind: Literal["shd"]
    validation_speakers: Integers = Field(description="speakers held out by validation = speakers")


class FolderData(_HeldOut):
    """A folder of labelled sound, or a recording in SHD's format (.h5, .h5.gz)."""

    kind: Literal["folder"]
    validation_speakers: Names = Field(description="speakers held out by validation = speakers")
    test: Literal["speakers", "fraction", "fsdd", "none"] = Field(
        description="what is read once, after training: every clip of test_speakers, a random share, the official test "
        "set of the Free Spoken Digit Dataset (takes 0 to 4), or nothing"
    )
    test_speakers: Names = Field(description="speakers kept for the test by test = speakers")
    test_fraction: float = Field(gt=0, lt=1, description="share kept for the test by test = fraction")
    label_pattern: OptionalText = Field(
        None, description="regular expression that finds the class in a sound file's path, instead of its folder"
    )
    speaker_pattern: OptionalText = Field(
        None, description="regular expression that finds the speaker in a sound file's path"
    )
    ear_seed: int = Field(ge=0, description="seed of the ear's nerve fibres")


class SSCData(_Recorded):
    """Spiking Speech Commands: ssc_train.h5[.gz], ssc_valid.h5[.gz], and ssc_test.h5[.gz] if there."""

    kind: Literal["ssc"]


class GSCData(Section):
    """Google Speech Commands v0.02, folders of words, as log-mel frames or as an ear's spikes."""

    kind: Literal["gsc"]
    root: OptionalPath = Field(None, description="folder that holds the folders of words")
    words: Annotated[Literal["35", "12"], BeforeValidator(_text)] = Field(
        description="classes: all 35 words, or ten, unknown and silence"
    )
    input: Literal["mel", "mel-paper", "ear"] = Field(
        description="140 log-mel bands, the same as published (53 of them always empty), or spikes of our ear"
    )
    split_seed: int = Field(ge=0, description="seed of what stands for unknown and silence")
    ear_seed: int = Field(ge=0, description="seed of the ear's nerve fibres")

    @property
    def dt_ms(self) -> float:
        """Length of a step [ms]."""
        return 10.0


class _Delayed(Section):
    """What every network with delays has."""

    max_delay_ms: float = Field(ge=0, description="longest delay, a whole number of steps [ms]")
    tau_ms: float = Field(gt=0, description="membrane time constant [ms]")
    leak_rule: Literal["euler", "exp"] = Field(
        description="share kept per step: euler 1 - dt/tau (the paper's), exp e^(-dt/tau)"
    )
    surrogate: Literal["arctan", "fast_sigmoid", "triangle"] = Field(description="derivative of the step function")
    surrogate_alpha: float = Field(gt=0, description="steepness of the surrogate")
    tail_ms: float = Field(ge=0, description="silence after a clip, a whole number of steps [ms]")


class FeedforwardModel(_Delayed):
    """The paper's network."""

    kind: Literal["feedforward"]
    delays: Literal["learned", "fixed", "none", "every"] = Field(
        description="learned with the weights, frozen where they start, none at all, or every one at once with a free "
        "weight for each (the dense convolution)"
    )
    incoming: OptionalInteger = Field(
        None, ge=1, description="sources that a neuron has synapses from, drawn at random and kept; none for all"
    )
    hidden: Sizes = Field(min_length=1, description="neurons of each hidden layer")
    branches: int = Field(ge=1, le=64, description="synapses per pair of neurons (the paper's kernel count)")
    delay_type: Literal["synaptic", "axonal", "dendritic"] = Field(
        description="one delay per synapse, source or target"
    )
    kernel: Literal["gaussian", "triangle"] = Field(description="shape of a tap in training")
    neuron: Literal["lif", "plif"] = Field(
        "lif", description="lif, or plif: every layer, the output too, learns its membrane's decay from tau_ms on"
    )
    threshold: float = Field(gt=0, description="voltage at which a neuron spikes")
    synapse_tau_ms: OptionalNumber = Field(
        None,
        gt=0,
        description="time constant of the traces that hidden neurons' spikes leave, none for plain spikes [ms]",
    )
    learn_synapse_tau: bool = Field(False, description="every hidden layer learns that time constant from there on")
    dropout_at: Literal["trace", "spikes"] = Field(
        "trace", description="where neurons leave traces: silence these, or the spikes before (the official code)"
    )
    max_init_delay_ms: OptionalNumber = Field(
        None,
        ge=0,
        description="delays start uniform from 0 to here, those beyond max_delay_ms at it, none for max_delay_ms [ms]",
    )
    dropout: float = Field(ge=0, lt=1, description="share of hidden neurons silenced for a clip in training")
    tail: Literal["clip", "per_layer"] = Field(
        description="the silence comes once for all layers, or anew with every layer (the official code's padding)"
    )


class DetectorModel(_Delayed):
    """One coincidence detector per class."""

    kind: Literal["detectors"]
    delays: Literal["learned", "fixed", "none"] = Field(
        description="learned with the weights, frozen where they start, or none at all"
    )
    readout_tau_ms: float = Field(gt=0, description="time for which a vote is remembered [ms]")
    vote: float = Field(gt=0, description="voltage that a detector's spike adds to its class")


class TrainConfig(Section):
    """How it is trained."""

    seed: int = Field(ge=0, lt=2**63, description="seed of start, order of clips and dropout")
    start: OptionalText = Field(
        None,
        description="finished run that the training starts from (output neurons by the name of their class), its "
        "folder or the name of a run of the package (ranvier ls; a run's folder of that name here comes first), none "
        "for a random start",
    )
    start_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the start in the finished network: weights, delays and batch norm are averaged with it, "
        "0.5 where the test is unlike the training clips",
    )
    epochs: int = Field(ge=1, le=100_000, description="passes over the training clips")
    batch_size: int = Field(ge=1, le=65536, description="clips per step")
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: in the loss a training clip counts inversely to how many its class has, mean 1",
    )
    weight_lr: float = Field(gt=0, description="peak of the weights' one-cycle learning rate")
    weight_decay: float = Field(ge=0, description="of the weights; batch norm has none")
    tau_weight_decay: float = Field(0.0, ge=0, description="weight decay of learned membrane time constants (plif)")
    delay_lr_ms: float = Field(gt=0, description="learning rate of the delays at the start, cosine to 0 [ms per step]")
    sigma_start_ms: float = Field(gt=0, description="width of a tap at the start [ms]")
    sigma_end_ms: float = Field(gt=0, description="width of a tap at the end [ms]")
    sigma_fraction: float = Field(gt=0, le=1, description="share of the training over which the width shrinks")
    sigma_schedule: Literal["exponential", "linear", "cosine", "dcls"] = Field(
        "exponential",
        description="how the width goes from start to end; equal ends keep it constant; dcls: 0.27 steps stay and what "
        "is above them shrinks exponentially (the official code)",
    )
    schedule_per: Literal["iteration", "epoch"] = Field(
        "iteration", description="learning rates and width change after every batch, or every epoch (the official code)"
    )
    padding: Literal["masked", "counted"] = Field(
        "masked",
        description="what fills clips up to the longest of their batch counts nowhere, or as silence of the clip in "
        "batch norm, scores and loss (the official code: a prediction then depends on the other clips of its batch)",
    )

    @property
    def padded_batch(self) -> int | None:
        """Clips per batch where padding counts, so that batches matter in evaluation; else None."""
        return self.batch_size if self.padding == "counted" else None


class AugmentConfig(Section):
    """What happens to training clips, drawn anew each time; off unless a recipe says otherwise."""

    blend_probability: float = Field(
        0.0, ge=0, le=1, description="probability that a clip is blended with another of its class"
    )
    shift_channels: int = Field(0, ge=0, le=1000, description="inputs that a clip is shifted up or down by at most")
    shift_ms: float = Field(0.0, ge=0, le=1000, description="time that a clip comes earlier or later by at most [ms]")
    keep_probability: float = Field(1.0, gt=0, le=1, description="probability that an event is kept")
    jitter_ms: float = Field(0.0, ge=0, le=1000, description="standard deviation of what an event is moved by [ms]")
    channel_mask_probability: float = Field(
        0.0, ge=0, le=1, description="probability that neighbouring inputs of a clip are silenced"
    )
    channel_mask_channels: int = Field(0, ge=0, le=1000, description="inputs silenced at most")
    time_mask_probability: float = Field(
        0.0, ge=0, le=1, description="probability that a stretch of a clip is silenced"
    )
    time_mask_ms: float = Field(0.0, ge=0, le=10_000, description="time silenced at most [ms]")
    cut_mix_probability: float = Field(
        0.0, ge=0, le=1, description="probability that a stretch of a clip is replaced by that of another"
    )
    cut_mix_share: float = Field(0.5, gt=0, le=1, description="share of a clip replaced at most")
