#include "resources/smaps.h"

#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <cstdlib>

namespace cairn::resources {
namespace {

// "7f12a000-7f12b000 rw-p 00001000 fe:01 1234    /path with spaces"
bool parse_head(const std::string& line, Vma& vma) {
  unsigned long long start = 0, end = 0, offset = 0, inode = 0;
  unsigned device_major = 0, device_minor = 0;
  char permissions[5] = {};
  int name_at = 0;
  if (std::sscanf(line.c_str(), "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end, permissions,
                  &offset, &device_major, &device_minor, &inode, &name_at) != 7)
    return false;
  vma.start = start;
  vma.end = end;
  vma.offset = offset;
  vma.inode = inode;
  vma.device = makedev(device_major, device_minor);
  vma.protection = (permissions[0] == 'r' ? PROT_READ : 0) | (permissions[1] == 'w' ? PROT_WRITE : 0) |
                   (permissions[2] == 'x' ? PROT_EXEC : 0);
  vma.shared = permissions[3] == 's';
  if (name_at > 0 && static_cast<std::size_t>(name_at) < line.size()) vma.path = line.substr(static_cast<std::size_t>(name_at));
  return true;
}

// Newlines in names are shown as \012.
std::string unescape(const std::string& path) {
  std::string plain;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path.compare(i, 4, "\\012") == 0) {
      plain += '\n';
      i += 3;
    } else {
      plain += path[i];
    }
  }
  return plain;
}

std::uint64_t kilobytes(const std::string& line, std::size_t at) {
  return std::strtoull(line.c_str() + at, nullptr, 10) * 1024;
}

}  // namespace

Result<std::vector<Vma>> parse_smaps(const std::string& text) {
  std::vector<Vma> all;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    const auto line = text.substr(at, end - at);
    at = end == std::string::npos ? text.size() : end + 1;
    // A field is "Name:", a mapping begins with a number in small hexadecimal letters.
    if (!line.empty() && line[0] >= 'A' && line[0] <= 'Z') {
      if (all.empty()) return refusal("read smaps: it does not begin with a mapping");
      if (line.starts_with("Swap:")) all.back().swap_bytes = kilobytes(line, 5);
      if (line.starts_with("KernelPageSize:")) all.back().kernel_page_bytes = kilobytes(line, 15);
      if (line.starts_with("ProtectionKey:"))
        all.back().protection_key =
            static_cast<std::uint32_t>(std::strtoul(line.c_str() + 14, nullptr, 10));
      if (line.starts_with("VmFlags:")) all.back().flags = line.substr(8);
      continue;
    }
    Vma vma;
    if (!parse_head(line, vma)) return refusal("read smaps: \"" + line + "\"");
    vma.path = unescape(vma.path);
    all.push_back(std::move(vma));
  }
  return all;
}

}  // namespace cairn::resources
