#include "resources/signalfd.h"

#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

namespace cairn::resources {
namespace {

bool matches(const OpenFile& file) { return file.link == "anon_inode:[signalfd]"; }

Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  CAIRN_ASSIGN(const auto fdinfo, fdinfo_of(file.copy.get()));
  const auto mask = fdinfo_value(fdinfo, "sigmask");
  if (mask.empty()) return cannot_save(file, "a signalfd without sigmask in fdinfo");
  object.mutable_signalfd()->set_mask(std::strtoull(mask.c_str(), nullptr, 16));
  return {};
}

// It reads the signals of whoever reads it, so it may be made here. What depends on the maker is only
// a wait queue entry, that epoll makes when it is added, inside.
Result<Fd> create(RebuildContext&, const image::KernelObject& object) {
  const std::uint64_t mask = object.signalfd().mask();
  Fd fd(static_cast<int>(::syscall(SYS_signalfd4, -1, &mask, sizeof mask, SFD_CLOEXEC)));
  if (!fd.valid()) return os_failure("make a signalfd");
  return fd;
}

}  // namespace

const Kind kSignalFdKind{"signalfd", image::KernelObject::kSignalfd, Maker::kAgent, matches,
                         capture, create, nullptr};

}  // namespace cairn::resources
