#pragma once
// The process' mappings as /proc tells them.

#include <cstdint>

namespace cairn::runtime {

struct Mapping {
  std::uint64_t start;
  std::uint64_t end;
  const char* name;  // "[vdso]\n...": ends with the line
};

using MappingVisitor = void (*)(const Mapping&, void* context);
// False if /proc cannot be read: then nothing is visited.
bool each_mapping(MappingVisitor visit, void* context);

// The stack that the kernel made for us: found by an address in it.
void unmap_around(std::uint64_t address);

}  // namespace cairn::runtime
