"""The program of scripts/demo: four threads compute, each a chain of hashes over its own memory.

    demo_program.py STEPS OUTPUT

Writes one line a step to OUTPUT, then one line with a digest of everything that was computed. The digest
is right only if every thread's memory, stack and position came through unharmed. Says once on stderr that it began.
"""

import hashlib
import sys
import threading

THREADS = 4
BLOCK = 1 << 20


def work(index, block, barrier, steps):
    for step in range(steps):
        for _ in range(16):
            digest = hashlib.sha256(block).digest()  # without the interpreter's lock: truly parallel
            at = int.from_bytes(digest[:4], "little") % (BLOCK - len(digest))
            block[at:at + len(digest)] = digest
            block[index] = step % 256
        barrier.wait()


def main():
    steps, output = int(sys.argv[1]), open(sys.argv[2], "w", buffering=1)
    print("begins", file=sys.stderr, flush=True)
    blocks = [bytearray([index + 1]) * BLOCK for index in range(THREADS)]
    done = iter(range(1, steps + 1))
    barrier = threading.Barrier(THREADS, action=lambda: output.write(f"step {next(done)} of {steps}\n"))
    threads = [threading.Thread(target=work, args=(index, block, barrier, steps))
               for index, block in enumerate(blocks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    output.write("result " + hashlib.sha256(b"".join(blocks)).hexdigest()[:32] + "\n")


main()
