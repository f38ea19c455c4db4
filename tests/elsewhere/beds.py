"""Other computers on this one: userlands of other Debian releases in a chroot, other kernels and CPUs in qemu.

A bed has run(argv, user): runs a command there and returns (exit code, output). All beds see the same files under
the paths of this machine: the build, and `share`, the one directory in which a bed leaves something behind.
Needs root (chroot, debootstrap) and a Debian mirror; what was made once is kept in a cache directory.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import debian  # noqa: E402  (after the path)

# Without KVM: nested virtualisation is rarely there, and emulation offers CPUs that this machine is not.
QEMU = ("qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-nodefaults", "-no-user-config", "-display", "none",
        "-serial", "stdio", "-monitor", "none", "-no-reboot")
# In this order after three passes; a kernel may have some of them built in or not at all.
MODULES = ("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "netfs", "fscache",
           "9pnet", "9pnet_virtio", "9p", "overlay")
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /lower /upper /new /bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev
for pass in 1 2 3; do for module in /modules/*.ko; do insmod $module 2>/dev/null; done; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro root /lower || exec poweroff -f
mount -t tmpfs tmpfs /upper; mkdir /upper/up /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/up,workdir=/upper/work overlay /new || exec poweroff -f
for place in proc sys dev; do mount --move /$place /new/$place; done
mkdir -p /new/dev/pts /new/dev/shm; mount -t devpts -o ptmxmode=0666 devpts /new/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /new/dev/shm; mount -t tmpfs -o mode=1777 tmpfs /new/tmp
mount -t tmpfs -o mode=0755 tmpfs /new/run
mkdir -p /new@SHARE@
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=mmap share /new@SHARE@ || exec poweroff -f
ip link set lo up 2>/dev/null || ifconfig lo 127.0.0.1
hostname elsewhere
chroot /new /bin/sh @SHARE@/job.sh
poweroff -f
"""


class Missing(Exception):
    """What this machine lacks for a bed."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Missing(f"no {program}")


def mirror():
    site = debian.mirror()
    if site is None:
        raise Missing("apt has no mirror")
    return site


class Here:
    """This machine itself."""
    name = "here"

    def run(self, argv, user, limit=600):
        done = subprocess.run(as_user(argv, user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=limit, check=False)
        return done.returncode, done.stdout.decode(errors="replace")


def as_user(argv, user):
    if user == "root":
        return list(argv)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "env", "HOME=/tmp", *argv]


class Userland:
    """The libc and programs of another Debian release on this kernel."""

    def __init__(self, release, cache, packages, visible):
        need("debootstrap", "unshare", "chroot")
        self.name = release
        self.visible = visible
        self.root = pathlib.Path(cache) / f"userland-{release}"
        done = self.root / ".complete"
        wanted = " ".join(packages)
        if done.exists() and done.read_text() == wanted:
            return
        shutil.rmtree(self.root, ignore_errors=True)
        subprocess.run(["debootstrap", "--variant=minbase", "--include=" + ",".join(packages), release, self.root, mirror()],
                       check=True, stdout=subprocess.DEVNULL)
        done.write_text(wanted)

    def run(self, argv, user, limit=600):
        binds = "".join(f'mkdir -p "$1{path}"; mount --rbind {path} "$1{path}"; ' for path in self.visible)
        script = ('set -e; mount --make-rprivate /; mount -t proc proc "$1/proc"; mount --rbind /sys "$1/sys"; '
                  'mount --rbind /dev "$1/dev"; mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"; ' + binds +
                  'exec chroot "$1" ' + shlex.join(as_user(argv, user)))
        done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", self.root],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit,
                              check=False)
        return done.returncode, done.stdout.decode(errors="replace")


def kernel_package(release, cache, packages, visible):
    """The .deb of a release's kernel, kept in the cache."""
    kept = sorted(pathlib.Path(cache).glob(f"kernel-{release}-*.deb"))
    if kept:
        return kept[-1]
    ask = "apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p' | head -n 1"
    with tempfile.TemporaryDirectory(dir=cache) as place:
        if release == host_release():
            name = subprocess.run(["sh", "-c", ask], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name], cwd=place, check=True, stdout=subprocess.DEVNULL)
        else:
            bed = Userland(release, cache, packages, [*visible, place])
            shutil.copy("/etc/resolv.conf", bed.root / "etc/resolv.conf")
            code, text = bed.run(["sh", "-c", f'apt-get -qq update && cd {place} && '
                                  f'apt-get -qq -o APT::Sandbox::User=root download "$({ask})"'], "root")
            if code != 0:
                raise Missing(f"kernel of {release}: {text[-300:]}")
        package = next(pathlib.Path(place).glob("*.deb"))
        return shutil.copy(package, pathlib.Path(cache) / f"kernel-{release}-{package.name}")


def host_release():
    text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    return next((line.partition("=")[2].strip('"') for line in text.splitlines() if line.startswith("VERSION_CODENAME=")), "")


class Kernel:
    """Another kernel, and another CPU, with this machine's files under an overlay."""

    def __init__(self, release, cpu, cache, share, packages, visible, cpus=2):
        need("qemu-system-x86_64", "busybox", "cpio", "dpkg-deb", "xz")
        self.cpu, self.cpus, self.share = cpu, cpus, str(share)
        package = kernel_package(release, cache, packages, visible)
        self.place = pathlib.Path(cache) / f"boot-{release}"
        if not (self.place / "complete").exists():
            self.unpack(package)
        self.version = (self.place / "complete").read_text().strip()
        self.name = f"{self.version}/{cpu}"

    def unpack(self, package):
        shutil.rmtree(self.place, ignore_errors=True)
        tree = self.place / "tree"
        self.place.mkdir(parents=True)
        subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
        kernel = next((tree / "boot").glob("vmlinuz-*"))
        kernel.rename(self.place / "vmlinuz")
        image = self.place / "initramfs"
        (image / "modules").mkdir(parents=True)
        (image / "bin").mkdir()
        shutil.copy(shutil.which("busybox"), image / "bin/busybox")
        for name in MODULES:
            for found in tree.glob(f"**/kernel/**/{name.replace('_', '[-_]')}.ko*"):
                target = image / "modules" / found.name
                shutil.copy(found, target)
                if found.suffix == ".xz":
                    subprocess.run(["xz", "-d", target], check=True)
        shutil.rmtree(tree)
        (self.place / "complete").write_text(kernel.name.removeprefix("vmlinuz-").partition("-")[0].partition("+")[0])

    def initramfs(self, place):
        image = self.place / "initramfs"
        init = image / "init"
        init.write_text(INIT.replace("@SHARE@", self.share))
        init.chmod(0o755)
        with open(place / "initrd", "wb") as out:
            names = subprocess.run(["find", "."], cwd=image, check=True, stdout=subprocess.PIPE).stdout
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=image, input=names, stdout=out, check=True)
        return place / "initrd"

    def run(self, argv, user, limit=900):
        share = pathlib.Path(self.share)
        # The console ends when the machine does; the job's own output and its code go by the share.
        job = (f"cd {self.share}\n{shlex.join(as_user(argv, user))} >{self.share}/job.out 2>&1 </dev/null\n"
               f"echo $? >{self.share}/job.code\nsync\n")
        for name in ("job.out", "job.code"):
            (share / name).unlink(missing_ok=True)
        (share / "job.sh").write_text(job)
        with tempfile.TemporaryDirectory() as place:
            command = [*QEMU, "-cpu", self.cpu, "-smp", str(self.cpus), "-m", "2048", "-kernel", self.place / "vmlinuz",
                       "-initrd", self.initramfs(pathlib.Path(place)), "-append", "console=ttyS0 quiet panic=-1",
                       "-fsdev", "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on",
                       "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
                       "-fsdev", f"local,id=share,path={self.share},security_model=none,multidevs=remap",
                       "-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=limit, check=False)
        console = done.stdout.decode(errors="replace")
        if not (share / "job.code").exists():
            raise Missing(f"{self.name} did not run the job: {console[-600:]}")
        return int((share / "job.code").read_text()), (share / "job.out").read_text(errors="replace")
