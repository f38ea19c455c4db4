"""The runtime's ELF file holds nothing that freestanding code inside a guest may not have.

It shares every thread with a program that owns FS, the vector registers and the floating point unit, and
it runs before any libc does: no undefined symbols, no TLS, no constructors, no %fs, no vector or x87
instruction, small stack frames, one fixed place in the address space.
"""

import re
import subprocess
import tempfile
import unittest

import check

MAX_FRAME = 16384  # as -Wframe-larger-than, here for what the assembler and the inliner made of it
ARENA = range(0x7E9000000000, 0x7E9000000000 + (256 << 30))
VECTOR = re.compile(r"%([xyz]mm\d+|mm\d|st\b|k[1-7]\b)")
# They name a memory operand only, and save or load the guest's state as a whole for it.
WHOLE_STATE = {"xsave", "xsave64", "xsavec", "xsavec64", "xsaveopt", "xrstor", "xrstor64", "fxsave64", "fxrstor64"}
X87 = re.compile(r"^f(?!xsave64|xrstor64)[a-z]+$|^(emms|ldmxcsr|stmxcsr)$")
INSTRUCTION = re.compile(r"^\s*(?P<address>[0-9a-f]+):\s+(?P<name>[a-z0-9]+)\s*(?P<operands>[^#<]*)")


def tool(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def instructions(path):
    function = "?"
    for line in tool("objdump", "-d", "--no-show-raw-insn", path).splitlines():
        if line.endswith(">:"):
            function = line.split("<")[1][:-2]
        elif match := INSTRUCTION.match(line):
            yield function, match["name"], match["operands"].strip()


def violations(path):
    found = []
    for function, name, operands in instructions(path):
        what = f"{function}: {name} {operands}"
        if "%fs" in operands:
            found.append("uses FS: " + what)
        if VECTOR.search(operands):
            found.append("uses vector registers: " + what)
        if X87.match(name) and name not in WHOLE_STATE:
            found.append("uses the floating point unit: " + what)
        frame = re.fullmatch(r"\$0x([0-9a-f]+),%rsp", operands)
        size = int(frame[1], 16) if frame else 0
        if name == "sub" and MAX_FRAME < size < 1 << 63:  # sub of a negative number gives a frame back
            found.append(f"has a frame of {size} bytes: {function}")
    return found


class Runtime(unittest.TestCase):
    maxDiff = None

    def test_no_undefined_symbols(self):
        self.assertEqual(tool("nm", "-u", check.arguments.runtime).strip(), "")

    def test_no_loader_no_tls_no_relocations(self):
        kinds = re.findall(r"^  ([A-Z_]+) +0x", tool("readelf", "-lW", check.arguments.runtime), re.MULTILINE)
        self.assertIn("LOAD", kinds)
        self.assertEqual([kind for kind in kinds if kind in ("INTERP", "DYNAMIC", "TLS")], [])
        self.assertNotIn("R_X86_64", tool("readelf", "-rW", check.arguments.runtime))

    def test_no_constructors(self):
        sections = re.findall(r"\] (\.[a-z_.]+)", tool("readelf", "-SW", check.arguments.runtime))
        self.assertIn(".text", sections)
        self.assertEqual([s for s in sections if re.match(r"\.(init|fini|preinit|ctors|dtors|tbss|tdata)", s)], [])

    def test_it_lies_in_the_arena_and_nothing_is_writable_and_executable(self):
        loads = re.findall(r"^  LOAD +0x\w+ 0x(\w+) 0x\w+ 0x\w+ 0x(\w+) ([RWE ]{3})",
                           tool("readelf", "-lW", check.arguments.runtime), re.MULTILINE)
        self.assertTrue(loads)
        for address, size, flags in loads:
            self.assertIn(int(address, 16), ARENA)
            self.assertIn(int(address, 16) + int(size, 16) - 1, ARENA)
            self.assertFalse("W" in flags and "E" in flags, flags)

    def test_no_forbidden_instruction(self):
        self.assertGreater(sum(1 for _ in instructions(check.arguments.runtime)), 100)
        self.assertEqual(violations(check.arguments.runtime), [])


class TheCheckItself(unittest.TestCase):
    """Each kind of violation is seen in a small object made for it."""

    def see(self, code, *flags):
        with tempfile.TemporaryDirectory() as folder:
            source, made = f"{folder}/a.cc", f"{folder}/a.o"
            with open(source, "w", encoding="utf-8") as file:
                file.write(code)
            subprocess.run([check.arguments.compiler, "-O1", "-c", *flags, source, "-o", made], check=True)
            return " ".join(violations(made))

    def test_fs(self):
        self.assertIn("uses FS", self.see('int f() { int x; asm("mov %%fs:0, %0" : "=r"(x)); return x; }'))

    def test_vectors(self):
        self.assertIn("vector", self.see("double f(double a, double b) { return a * b; }"))

    def test_x87(self):
        self.assertIn("floating point", self.see("long double f(long double a) { return a + 1; }"))

    def test_frames(self):
        code = "void g(char*); void f() { char buffer[20000]; g(buffer); }"
        self.assertIn("frame of", self.see(code, "-fno-stack-protector"))

    def test_plain_code_is_left_alone(self):
        self.assertEqual(self.see("int f(int a) { return a * 3; }", "-mgeneral-regs-only"), "")


check.run("runtime", "compiler")
