"""Compiles training steps for an H100 and prints, for each, its table copies, temporary bytes and native calls, as JSON.

Run by test_cuda_compile.py in a process of its own with JAX_PLATFORMS=cpu: with a platform chosen, JAX's CUDA plugin
registers itself even where there is no GPU.
"""

import json
import re

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
from test_in_place import LOSSES, make, make_step, optimizer, table_copies

import jaxtbe

H100 = """
gpu_device_info {
  name: "NVIDIA H100" cuda_compute_capability { major: 9 } core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  l2_cache_size: 52428800 memory_bandwidth: 3350000000000 device_memory_size: 84942979072
}
platform_name: "CUDA"
dnn_version_info { major: 9 }
device_description_str: "NVIDIA H100"
"""
"""What CUDA reports of the device, as XLA's target configuration."""


def compiled(step, placement, *args, donate):
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x), sharding=placement), args)
    return jax.jit(step, donate_argnums=donate).trace(*shapes).lower(lowering_platforms=("cuda",)).compile()


def main() -> None:
    topology = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1")
    placement = SingleDeviceSharding(topology.devices[0])
    emb, bags, params = make()
    for loss in LOSSES:
        for rule in (jaxtbe.optim.rowwise_adagrad, jaxtbe.optim.adam):
            tx = optimizer(rule(0.1))
            program = compiled(make_step(emb, tx, loss), placement, params, tx.init(params), bags, donate=(0, 1))
            facts = {
                "step": f"{loss.__name__}, {rule.__name__}",
                "copies": table_copies(program),
                "temp_bytes": program.memory_analysis().temp_size_in_bytes,
                "targets": re.findall(r'custom_call_target="(jaxtbe_\w+)"', program.as_text()),
            }
            print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
