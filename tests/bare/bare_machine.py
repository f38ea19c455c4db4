#!/usr/bin/env python3
"""Runs a command of the README on a bare Debian 12: a fresh root directory with mount and pid namespaces of its own.

    bare_machine.py --source TREE [--root] [--command scripts/demo]

The tree is copied there and belongs to an ordinary user who may use sudo (with --root: to root). Whatever the command
leaves running ends with the pid namespace, and the directory is removed. Needs root, debootstrap and a Debian mirror.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import debian  # noqa: E402  (after the path)

SKIPPED = 77
USER = "someone"

# Runs inside the new namespaces; $1 is the root directory, $2 the user, $3 the command.
INSIDE = r"""
set -e
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$1/dev/pts"
mount -t tmpfs tmpfs "$1/dev/shm"
cp /etc/resolv.conf "$1/etc/resolv.conf"
echo "127.0.0.1 localhost $(hostname)" > "$1/etc/hosts"
exec chroot "$1" su - "$2" -s /bin/bash -c "cd ~/cairn && $3"
"""


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIPPED)


def make_machine(root, source, user):
    subprocess.run(["debootstrap", "--variant=minbase", "--include=sudo", "bookworm", root, debian.mirror()],
                   check=True, stdout=subprocess.DEVNULL)
    if user != "root":
        subprocess.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", user], check=True)
        (root / "etc/sudoers.d" / user).write_text(f"{user} ALL=(ALL) NOPASSWD: ALL\n")
    home = root / ("root" if user == "root" else f"home/{user}")
    shutil.copytree(source, home / "cairn", symlinks=True, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    subprocess.run(["chroot", root, "chown", "-R", f"{user}:{user}", f"/{home.relative_to(root)}/cairn"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--root", action="store_true", help="as root, not as an ordinary user")
    parser.add_argument("--command", default="scripts/demo")
    options = parser.parse_args()
    if os.getuid() != 0:
        skip("only root can make a root directory")
    if not shutil.which("debootstrap"):
        skip("no debootstrap")
    if debian.mirror() is None:
        skip("apt has no mirror")
    user = "root" if options.root else USER
    base = pathlib.Path(tempfile.mkdtemp(prefix="cairn-bare-", dir="/var/tmp"))
    try:
        root = base / "root"
        make_machine(root, options.source, user)
        done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, "sh",
                               root, user, options.command], check=False)
    finally:
        # The mounts went with their namespace; a file system still mounted here would be emptied, too.
        if any(str(base) in line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()):
            sys.exit(f"something is still mounted below {base}")
        shutil.rmtree(base)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
