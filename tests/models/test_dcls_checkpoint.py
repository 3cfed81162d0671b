"""A checkpoint of the official code's shape runs the same in our model, against the real dcls package."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from DCLS.construct.modules import Dcls1d
from torch import Tensor, nn

from ranvier.models import from_dcls_checkpoint
from ranvier.nn import LIF, Integrator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # this SpikingJelly compiles by torch.jit, which torch no longer recommends
    from spikingjelly.activation_based import functional, neuron, surrogate

TAPS, DECAY = 25, 1 - 1 / 1.005


class Official(nn.Module):
    """The published network from dcls's own layer: padding, order of parts and key names are the official code's."""

    def __init__(self, sizes: list[int], synapses_per_pair: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(pairwise(sizes)):
            layer = Dcls1d(inputs, outputs, synapses_per_pair, dilated_kernel_size=TAPS, bias=False, version="gauss")
            nn.init.uniform_(layer.P, -(TAPS // 2), TAPS // 2)
            nn.init.constant_(layer.SIG, 0.23)
            last = number == len(sizes) - 2
            norm = nn.BatchNorm1d(outputs)
            nn.init.uniform_(norm.weight, 1.0, 3.0)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
            parts = [layer] if last else [layer, norm]
            self.blocks.append(nn.ModuleList([nn.ModuleList(parts)]))

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Spikes of the hidden layers, output voltages, and per clip how close a voltage came to the threshold."""
        rasters = []
        closest = torch.full(x.shape[1:2], torch.inf)
        for number, block in enumerate(self.blocks):
            x = self.current(block, x)
            v, out = torch.zeros_like(x[0]), []
            for step in x:
                v = v * DECAY + step
                if number == len(self.blocks) - 1:
                    out.append(v)
                else:
                    closest = closest.minimum((v - 1).abs().amin(1))
                    s = (v >= 1).to(v)
                    v = v * (1 - s)
                    out.append(s)
            x = torch.stack(out)
            rasters.append(x)
        return rasters[:-1], rasters[-1], closest

    @staticmethod
    def current(block: nn.Module, x: Tensor) -> Tensor:
        """What goes into a block's neurons."""
        parts = list(next(block.children()).children())
        x = F.pad(x.permute(1, 2, 0), (TAPS - 1, (TAPS - 1) // 2))
        x = parts[0](x).permute(2, 0, 1)
        return x if len(parts) == 1 else parts[1](x.unsqueeze(3).flatten(0, 1)).view_as(x)

    def round_for_evaluation(self) -> None:
        """One tap at the rounded position, as the official evaluation does."""
        for block in self.blocks:
            layer = next(next(block.children()).children())
            assert isinstance(layer, Dcls1d)
            with torch.no_grad():
                layer.P.round_()
                layer.SIG.zero_()
            layer.version = layer.DCK.version = "max"
        self.eval()


class OfficialPLIF(Official):
    """The same with SpikingJelly's own PLIF neurons, whose decays have been learned apart."""

    W = (2.0, -0.7, 0.4)

    def __init__(self, sizes: list[int], synapses_per_pair: int) -> None:
        super().__init__(sizes, synapses_per_pair)
        self.nearest = torch.empty(0)
        for number, block in enumerate(self.blocks):
            made = neuron.ParametricLIFNode(
                init_tau=1.005, v_threshold=1e9 if number == len(self.blocks) - 1 else 1.0, decay_input=False,
                surrogate_function=surrogate.ATan(alpha=5.0), detach_reset=True, step_mode="m", store_v_seq=True,
            )  # fmt: skip
            nn.init.constant_(made.w, self.W[number])
            made.surrogate_function.register_forward_pre_hook(self._watch)
            assert isinstance(block, nn.ModuleList)
            block.append(nn.ModuleList([made]))

    def _watch(self, _: nn.Module, arguments: tuple[Tensor]) -> None:
        self.nearest = self.nearest.minimum(arguments[0].abs().amin(1))

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        functional.reset_net(self)
        self.nearest = torch.full(x.shape[1:2], torch.inf)
        rasters = []
        for block in self.blocks:
            neurons = next(list(block.children())[1].children())
            x = neurons(self.current(block, x))
            rasters.append(x)
        return rasters[:-1], neurons.v_seq, self.nearest  # type: ignore[return-value]


@pytest.mark.parametrize(("sizes", "synapses_per_pair"), [([140, 256, 256, 20], 1), ([140, 64, 35], 2)])
def test_outputs_equal_the_official_networks(synapses_per_pair: int, sizes: list[int]) -> None:
    torch.manual_seed(0)
    official = Official(sizes, synapses_per_pair).train()
    x = torch.poisson(torch.full((40, 8, 140), 0.15))
    with torch.no_grad():
        for _ in range(20):
            official(x)  # batch norm gets its statistics
    state = official.state_dict()
    assert set(state) >= {"blocks.0.0.0.weight", "blocks.0.0.0.P", "blocks.0.0.0.SIG", "blocks.0.0.1.running_mean"}
    model = from_dcls_checkpoint(state, taps=TAPS, decay=DECAY)
    assert model.delay_layers[0].sigma.item() == pytest.approx(0.5)
    model.eval()
    official.round_for_evaluation()
    with torch.no_grad():
        rasters, voltage, closest = official(x)
        ours, our_voltage = model.forward_with_spikes(x, torch.full((8,), 40))
        scores = model.scores(x)
    assert voltage.shape == (40 + 12 * (len(sizes) - 1), 8, sizes[-1])
    # dcls's tap is 1 / (1 + 1e-7), ours is 1: where a voltage all but touches the threshold, rounding decides the spike
    clear = closest > 3e-6
    assert clear.sum() >= 4
    for mine, theirs in zip(ours, rasters, strict=True):
        assert 0.005 < theirs.mean() < 0.9
        assert torch.equal(mine[:, clear], theirs[:, clear])
    torch.testing.assert_close(our_voltage[:, clear], voltage[:, clear], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores[clear], voltage.softmax(-1).sum(0)[clear], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("flat", [False, True])
def test_learned_decays_are_those_of_spikingjellys_neurons(flat: bool) -> None:
    torch.manual_seed(0)
    official = OfficialPLIF([30, 24, 20, 5], 1).train()
    x = torch.poisson(torch.full((30, 8, 30), 0.3))
    with torch.no_grad():
        for _ in range(20):
            official(x)
    state = official.state_dict()
    if flat:
        places = {"0.0.0": 0, "0.0.1": 1, "0.1.0": 2, "1.0.0": 4, "1.0.1": 5, "1.1.0": 6, "2.0.0": 8, "2.1.0": 9}
        state = {f"model.{places[key[7:12]]}{key[12:]}": value for key, value in state.items()}
        assert {"model.2.w", "model.6.w", "model.9.w"} <= state.keys()
    model = from_dcls_checkpoint(state, taps=TAPS)
    decays = [module.decay.item() for module in model.modules() if isinstance(module, LIF | Integrator)]
    assert decays == pytest.approx([1 / (1 + math.exp(w)) for w in OfficialPLIF.W])
    assert [name for name, _ in model.named_parameters() if "decay" in name] == [
        "blocks.0.neuron.parametrizations.decay.original", "blocks.1.neuron.parametrizations.decay.original",
        "readout.parametrizations.decay.original",
    ]  # fmt: skip
    model.eval()
    official.round_for_evaluation()
    with torch.no_grad():
        rasters, voltage, closest = official(x)
        ours, our_voltage = model.forward_with_spikes(x, torch.full((8,), 30))
    clear = closest > 3e-6
    assert clear.sum() >= 4
    for mine, theirs in zip(ours, rasters, strict=True):
        assert 0.005 < theirs.mean() < 0.9
        assert torch.equal(mine[:, clear], theirs[:, clear])
    torch.testing.assert_close(our_voltage[:, clear], voltage[:, clear], atol=1e-5, rtol=1e-5)


def test_a_decay_is_given_where_the_file_holds_none_and_only_there() -> None:
    lif, plif = Official([5, 4, 3], 1).state_dict(), OfficialPLIF([5, 4, 3], 1).state_dict()
    with pytest.raises(ValueError, match=r"^decay: None is not allowed \(a number"):
        from_dcls_checkpoint(lif, taps=TAPS)
    with pytest.raises(ValueError, match=r"^decay: 0\.1 is not allowed \(None"):
        from_dcls_checkpoint(plif, taps=TAPS, decay=0.1)
    del plif["blocks.1.1.0.w"]
    with pytest.raises(ValueError, match=r"block 1 lacks neuron\.w"):
        from_dcls_checkpoint(plif, taps=TAPS)


def test_keys_repeated_under_model_are_passed_over() -> None:
    state = Official([5, 4, 3], 1).state_dict()
    twice = {**state, **{key.replace("blocks.", "model.", 1): value for key, value in state.items()}}
    assert len(from_dcls_checkpoint(twice, taps=TAPS, decay=0.1).blocks) == 1


def test_the_names_of_the_published_code_are_read() -> None:
    """Under ``model``, where each hidden layer is four modules: weights, batch norm, neurons, dropout."""
    state = Official([5, 4, 3, 2], 2).state_dict()
    flat = {f"model.{4 * int(key[7]) + int(key[11])}{key[12:]}": value for key, value in state.items()}
    assert {"model.0.P", "model.1.running_mean", "model.4.weight", "model.8.SIG"} <= flat.keys()
    one, other = (from_dcls_checkpoint(each, taps=TAPS, decay=0.1).state_dict() for each in (state, flat))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(ValueError, match=r"model\.3\.w"):  # of a learned synaptic trace
        from_dcls_checkpoint({**flat, "model.3.w": torch.zeros(())}, taps=TAPS, decay=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.0.0.0.P"), r"block 0 lacks linear\.P"),
        (lambda s: s.pop("blocks.0.0.1.running_var"), r"block 0 lacks norm\.running_var"),
        (lambda s: s.update({"blocks.0.2.weight": torch.zeros(1)}), "blocks.0.2.weight"),
        (lambda s: s["blocks.0.0.0.SIG"].view(-1)[:1].fill_(9), "SIG differs"),
        (lambda s: s.clear(), r"blocks \[\] found"),
    ],
)
def test_other_files_are_refused_by_name(change: object, message: str) -> None:
    assert callable(change)
    state = Official([5, 4, 3], 1).state_dict()
    change(state)
    with pytest.raises(ValueError, match=message):
        from_dcls_checkpoint(state, taps=TAPS, decay=0.1)
