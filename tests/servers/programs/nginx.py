"""nginx with two workers, wrk, and a client that compares every byte; nginx reads its configuration again in the middle.

    nginx.py PORT ROUNDS
"""
import hashlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time

PORT, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
SIZES = (0, 1, 4096, 70_000, 600_000)
CONFIGURATION = f"""
daemon off; worker_processes 2; pid nginx.pid; error_log error.log notice; {'user nobody nogroup;' if os.getuid() == 0 else ''}
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {{ listen 127.0.0.1:{PORT}; listen [::1]:{PORT}; listen unix:nginx.sock; root html; }}
  server {{ listen unix:front.sock; location / {{ proxy_pass http://127.0.0.1:{PORT}; proxy_buffering on; }} }}
}}
"""


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


def connections():
    return [http.client.HTTPConnection("127.0.0.1", PORT), http.client.HTTPConnection("::1", PORT)]


def start_server():
    server = subprocess.Popen(["nginx", "-p", os.getcwd(), "-c", "nginx.conf", "-e", "error.log"])
    while True:
        try:
            socket.create_connection(("127.0.0.1", PORT)).close()
            return server
        except ConnectionRefusedError:
            assert server.poll() is None, "the server has ended"
            time.sleep(0.01)


def reload(server):
    """Until the old workers have gone: one that is about to closes what it has just accepted."""
    server.send_signal(signal.SIGHUP)
    while open("error.log", encoding="ascii").read().count("exited with code 0") < 2:
        time.sleep(0.005)


def main():
    os.makedirs("html", exist_ok=True)
    pages = {f"/{size}": (bytes(range(256)) * (size // 256 + 1))[:size] for size in SIZES}
    for name, text in pages.items():
        with open("html" + name, "wb") as page:
            page.write(text)
    with open("nginx.conf", "w", encoding="ascii") as file:
        file.write(CONFIGURATION)
    server = start_server()
    # Longer than the rounds take: it is interrupted, and reports then.
    wrk = subprocess.Popen(["wrk", "-t2", "-c12", "-d1h", f"http://127.0.0.1:{PORT}/4096"], stdout=subprocess.PIPE, text=True)
    right = 0
    # Made once, and used before the first moment: what waits at a unix socket to be accepted cannot be saved with data in it
    # (an open defect).
    kept = [*connections(), UnixConnection("nginx.sock"), UnixConnection("front.sock")]
    for round_ in range(ROUNDS):
        if round_ == ROUNDS // 2:
            reload(server)
            kept = connections()
        fresh = connections()
        for connection in kept + fresh:
            for name, text in pages.items():
                connection.request("GET", name, headers={"Connection": "close"} if connection in fresh else {})
                response = connection.getresponse()
                got = response.read()
                assert response.status == 200 and hashlib.sha256(got).digest() == hashlib.sha256(text).digest(), (name, response.status)
                right += 1
        with open("progress", "a", encoding="ascii") as progress:
            progress.write(f"{round_}\n")
    wrk.send_signal(signal.SIGINT)
    report = wrk.communicate()[0]
    assert wrk.returncode == 0, report
    assert "Non-2xx" not in report, report
    # Time-outs are those of requests under way when it was stopped for longer; at the reload workers close connections.
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", report)
    assert errors is None or errors[1] == errors[3] == "0", report
    server.send_signal(signal.SIGQUIT)
    assert server.wait() == 0, "how the server ended"
    print(f"{right} pages as they should be")


main()
