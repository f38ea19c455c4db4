#!/usr/bin/env python3
"""Turns libZydis.so into an object file that static programs can link.

Debian ships Zydis as a shared library only, and a static program cannot load one. The library is
self-contained, though: code and constant tables whose distances to each other are fixed. So its
segments become one read-only section, in the layout they have in memory; its relocations, which are
all "address of something in here" or "address of that libc function", become relocations of that
section, and its exported functions become symbols in it. Linked into a program at a fixed address
they are all resolved by the linker, and nothing is left to do at run time.

usage: static_zydis.py libZydis.so OUT.S OUT.bin
"""
import struct
import sys

PT_LOAD, PT_DYNAMIC, PT_TLS = 1, 2, 7
DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_PLTRELSZ, DT_JMPREL, DT_RELR = 5, 6, 7, 8, 2, 23, 36
R_64, R_GLOB_DAT, R_JUMP_SLOT, R_RELATIVE = 1, 6, 7, 8


def main(library, assembly, binary):
    data = open(library, "rb").read()
    phoff, = struct.unpack_from("<Q", data, 32)
    phnum, = struct.unpack_from("<H", data, 56)
    headers = [struct.unpack_from("<IIQQQQQQ", data, phoff + i * 56) for i in range(phnum)]
    assert not any(h[0] == PT_TLS for h in headers), "thread-local data cannot be embedded"
    loads = [h for h in headers if h[0] == PT_LOAD]
    image = bytearray(max(h[3] + h[6] for h in loads))
    for _, _, offset, vaddr, _, filesz, _, _ in loads:
        image[vaddr:vaddr + filesz] = data[offset:offset + filesz]

    dynamic = next(h for h in headers if h[0] == PT_DYNAMIC)
    tags = dict(struct.iter_unpack("<QQ", image[dynamic[3]:dynamic[3] + dynamic[5]]))
    assert DT_RELR not in tags, "RELR relocations are not handled"

    def string(offset):
        start = tags[DT_STRTAB] + offset
        return image[start:image.index(0, start)].decode()

    def symbol(index):
        name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", image, tags[DT_SYMTAB] + index * 24)
        return string(name), info, section, value

    relocations = {}
    for start, size in ((tags.get(DT_RELA, 0), tags.get(DT_RELASZ, 0)),
                        (tags.get(DT_JMPREL, 0), tags.get(DT_PLTRELSZ, 0))):
        for offset, info, addend in struct.iter_unpack("<QQq", image[start:start + size]):
            kind, index = info & 0xffffffff, info >> 32
            if kind == R_RELATIVE:
                relocations[offset] = f"zydis_image + {addend}"
                continue
            assert kind in (R_64, R_GLOB_DAT, R_JUMP_SLOT), f"relocation type {kind}"
            name, _, section, value = symbol(index)
            addend = addend if kind == R_64 else 0
            if section != 0:
                relocations[offset] = f"zydis_image + {value + addend}"
            elif name.startswith(("_ITM", "__gmon", "__cxa")):
                relocations[offset] = "0"  # used by constructors and destructors, which never run
            else:
                relocations[offset] = f"{name} + {addend}"

    with open(binary, "wb") as out:
        out.write(image)
    with open(assembly, "w") as out:
        out.write('.section .text.zydis, "ax", @progbits\n.balign 4096\nzydis_image:\n')
        at = 0
        for offset in sorted(relocations):
            if offset > at:
                out.write(f'.incbin "{binary}", {at}, {offset - at}\n')
            out.write(f".quad {relocations[offset]}\n")
            at = offset + 8
        out.write(f'.incbin "{binary}", {at}, {len(image) - at}\n')
        index = 1
        while tags[DT_SYMTAB] + index * 24 < tags[DT_STRTAB]:
            name, info, section, value = symbol(index)
            if section != 0 and info >> 4 == 1 and info & 0xf == 2:
                out.write(f".globl {name}\n.type {name}, @function\n.set {name}, zydis_image + {value}\n")
            index += 1
        out.write('.section .note.GNU-stack, "", @progbits\n')


if __name__ == "__main__":
    main(*sys.argv[1:])
