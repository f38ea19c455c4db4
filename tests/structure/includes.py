"""Includes go downwards only, and an outside library is seen by one folder."""

import re
import unittest

import check

LOW = {"abi", "sys", "base"}
# folder of src -> the folders it may include besides itself
ALLOWED = {
    "abi": set(),
    "sys": set(),
    "syscalls": set(),
    "base": {"abi", "sys"},
    "runtime": {"abi", "sys", "syscalls"},  # never base: no libc in there
    "image": LOW,
    "storage": LOW,
    "patch": LOW,
    "resources": LOW | {"image", "storage"},
    "coordinator": LOW,
    "checkpoint": LOW | {"image", "storage", "resources"},
    "restart": LOW | {"image", "storage", "resources"},
    "agent": LOW | {"image", "storage", "resources", "patch", "checkpoint", "restart", "coordinator"},
    "slurm": LOW | {"image", "storage", "resources", "checkpoint", "restart", "coordinator"},
    "cli": LOW | {"image", "storage", "resources", "patch", "checkpoint", "restart", "coordinator", "agent", "slurm"},
}
# header of an outside library -> the folders that may know it
OUTSIDE = {
    r"Zydis/": {"patch"},
    r"CLI/": {"cli", "agent", "patch"},
    r"google/protobuf/": {"image"},
    r"(zstd|lz4)[a-z0-9_]*\.h": {"storage"},
    r"(zmq|sodium)": {"agent", "coordinator", "base"},
    r"spdlog/": {"base"},
    r"mpi\.h": {"mpi"},
}
# What freestanding folders may take from outside: the compiler's own and the kernel's headers.
FREESTANDING = {"runtime", "sys", "abi", "syscalls"}
FREESTANDING_HEADER = re.compile(
    r"(atomic|bit|compare|concepts|cstddef|cstdint|limits|type_traits|utility|new|initializer_list|elf\.h|"
    r"stdint\.h|stddef\.h|stdatomic\.h|cpuid\.h|immintrin\.h|array|span|(linux|asm|asm-generic)/.*)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"(?P<ours>[^"]+)"|<(?P<outside>[^>]+)>)', re.MULTILINE)


def includes():
    for path in check.files("src", suffixes=(".h", ".cc", ".c", ".S")):
        folder = path.relative_to(check.arguments.source).parts[1]
        for match in INCLUDE.finditer(path.read_text()):
            yield path, folder, match["ours"], match["outside"]


class Includes(unittest.TestCase):
    maxDiff = None

    def test_every_folder_has_its_place(self):
        folders = {path.relative_to(check.arguments.source).parts[1] for path, *_ in includes()}
        self.assertGreater(len(folders), 3)
        self.assertEqual(folders - set(ALLOWED) - {"mpi"}, set())

    def test_the_order_has_no_circle(self):
        left = {folder: set(below) for folder, below in ALLOWED.items()}
        while left:
            lowest = [folder for folder, below in left.items() if not below & set(left)]
            self.assertTrue(lowest, f"circle among {sorted(left)}")
            for folder in lowest:
                del left[folder]

    def test_includes_go_downwards(self):
        wrong = []
        for path, folder, ours, _ in includes():
            if ours and "/" in ours and folder in ALLOWED:
                target = ours.split("/")[0]
                if target in ALLOWED and target != folder and target not in ALLOWED[folder]:
                    wrong.append(f"{check.short(path)} includes {ours}")
        self.assertEqual(wrong, [])

    def test_includes_are_written_from_src(self):
        wrong = [f"{check.short(path)} includes {ours}" for path, _, ours, _ in includes()
                 if ours and ("/" not in ours or ours.startswith("."))]
        self.assertEqual(wrong, [])

    def test_outside_libraries_stay_in_their_folders(self):
        wrong = [f"{check.short(path)} includes <{outside}>" for path, folder, _, outside in includes() if outside
                 for pattern, folders in OUTSIDE.items() if re.match(pattern, outside) and folder not in folders]
        self.assertEqual(wrong, [])

    def test_freestanding_folders_need_no_libc(self):
        wrong = [f"{check.short(path)} includes <{outside}>" for path, folder, _, outside in includes()
                 if outside and folder in FREESTANDING and not FREESTANDING_HEADER.match(outside)]
        self.assertEqual(wrong, [])


check.run("source")
