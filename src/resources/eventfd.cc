#include "resources/eventfd.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>

namespace cairn::resources {
namespace {

bool matches(const OpenFile& file) { return file.link == "anon_inode:[eventfd]"; }

// Before Linux 6.7 only a read tells: a semaphore gives 1 where the counter holds more. The counter is
// raised to 2 for that, and put back; everybody who might see it is frozen.
Result<bool> ask_by_reading(const OpenFile& file, std::uint64_t count) {
  const int fd = file.copy.get();
  std::uint64_t value = count < 2 ? 2 - count : 0;
  if (value != 0 && ::write(fd, &value, sizeof value) != sizeof value)
    return os_failure("raise an eventfd's counter", file.name());
  if (::read(fd, &value, sizeof value) != sizeof value)
    return os_failure("read an eventfd", file.name());
  const bool semaphore = value == 1;
  if (semaphore && count < 2) {
    for (std::uint64_t left = 1; left > count; --left)
      if (::read(fd, &value, sizeof value) != sizeof value)
        return os_failure("read an eventfd", file.name());
    return true;
  }
  value = semaphore ? 1 : count;
  if (value != 0 && ::write(fd, &value, sizeof value) != sizeof value)
    return os_failure("put an eventfd's counter back", file.name());
  return semaphore;
}

// Reading the counter would clear it; fdinfo tells it (in hexadecimal), and since Linux 6.7 also
// whether it is a semaphore.
Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  CAIRN_ASSIGN(const auto fdinfo, fdinfo_of(file.copy.get()));
  const auto count = fdinfo_value(fdinfo, "eventfd-count");
  if (count.empty()) return cannot_save(file, "an eventfd without eventfd-count in fdinfo");
  auto& record = *object.mutable_eventfd();
  record.set_count(std::strtoull(count.c_str(), nullptr, 16));
  const auto semaphore = fdinfo_value(fdinfo, "eventfd-semaphore");
  if (!semaphore.empty()) {
    record.set_semaphore(semaphore != "0");
    return {};
  }
  CAIRN_ASSIGN(const bool is_semaphore, ask_by_reading(file, record.count()));
  record.set_semaphore(is_semaphore);
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject& object) {
  const auto& record = object.eventfd();
  Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (record.semaphore() ? EFD_SEMAPHORE : 0)));
  if (!fd.valid()) return os_failure("make an eventfd");
  const std::uint64_t count = record.count();
  if (count != 0 && ::write(fd.get(), &count, sizeof count) != sizeof count)
    return os_failure("set an eventfd's counter");
  return fd;
}

}  // namespace

const Kind kEventFdKind{"eventfd", image::KernelObject::kEventfd, Maker::kAgent,
                        matches,   capture,                       create,        nullptr};

}  // namespace cairn::resources
