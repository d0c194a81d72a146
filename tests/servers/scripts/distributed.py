"""One of several processes that train together: distributed.py BACKEND RANK COUNT ADDRESSES GATEWAY.

ADDRESSES are those of all processes. JAX and PyTorch make do with the first.
"""

import importlib
import json
import os
import sys
from typing import Any

backend, rank, count, gateway = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[5]
addresses = sys.argv[4].split(",")
coordinator = addresses[0]
os.environ["KERAS_BACKEND"] = backend

if backend == "jax":
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, count, rank)
elif backend == "tensorflow":
    task = {"type": "worker", "index": rank}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    tensorflow: Any = importlib.import_module("tensorflow")
    strategy = tensorflow.distribute.MultiWorkerMirroredStrategy()
else:
    torch: Any = importlib.import_module("torch")
    torch.distributed.init_process_group("gloo", f"tcp://{coordinator}", rank=rank, world_size=count)

import keras  # noqa: E402 - which backend it has is decided above
import numpy as np  # noqa: E402

from gangplank import PushgatewayExporter, Telemetry, TelemetryCallback  # noqa: E402

keras.utils.set_random_seed(0)
x = np.random.default_rng(rank).normal(size=(64, 3)).astype("float32")
y = x.sum(axis=1, keepdims=True)
telemetry = Telemetry(exporters=[PushgatewayExporter(gateway, "together")])

if backend == "jax":
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
    model.compile("sgd", "mse")
    callback = TelemetryCallback(telemetry)
    loss = model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[callback]).history["loss"][-1]
elif backend == "tensorflow":
    with strategy.scope():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
        optimizer = keras.optimizers.SGD(0.01)
        optimizer.build(model.trainable_variables)

    def step(images: Any, labels: Any) -> Any:
        """Take a step in this process, and return its share of the loss."""
        with tensorflow.GradientTape() as tape:
            error = tensorflow.reduce_mean((model(images) - labels) ** 2) / count
        optimizer.apply(tape.gradient(error, model.trainable_variables))
        return error

    @tensorflow.function  # type: ignore[untyped-decorator]
    def step_together(images: Any, labels: Any) -> Any:
        """Take a step in all processes, and return the loss."""
        return strategy.reduce("SUM", strategy.run(step, (images, labels)), axis=None)

    with telemetry.training_run("net") as run:
        for _ in range(2):
            for batch in range(4):
                rows = slice(16 * batch, 16 * (batch + 1))
                loss = float(step_together(tensorflow.constant(x[rows]), tensorflow.constant(y[rows])))
                run.step()
            run.epoch({"loss": loss})
else:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
    together = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(together.parameters(), lr=0.01)
    with telemetry.training_run("net", rank=torch.distributed.get_rank()) as run:
        for _ in range(2):
            for batch in range(4):
                rows = slice(16 * batch, 16 * (batch + 1))
                optimizer.zero_grad()
                error = (together(torch.as_tensor(x[rows])) - torch.as_tensor(y[rows])).square().mean()
                error.backward()
                optimizer.step()
                run.step()
            torch.distributed.all_reduce(error := error.detach())
            loss = float(error) / count
            run.epoch({"loss": loss})
print(f"loss={loss}", flush=True)  # noqa: T201
telemetry.close()
if backend == "torch":
    torch.distributed.destroy_process_group()
