#pragma once
// /proc/self/maps, as it is before the guest has anything mapped.

#include <cstdint>

namespace cairn::runtime {

struct Mapping {
  std::uint64_t start;
  std::uint64_t end;
  const char* name;  // "[vdso]\n...": ends with the line
};

using MappingVisitor = void (*)(const Mapping&, void* context);
// Without /proc nothing is visited.
void each_mapping(MappingVisitor visit, void* context);

// The stack that the kernel made for us: found by an address in it.
void unmap_around(std::uint64_t address);

}  // namespace cairn::runtime
