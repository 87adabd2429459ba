"""Ctrl-C in a loop of donated steps, sent for real."""

import signal
import subprocess
import sys
import threading

import pytest

import jaxtbe

PROGRAM = """
import os, random, signal, sys, threading, time
import jax, jax.numpy as jnp, jaxtbe

emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=5000, dim=16)], [jaxtbe.Feature("x", table="t")])
bags = emb.bags({"x": [[1, 2], [3]]})
tx = jaxtbe.optim.sgd(0.1)

@jax.jit(donate_argnums=0)
def step(params):
    grads = jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)["x"]))(params)
    updates, _ = tx.update(grads, tx.init(params), params)
    return jax.tree.map(lambda p, u: p + u, params, updates)

params = step(emb.init(jax.random.key(0)))
rng = random.Random(0)
for attempt in range(20):
    timer = threading.Timer(0.005 + 0.02 * rng.random(), os.kill, (os.getpid(), signal.SIGINT))
    steps = 0
    try:
        timer.start()
        while True:
            with jaxtbe.hold_interrupts():
                params = step(params)
                steps += 1
    except KeyboardInterrupt:
        pass
    timer.join()
    assert not params.tables["t"].is_deleted(), f"attempt {attempt}: the tables are lost"
    float(params.tables["t"][0, 0])
print("kept")
"""


def test_no_table_is_lost():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.returncode == 0 and "kept" in run.stdout, run.stderr


def test_an_interrupt_comes_at_the_end_of_the_outermost_block():
    before = signal.getsignal(signal.SIGINT)
    done = []
    with pytest.raises(KeyboardInterrupt), jaxtbe.hold_interrupts():
        with jaxtbe.hold_interrupts():
            signal.raise_signal(signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is before


def test_errors_pass_and_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), jaxtbe.hold_interrupts():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with jaxtbe.hold_interrupts():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_do_nothing():
    seen = []

    def run():
        with jaxtbe.hold_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
