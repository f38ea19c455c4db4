"""A redis server, its clients over TCP v4, v6 and a unix socket, and redis-benchmark beside them.

    redis.py PORT ROUNDS

Each client counts what was acknowledged, and looks at the end whether it is there: in the server, and in the one that is
started from its log once more.
"""
import os
import signal
import socket
import subprocess
import sys
import time

PORT, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
PLACES = ("127.0.0.1", "::1", "redis.sock")
BATCH = 40


class Client:
    def __init__(self, place):
        if "/" in place or "." in place and not place[0].isdigit():
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.connect(place)
        else:
            self.connection = socket.create_connection((place, PORT))
        self.replies = self.connection.makefile("rb")

    def send(self, *commands):
        self.connection.sendall(b"".join(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words) for words in commands))

    def reply(self):
        line = self.replies.readline()
        assert line.endswith(b"\r\n"), "the server has gone"
        kind, rest = line[:1], line[1:-2]
        assert kind != b"-", rest
        if kind == b"$":
            return None if rest == b"-1" else self.replies.read(int(rest) + 2)[:-2]
        return [self.reply() for _ in range(int(rest))] if kind == b"*" else rest

    def close(self):
        self.replies.close()
        self.connection.close()


def start_server():
    server = subprocess.Popen(["redis-server", "--port", str(PORT), "--bind", "127.0.0.1", "-::1", "--unixsocket", "redis.sock",
                               "--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--logfile", "redis.log"])
    while True:
        try:
            client = Client("redis.sock")
            client.send((b"PING",))
            if client.reply() == b"PONG":
                client.close()
                return server
        except (OSError, AssertionError):  # it loads its log
            assert server.poll() is None, "the server has ended"
            time.sleep(0.01)


def text_of(number, round_, i):
    return b"%d:%d:%d " % (number, round_, i) * (i * i % 200 + 1)


def stop(server):
    client = Client("redis.sock")
    client.send((b"SHUTDOWN",))
    assert client.replies.read() == b""
    assert server.wait() == 0, "how the server ended"


def look(client, number, counted):
    for round_ in range(ROUNDS):
        client.send(*[(b"GET", b"key:%d:%d:%d" % (number, round_, i)) for i in range(BATCH)])
        for i in range(BATCH):
            assert client.reply() == text_of(number, round_, i), f"write {i} of round {round_}"
    client.send((b"GET", b"counter:%d" % number))
    assert int(client.reply()) == counted, "the counter"
    client.close()


def connected(place):
    """And accepted: what waits at a unix socket to be accepted cannot be saved with data in it (an open defect)."""
    client = Client(place)
    client.send((b"PING",))
    assert client.reply() == b"PONG"
    return client


def load(client, place, number):
    counted = 0
    for round_ in range(ROUNDS):
        if round_ % 3 == 2 and place != "redis.sock":  # the request is sent before anybody has accepted
            client.close()
            client = Client(place)
        client.send(*[(b"SET", b"key:%d:%d:%d" % (number, round_, i), text_of(number, round_, i)) for i in range(BATCH)])
        assert [client.reply() for _ in range(BATCH)] == [b"OK"] * BATCH
        for _ in range(10):
            client.send((b"INCR", b"counter:%d" % number))
            counted += 1
            assert int(client.reply()) == counted, "an acknowledged increment"
        if number == 0:
            if round_ % 20 == 10:  # forks
                subprocess.run(["redis-cli", "-p", str(PORT), "BGREWRITEAOF"], check=True, stdout=subprocess.DEVNULL)
            with open("progress", "a", encoding="ascii") as progress:
                progress.write(f"{round_}\n")
    look(client, number, counted)


def main():
    server = start_server()
    connections = [connected(place) for place in PLACES]
    noise = subprocess.Popen(["redis-benchmark", "-p", str(PORT), "-q", "-c", "8", "-P", "4", "-n", "100000000", "-t", "set,get,incr"],
                             stdout=subprocess.DEVNULL)
    clients = []
    for number, place in enumerate(PLACES):
        clients.append(os.fork())
        if clients[-1] == 0:
            load(connections[number], place, number)
            os._exit(0)
    for client in connections:
        client.close()
    for pid in clients:
        assert os.waitpid(pid, 0)[1] == 0, "how a client ended"
    assert noise.poll() is None, "how the benchmark ended"
    noise.send_signal(signal.SIGTERM)
    noise.wait()
    stop(server)
    server = start_server()  # from its log
    for number, place in enumerate(PLACES):
        look(connected(place), number, ROUNDS * 10)
    stop(server)
    print(f"{len(PLACES) * ROUNDS * (BATCH + 10)} writes, all present")


main()
