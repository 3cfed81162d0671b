"""Read a run: its accuracy, its training curve, and the delays of its frozen network as arrays.

The run is ``digits``, which comes with the package; the folder of any run of ``ranvier train`` has the same files.
"""

import numpy as np

from ranvier import load_network
from ranvier.recipes.pretrained import find_run
from ranvier.runs import read_metrics, read_result

folder = find_run("digits")  # or pathlib.Path("runs/digits")
result = read_result(folder)  # result.json
epochs = read_metrics(folder)  # metrics.jsonl, a row per epoch
network = load_network("digits")  # or load_network("runs/digits")

test = result.accuracy["test"]
print(f"test accuracy {test.value:.1%}, 95% interval {test.low:.1%} to {test.high:.1%}, {test.clips} clips")
validation = np.array([row.validation_accuracy for row in epochs])
print(
    f"validation accuracy {validation[0]:.1%} after epoch 1, {validation.max():.1%} at epoch {validation.argmax() + 1}"
)

print(network)
delays_ms = {}
for layer in network.layers:
    synapses = layer.inputs[0].synapses()  # source, target, weight, delay_steps: arrays [synapse]
    delays_ms[layer.name] = synapses.delay_steps * network.dt_ms
    strong = np.abs(synapses.weight) > np.quantile(np.abs(synapses.weight), 0.9)
    print(
        f"{layer.name}: {len(synapses.weight)} synapses, mean delay {delays_ms[layer.name].mean():.1f} ms, "
        f"of the strongest tenth {delays_ms[layer.name][strong].mean():.1f} ms"
    )
