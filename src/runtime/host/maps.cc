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

// One line, without its address range: "perms offset device inode   name".
const char* name_of(const char* at) {
  for (int field = 0; field < 4; ++field) {
    while (*at == ' ') ++at;
    while (*at != ' ' && *at != '\n' && *at != 0) ++at;
  }
  while (*at == ' ') ++at;
  return at;
}

const char* end_of_line(const char* at, const char* end) {
  while (at < end && *at != '\n') ++at;
  return at;
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

bool each_mapping(MappingVisitor visit, void* context) {
  // By the thread: the first one may have ended, and shows nothing then.
  auto fd = sys::call(__NR_open, sys::address("/proc/thread-self/maps"), 0x80000);
  if (!fd.ok()) return false;
  char text[8192];  // the longest line has a path of PATH_MAX
  std::uint64_t bytes = 0;
  for (;;) {
    auto got = sys::call(__NR_read, fd.value(), sys::address(text) + bytes, sizeof(text) - 1 - bytes);
    if (!got.ok() || got.value() == 0) break;
    bytes += got.value();
    text[bytes] = 0;
    const char* at = text;
    const char* end = text + bytes;
    for (const char* last; (last = end_of_line(at, end)) != end; at = last + 1) {
      Mapping mapping{};
      mapping.start = parse_hex(at);
      ++at;
      mapping.end = parse_hex(at);
      mapping.name = name_of(at);
      visit(mapping, context);
    }
    bytes = static_cast<std::uint64_t>(end - at);
    memmove(text, at, bytes);
  }
  (void)sys::call(__NR_close, fd.value());
  return true;
}

void unmap_around(std::uint64_t address) {
  Around around{address, 0, 0};
  (void)each_mapping(note_around, &around);
  if (around.end != 0) (void)sys::call(__NR_munmap, around.start, around.end - around.start);
}

}  // namespace cairn::runtime
