"""PostgreSQL with pgbench over a unix socket and over TCP, and a client that counts what was committed.

    postgres.py PORT ROUNDS [prepare]
"""
import glob
import os
import signal
import subprocess
import sys
import time

PORT, ROUNDS = sys.argv[1], int(sys.argv[2])
BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
EACH = 60  # transactions of each client in a round


def tool(name, *arguments):
    return [f"{BIN}/{name}", *arguments]


def psql(text, place):
    return subprocess.run(tool("psql", "-X", "-h", place, "-p", PORT, "-U", "tester", "-d", "postgres", "-At", "-c", text),
                          check=True, capture_output=True, text=True).stdout.strip()


def start_server():
    server = subprocess.Popen(tool("postgres", "-D", "data", "-p", PORT, "-k", os.getcwd(), "-c", "listen_addresses=127.0.0.1,::1",
                                   "-c", "shared_buffers=16MB", "-c", "max_connections=40", "-c", "checkpoint_timeout=30s",
                                   "-c", "logging_collector=off"), stderr=open("postgres.log", "ab"))
    while subprocess.run(tool("pg_isready", "-q", "-h", os.getcwd(), "-p", PORT), check=False).returncode:
        assert server.poll() is None, "the server has ended"
        time.sleep(0.02)
    return server


def stop(server):
    server.send_signal(signal.SIGINT)
    assert server.wait() == 0, "how the server ended"


def prepare():
    subprocess.run(tool("initdb", "-D", "data", "-A", "trust", "-U", "tester", "--no-sync", "--no-locale", "-E", "UTF8"), check=True,
                   stdout=subprocess.DEVNULL)
    global PORT
    PORT = "1"  # no TCP: a name for the socket only
    server = subprocess.Popen(tool("postgres", "-D", "data", "-p", PORT, "-k", os.getcwd(), "-c", "listen_addresses="),
                              stderr=subprocess.DEVNULL)
    while subprocess.run(tool("pg_isready", "-q", "-h", os.getcwd(), "-p", PORT), check=False).returncode:
        time.sleep(0.02)
    subprocess.run(tool("pgbench", "-i", "-q", "-s", "1", "-h", os.getcwd(), "-p", PORT, "-U", "tester", "postgres"), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    psql("CREATE TABLE counted (round int PRIMARY KEY, text text)", os.getcwd())
    stop(server)


def consistent(rounds):
    here = os.getcwd()
    history = int(psql("SELECT count(*) FROM pgbench_history", here))
    assert history == rounds * 5 * EACH, f"{history} transactions of {rounds * 5 * EACH}"
    sums = psql("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),"
                " (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history)", here).split("|")
    assert len(set(sums)) == 1, sums
    assert psql("SELECT count(*), sum(round) FROM counted", here) == f"{rounds}|{rounds * (rounds - 1) // 2}"


def main():
    server = start_server()
    for round_ in range(ROUNDS):
        loads = [subprocess.Popen(tool("pgbench", "-n", "-h", place, "-p", PORT, "-U", "tester", "-t", str(EACH), *more, "postgres"),
                                  stdout=subprocess.PIPE, text=True)
                 for place, more in ((os.getcwd(), ("-c", "2", "-j", "2")), ("127.0.0.1", ("-c", "2")), ("::1", ("-c", "1", "-C")))]
        psql(f"INSERT INTO counted VALUES ({round_}, repeat('x', 3000))", "127.0.0.1")
        for load in loads:
            report = load.communicate()[0]
            assert load.returncode == 0 and "number of failed transactions: 0 " in report, report
        consistent(round_ + 1)
        with open("progress", "a", encoding="ascii") as progress:
            progress.write(f"{round_}\n")
    stop(server)
    server = start_server()
    consistent(ROUNDS)
    stop(server)
    print(f"{ROUNDS * 5 * EACH} transactions, all there")


if sys.argv[3:] == ["prepare"]:
    prepare()
else:
    main()
