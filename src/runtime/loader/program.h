#pragma once
// Loading a program the way the kernel's exec does, outside of the arena.

#include <cstdint>

#include "sys/result.h"

namespace cairn::runtime {

struct LoadedImage {
  std::uint64_t bias;
  std::uint64_t entry;
  std::uint64_t program_headers;  // address in memory
  std::uint64_t program_header_count;
  std::uint64_t start_code, end_code, start_data, end_data;
  std::uint64_t end;              // of the bss, page-aligned
  bool position_independent;
  bool executable_stack;
  char interpreter[256];          // "" for a static program
};

// What exec finds out about a file before it can no longer fail.
struct ProgramFile {
  int fd = -1;
  bool is_elf64 = false;
  bool position_independent = false;
  bool is_script = false;
  char script_interpreter[256];
  char script_argument[256];      // "" if none
};

// Reads the head of an open file: ENOEXEC if it is neither an x86-64 ELF program nor a script.
sys::SysResult inspect_program(int fd, ProgramFile* file);

// The path in PT_INTERP, "" without one.
sys::SysResult interpreter_of(int fd, char* out, std::uint64_t room);

// Maps all segments. `is_interpreter` chooses where a position-independent image goes.
sys::SysResult load_image(int fd, bool is_interpreter, LoadedImage* image);

}  // namespace cairn::runtime
