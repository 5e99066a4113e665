"""Monte-Carlo VI of the banana in Pyro and in NumPyro, run by a Python that has them; prints one JSON object.

`pip install torch==2.13.0 pyro-ppl numpyro` in an environment of its own, then
`python -m benchmarks.vi --peers that/environment/bin/python`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

CURVATURE, SPREAD, WIDTH = 0.5, 1.5, 0.5
RATE, DRAWS = 0.01, 64
TURNS = 3


def pyro_steps(count: int) -> dict[str, float]:
    """Seconds a step of one run: a full Gaussian q, all draws in one vectorized call."""
    import pyro  # pyright: ignore[reportMissingImports]
    import pyro.distributions as dist  # pyright: ignore[reportMissingImports]
    import torch
    from pyro.infer import SVI, Trace_ELBO  # pyright: ignore[reportMissingImports]

    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    pyro.settings.set(validate_distributions_pyro=False, validate_infer=False)
    torch.distributions.Distribution.set_default_validate_args(False)

    def log_p(z: Any) -> Any:
        x, y = z.unbind(-1)
        return dist.Normal(0.0, SPREAD).log_prob(x) + dist.Normal(CURVATURE * x**2, WIDTH).log_prob(y)

    def model() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1).mask(False))
        pyro.factor("p", log_p(z))

    def guide() -> None:
        loc, logs = pyro.param("loc", torch.zeros(2)), pyro.param("logs", torch.zeros(2))
        below = pyro.param("below", torch.zeros(()))
        factor = torch.diag(logs.exp()) + torch.nn.functional.pad(below.view(1, 1), (0, 1, 1, 0))
        pyro.sample("z", dist.MultivariateNormal(loc, scale_tril=factor))

    pyro.clear_param_store()
    bound = Trace_ELBO(num_particles=DRAWS, vectorize_particles=True, max_plate_nesting=0)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": RATE}), bound)
    times = []
    for turn in range(TURNS + 1):
        begun = time.perf_counter()
        for _ in range(count):
            svi.step()
        if turn:
            times.append((time.perf_counter() - begun) / count)
    elbo = -sum(svi.evaluate_loss() for _ in range(200)) / 200
    return {"step_s": min(times), "elbo": elbo, "draws": DRAWS}


def numpyro_steps(count: int, runs: int) -> dict[str, float]:
    """Seconds a step of all runs: one compiled scan, mapped over the runs, each with draws of its own."""
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
    import numpyro  # pyright: ignore[reportMissingImports]
    import numpyro.distributions as dist  # pyright: ignore[reportMissingImports]
    from numpyro.infer import SVI, Trace_ELBO  # pyright: ignore[reportMissingImports]

    jax.config.update("jax_enable_x64", True)

    def log_p(z: Any) -> Any:
        x, y = z[..., 0], z[..., 1]
        return dist.Normal(0.0, SPREAD).log_prob(x) + dist.Normal(CURVATURE * x**2, WIDTH).log_prob(y)

    def model(start: Any) -> None:
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1).mask(False))
        numpyro.factor("p", log_p(z))

    def guide(start: Any) -> None:
        loc, logs = numpyro.param("loc", start), numpyro.param("logs", jnp.zeros(2))
        below = numpyro.param("below", jnp.zeros(()))
        factor = jnp.diag(jnp.exp(logs)) + jnp.zeros((2, 2)).at[1, 0].set(below)
        numpyro.sample("z", dist.MultivariateNormal(loc, scale_tril=factor))

    bound = Trace_ELBO(num_particles=DRAWS, vectorize_particles=True)
    svi = SVI(model, guide, numpyro.optim.Adam(RATE), bound)

    def run(key: Any, start: Any) -> Any:
        def body(state: Any, _: None) -> Any:
            return svi.update(state, start)

        return jax.lax.scan(body, svi.init(key, start), length=count)[1]

    keys = jax.random.split(jax.random.PRNGKey(0), runs)
    starts = jax.random.uniform(jax.random.PRNGKey(1), (runs, 2), minval=-2.0, maxval=2.0)
    mapped, times = jax.jit(jax.vmap(run)), []
    for turn in range(TURNS + 1):
        begun = time.perf_counter()
        losses = mapped(keys, starts).block_until_ready()
        if turn:
            times.append((time.perf_counter() - begun) / count)
    return {"step_s": min(times), "elbo": float(-losses[:, -50:].mean(1).min()), "draws": DRAWS}


def main(count: int, runs: int) -> None:
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    found = {"pyro, 1 run": pyro_steps(count), f"numpyro, {runs} runs": numpyro_steps(count, runs)}
    found["numpyro, 1 run"] = numpyro_steps(count, 1)
    names = ("torch", "pyro-ppl", "numpyro", "jax")
    print(json.dumps({"steps": found, "versions": {name: version(name) for name in names}}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
