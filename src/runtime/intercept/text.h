#pragma once
// Executable text that appears in or disappears from the guest: patched by its plan, if there is one.

#include <cstdint>

namespace cairn::runtime {

// A file's text has been mapped and no thread can run it yet. Without a plan nothing happens.
void text_mapped(int fd, std::uint64_t start, std::uint64_t end, std::uint64_t file_offset, int prot);

// A program without a dynamic loader that maps files executable reads them as data as a rule (valgrind,
// other translators): it must not find jumps in them, so only the program's own text is patched.
void set_static_program(bool is_static);
bool static_program();

// A range is unmapped or mapped over: stub blocks of text in it are forgotten.
void text_gone(std::uint64_t start, std::uint64_t end);

// In a forked child: another thread of the parent may have held the lock.
void text_lock_after_fork();

// Copies the addresses of all live stub blocks; returns how many there are.
std::uint32_t list_stub_blocks(std::uint64_t* out, std::uint32_t room);
void adopt_stub_block(std::uint64_t address);

}  // namespace cairn::runtime
