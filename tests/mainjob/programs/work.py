"""Four threads compute; the main one writes a line a step to stdout and to a file. Usage: work.py STEPS"""
import hashlib, os, sys, threading

steps, count = int(sys.argv[1]), 4
gate = threading.Barrier(count + 1)
digests = [str(n).encode() for n in range(count)]
history = {}


def work(n):
    for step in range(steps):
        for _ in range(6000):
            digests[n] = hashlib.sha256(digests[n]).digest()
        history[(n, step)] = digests[n] * 50
        gate.wait()
        gate.wait()


threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
for thread in threads:
    thread.start()
with open("progress", "w") as file:
    for step in range(steps):
        gate.wait()
        line = f"{step} {' '.join(d.hex()[:16] for d in digests)} {len(history)}"
        print(line, flush=True)
        print(line, file=file, flush=True)
        gate.wait()
for thread in threads:
    thread.join()
print(hashlib.sha256(b"".join(history[key] for key in sorted(history))).hexdigest(), os.path.getsize("progress"))
sys.exit(3)
