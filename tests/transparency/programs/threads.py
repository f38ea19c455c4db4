"""Threads, processes, sockets, asyncio, signals and ctypes in one python program."""
import asyncio, ctypes, hashlib, mmap, os, queue, signal, socket, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor


def chain(seed):
    digest = str(seed).encode()
    for _ in range(20000):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()[:16]


async def talk():
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def one(n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"word{n}\n".encode())
        line = await reader.readline()
        writer.close()
        return line.decode().strip()
    print(*await asyncio.gather(*(one(n) for n in range(20))))
    child = await asyncio.create_subprocess_exec("sh", "-c", "echo out; exit 3", stdout=subprocess.PIPE)
    print((await child.communicate())[0], child.returncode)
    server.close()


def main():
    with ThreadPoolExecutor(8) as pool:
        print(*pool.map(chain, range(8)))
    with ProcessPoolExecutor(3) as pool:
        print(*pool.map(chain, range(4)))
    got = []
    signal.signal(signal.SIGUSR1, lambda n, frame: got.append(n))
    for _ in range(50):
        os.kill(os.getpid(), signal.SIGUSR1)
    print(len(got))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    signal.signal(signal.SIGALRM, lambda n, frame: got.append(n))
    while len(got) < 80:
        time.sleep(0.01)
    signal.setitimer(signal.ITIMER_REAL, 0)
    asyncio.run(talk())
    area = mmap.mmap(-1, 4096)
    if os.fork() == 0:
        area[:4] = b"data"
        os._exit(0)
    os.wait()
    print(area[:4])
    libc = ctypes.CDLL(None)
    print(libc.getpid() == os.getpid(), threading.get_native_id() == os.getpid())
    for command in (["sh", "-c", "kill -9 $$"], ["/no/such"], ["true"]):
        try:
            print(subprocess.run(command).returncode)
        except OSError as error:
            print(error)
    todo = queue.Queue()
    threading.Thread(target=lambda: [todo.put(n) for n in range(5)], daemon=True).start()
    print([todo.get(timeout=10) for _ in range(5)])
    pid = os.posix_spawn("/bin/echo", ["echo", "spawned"], os.environ)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    sys.exit(12)


if __name__ == "__main__":
    main()
