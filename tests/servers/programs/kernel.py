"""Two Jupyter kernels, one over TCP and one over unix sockets, and their client: ZeroMQ between three processes.

    kernel.py PORT ROUNDS (the kernels choose their ports themselves)
"""
import sys

from jupyter_client.manager import KernelManager

ROUNDS = int(sys.argv[2])


def start(transport):
    manager = KernelManager(kernel_name="python3", transport=transport)
    if transport == "ipc":
        manager.ip = "kernel-ipc"
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=200)
    return manager, client


def run(client, code):
    said = []

    def hook(message):
        if message["msg_type"] in ("stream", "execute_result"):
            said.append(message["content"].get("text") or message["content"]["data"]["text/plain"])
    reply = client.execute_interactive(code, output_hook=hook, timeout=200)
    assert reply["content"]["status"] == "ok", reply
    return reply["content"]["execution_count"], "".join(said)


def main():
    kernels = [start(transport) for transport in ("tcp", "ipc")]
    for _, client in kernels:
        run(client, "import threading, numbers\ntotal = 0\nseen = []")
    for round_ in range(ROUNDS):
        for _, client in kernels:
            count, text = run(client, f"total += {round_}\nseen.append(bytes({round_} * 1000))\nfor i in range(20): print(total, i)\nlen(seen)")
            total = round_ * (round_ + 1) // 2
            assert text == "".join(f"{total} {i}\n" for i in range(20)) + str(round_ + 1), text
            assert count == round_ + 2, count
        with open("progress", "a", encoding="ascii") as progress:
            progress.write(f"{round_}\n")
    for manager, client in kernels:
        assert client.is_alive()
        client.stop_channels()
        manager.shutdown_kernel()
    print(f"{ROUNDS} rounds, total {ROUNDS * (ROUNDS - 1) // 2}")


main()
