#include "runtime/host/maps.h"

#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

std::uint64_t parse_hex(const char*& at) {
  std::uint64_t value = 0;
  for (;; ++at) {
    if (*at >= '0' && *at <= '9')
      value = value * 16 + static_cast<std::uint64_t>(*at - '0');
    else if (*at >= 'a' && *at <= 'f')
      value = value * 16 + static_cast<std::uint64_t>(*at - 'a' + 10);
    else
      return value;
  }
}

std::uint64_t read_maps(char* text, std::uint64_t room) {
  auto fd = sys::call(__NR_open, sys::address("/proc/self/maps"), 0x80000);
  std::uint64_t bytes = 0;
  while (fd.ok() && bytes < room - 1) {
    auto got = sys::call(__NR_read, fd.value(), sys::address(text) + bytes, room - 1 - bytes);
    if (!got.ok() || got.value() == 0) break;
    bytes += got.value();
  }
  if (fd.ok()) (void)sys::call(__NR_close, fd.value());
  text[bytes] = 0;
  return bytes;
}

struct Around {
  std::uint64_t address;
  std::uint64_t start, end;
};

void note_around(const Mapping& mapping, void* context) {
  auto* around = static_cast<Around*>(context);
  if (around->address < mapping.start || around->address >= mapping.end) return;
  around->start = mapping.start;
  around->end = mapping.end;
}

}  // namespace

void each_mapping(MappingVisitor visit, void* context) {
  static char text[16384];
  read_maps(text, sizeof(text));
  for (const char* at = text; *at != 0;) {
    Mapping mapping{};
    mapping.start = parse_hex(at);
    ++at;
    mapping.end = parse_hex(at);
    for (int field = 0; field < 4; ++field) {  // permissions, offset, device, inode
      while (*at == ' ') ++at;
      while (*at != ' ' && *at != '\n' && *at != 0) ++at;
    }
    while (*at == ' ') ++at;
    mapping.name = at;
    visit(mapping, context);
    while (*at != '\n' && *at != 0) ++at;
    if (*at == '\n') ++at;
  }
}

void unmap_around(std::uint64_t address) {
  Around around{address, 0, 0};
  each_mapping(note_around, &around);
  if (around.end != 0) (void)sys::call(__NR_munmap, around.start, around.end - around.start);
}

}  // namespace cairn::runtime
