"""The sections of a recipe other than its data, as plain values with ranges and units."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ranvier.corpora.section import OptionalInteger, OptionalNumber, OptionalText, Section, Sizes
from ranvier.network import Scores
from ranvier.recipes.neurons import check_neuron

Skip = Literal["none", "input", "all"]  # as models.feedforward has it, which loads torch
Precision = Literal["float32", "tf32", "bfloat16"]


def check_device(name: str) -> str:
    """A device's name, unless it can be none of any machine.

    Raises:
        ValueError: it is not; the message says what is allowed.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
        raise ValueError("auto, cpu, cuda, cuda:N, mps")
    return name


Device = Annotated[str, AfterValidator(check_device)]


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
    scores: Scores = Field(
        "softmax",
        description="class scores from the output voltages: sum over time of their softmax, sum of the voltages (the "
        "loss takes their mean), max(imum) over time, or that of the last step; count: output neurons spike as hidden "
        "ones do, and the scores are how many spikes each makes (the loss takes 10 times their mean rate; of equal "
        "counts the first class is predicted)",
    )


class FeedforwardModel(_Delayed):
    """The paper's network."""

    kind: Literal["feedforward"]
    delays: Literal["learned", "fixed", "none", "dense"] = Field(
        description="learned with the weights, frozen where they start, none at all, or every one at once with a free "
        "weight for each (the dense convolution)"
    )
    weight_bits: Annotated[Literal["none", "8", "4", "ternary"], BeforeValidator(str)] = Field(
        "none",
        description="weights in whole steps in training too (straight-through gradient), as ranvier quantize makes "
        "them of so many bits; none for any number",
    )
    delay_bits: OptionalInteger = Field(
        None,
        ge=1,
        le=15,
        description="delays on at most 2^bits values in training too, evenly spaced from 0 to max_delay_ms; none for "
        "every step",
    )
    fan_in: OptionalInteger = Field(
        None,
        ge=1,
        description="sources of the layer before that a neuron has synapses from, drawn and kept; none for all",
    )
    hidden: Sizes = Field(min_length=1, description="neurons of each hidden layer")
    synapses_per_pair: int = Field(ge=1, le=64, description="synapses per pair of neurons (the paper's kernel count)")
    delay_type: Literal["synaptic", "axonal", "dendritic"] = Field(
        description="one delay per synapse, source or target"
    )
    kernel: Literal["gaussian", "triangle", "delrec"] = Field(
        description="shape of a tap in training; delrec: a triangle of constant area, as DelRec has it"
    )
    skip: Skip = Field(
        "none",
        description="skip connections, with weights and delays as the others have: none, from the input to every layer "
        "after the first (the output too), or from the input and all layers before",
    )
    recurrent: Literal["none", "undelayed", "synaptic", "axonal", "dendritic"] = Field(
        "none",
        description="recurrent connections of hidden layers, each from all neurons to all: none, all delayed by one "
        "step, or with one delay per synapse, source or target, learned or fixed as model.delays says and not bounded "
        "by model.max_delay_ms",
    )
    recurrent_max_init_delay_ms: OptionalNumber = Field(
        None,
        gt=0,
        description="recurrent delays start uniform from one step to here, none for max_delay_ms [ms]",
    )
    recurrent_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of hidden neurons whose spikes do not come back for a clip in training"
    )
    neuron: Annotated[str, AfterValidator(check_neuron)] = Field(
        "lif",
        description="lif; plif: every layer, the output too, learns its membrane's decay from tau_ms on; adlif: hidden "
        "neurons adapt, and each learns its time constants (adlif_...); or a neuron of an installed package",
    )
    learn_tau: Literal["none", "layer", "neuron"] = Field(
        "none",
        description="membrane time constants learned from tau_ms on, the output's too: one for each layer (as plif), "
        "or one for each neuron",
    )
    reset: Literal["zero", "subtract"] = Field(
        "zero", description="a hidden neuron's spike sets its voltage to 0, or takes the threshold off it"
    )
    learn_threshold: Literal["none", "layer", "neuron"] = Field(
        "none", description="thresholds learned: one for each hidden layer, or one for each neuron"
    )
    adlif_tau_min_ms: float = Field(20.0, gt=0, description="shortest membrane time constant of adlif [ms]")
    adlif_tau_max_ms: float = Field(100.0, gt=0, description="longest membrane time constant of adlif [ms]")
    adlif_adaptation_tau_min_ms: float = Field(240.0, gt=0, description="shortest time constant of its adaptation [ms]")
    adlif_adaptation_tau_max_ms: float = Field(1200.0, gt=0, description="longest time constant of its adaptation [ms]")
    adlif_scale: OptionalNumber = Field(
        None,
        gt=0,
        description="adaptation that adlif's learned strengths of 1 stand for (the paper's q), none for 120 "
        "(symplectic) or 60 (forward), or as much as is stable",
    )
    adlif_euler: Literal["symplectic", "forward"] = Field(
        "symplectic", description="adlif's adaptation follows voltage and spikes of its time step, or of the one before"
    )
    threshold: float = Field(gt=0, description="voltage at which a neuron spikes")
    batch_norm: bool = Field(
        True, description="normalise the currents of hidden layers; false: they have a learned bias instead"
    )
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
    init_delay: Literal["uniform", "log_uniform", "shortest"] = Field(
        "uniform",
        description="how delays start between the shortest and the longest: uniform, with a uniform logarithm, or all "
        "the shortest",
    )
    round_delay: bool = Field(
        False,
        description="taps of learned delays stand at rounded ones in training too (straight-through gradient), so that "
        "rounding at the end costs nothing",
    )
    learn_sigma: Literal["none", "layer", "synapse"] = Field(
        "none",
        description="widths of taps learned with the delays, from train.sigma_start_ms or train.init_from on and "
        "without a schedule: one for each layer, or one for each delay; none: they shrink as train.sigma_... says",
    )
    dropout: float = Field(ge=0, lt=1, description="share of hidden neurons silenced for a clip in training")
    tail: Literal["clip", "per_layer"] = Field(
        description="the silence comes once for all layers, or anew with every layer (the official code's padding)"
    )

    @property
    def learned_tau(self) -> Literal["none", "layer", "neuron"]:
        """``learn_tau``, which the neuron plif implies."""
        return "layer" if self.neuron == "plif" and self.learn_tau == "none" else self.learn_tau


class DetectorModel(_Delayed):
    """One coincidence detector per class."""

    kind: Literal["detectors"]
    delays: Literal["learned", "fixed", "none"] = Field(
        description="learned with the weights, frozen where they start, or none at all"
    )
    readout_tau_ms: float = Field(gt=0, description="time for which a vote is remembered [ms]")
    vote: float = Field(gt=0, description="voltage that a detector's spike adds to its class")


class ConvolutionalModel(_Delayed):
    """Delayed convolutions of pictures and a dense readout."""

    kind: Literal["convolutional"]
    delays: Literal["learned", "fixed", "none", "dense"] = Field(
        description="learned with the weights, frozen where they start, none at all, or every one at once with a free "
        "weight for each (the dense convolution over space and time)"
    )
    hidden: Sizes = Field(min_length=1, description="channels of each hidden layer")
    kernel_size: int = Field(
        ge=1, le=999, description="rows and columns of every kernel, an odd number; its padding is half of it"
    )
    stride: int = Field(ge=1, le=999, description="rows and columns from one place of a kernel to the next")
    kernel: Literal["gaussian", "triangle", "delrec"] = Field(description="shape of a tap in training")
    threshold: float = Field(gt=0, description="voltage at which a neuron spikes")
    dropout: float = Field(ge=0, lt=1, description="share of hidden neurons silenced for a clip in training")
    readout_tau_ms: float = Field(gt=0, description="membrane time constant of the readout [ms]")


class TrainConfig(Section):
    """How it is trained."""

    seed: int = Field(ge=0, lt=2**63, description="seed of start, order of clips and dropout")
    init_from: OptionalText = Field(
        None,
        description="finished run that the training starts from (output neurons by the name of their class), its "
        "folder or the name of a run of the package (ranvier ls; a run's folder of that name here comes first), none "
        "for a random start",
    )
    init_interpolation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the start in the finished network: weights, delays and batch norm are averaged with it, "
        "0.5 where the test is unlike the training clips",
    )
    device: Device = Field(
        "auto",
        description="where it is trained: auto (CUDA where it works, else the CPU), cpu, cuda, cuda:N or mps",
    )
    precision: Precision = Field(
        "float32",
        description="format of the factors in matrix products while training, where the device has it; voltages, "
        "sums and evaluation stay in float32",
    )
    epochs: int = Field(ge=1, le=100_000, description="passes over the training clips")
    batch_size: int = Field(ge=1, le=65536, description="clips per step")
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: in the loss a training clip counts inversely to how many its class has, mean 1",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the target that is spread evenly over all classes in the loss"
    )
    gradient_norm: OptionalNumber = Field(
        None,
        gt=0,
        description="longest gradient, the norm over all parameters together; a longer one is scaled down, none for no "
        "limit",
    )
    rate_penalty: float = Field(
        0.0,
        ge=0,
        description="weight in the loss of hidden neurons' rates outside of rate_min_hz to rate_max_hz: the mean over "
        "neurons and clips of the squared distance in spikes per time step",
    )
    rate_min_hz: float = Field(0.0, ge=0, description="lowest rate without penalty, of a neuron in a clip [Hz]")
    rate_max_hz: OptionalNumber = Field(
        None, gt=0, description="highest rate without penalty, of a neuron in a clip, none for no limit [Hz]"
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share that an average of all parameters keeps with every iteration; above 0 that average is what "
        "is evaluated and kept",
    )
    prune: Literal["none", "magnitude", "delay", "joint"] = Field(
        "none",
        description="synapses that are taken away while training, in every layer by itself: of the smallest weights "
        "(magnitude), of the longest delays (delay), or of the smallest weight per time step of buffer (joint, "
        "|w| / (1 + delay)); the epoch is chosen among those after it",
    )
    density: float = Field(
        1.0, gt=0, le=1, description="share of the synapses that pruning leaves, or that rewiring has from the start on"
    )
    prune_start: float = Field(
        0.25, ge=0, lt=1, description="share of the training after which pruning begins, fast and then ever slower"
    )
    prune_end: float = Field(0.75, gt=0, le=1, description="share of the training after which it has ended")
    rewire: Literal["none", "random", "rigl"] = Field(
        "none",
        description="synapses are drawn at random at the start and kept (random), or during three quarters of the "
        "training those of the smallest weights are replaced by those of the largest gradients, each with a new delay "
        "(rigl)",
    )
    rewire_steps: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="iterations from one rewiring (rigl) to the next; one that rewires takes no other step",
    )
    weight_lr: float = Field(gt=0, description="learning rate of the weights, the highest of its schedule")
    weight_lr_schedule: Literal["one-cycle", "cosine", "constant"] = Field(
        "one-cycle",
        description="of the weights' learning rate: up from a 25th in the first 30% of the training and down to almost "
        "0, cosine to 0 from the start on, or the same throughout",
    )
    weight_decay: float = Field(ge=0, description="of the weights; batch norm has none")
    tau_weight_decay: float = Field(
        0.0, ge=0, description="weight decay of learned membrane time constants (plif, learn_tau)"
    )
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
    time_mask_probability: float = Field(0.0, ge=0, le=1, description="probability that a span of a clip is silenced")
    time_mask_ms: float = Field(0.0, ge=0, le=10_000, description="time silenced at most [ms]")
    cut_mix_probability: float = Field(
        0.0, ge=0, le=1, description="probability that a span of a clip is replaced by that of another"
    )
    cut_mix_share: float = Field(0.5, gt=0, le=1, description="share of a clip replaced at most")
