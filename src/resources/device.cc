#include "resources/device.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

namespace cairn::resources {
namespace {

bool matches(const OpenFile& file) {
  return S_ISCHR(file.info.st_mode) || S_ISBLK(file.info.st_mode);
}

bool has_no_state(const OpenFile& file) {
  constexpr std::array kMemoryMinors{3U, 5U, 7U, 8U, 9U};  // null, zero, full, random, urandom
  return S_ISCHR(file.info.st_mode) && major(file.info.st_rdev) == 1 &&
         std::find(kMemoryMinors.begin(), kMemoryMinors.end(), minor(file.info.st_rdev)) !=
             kMemoryMinors.end();
}

Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  if (file.info.st_rdev == makedev(5, 2)) return cannot_save(file, "the pseudo terminal " + file.link);
  if (!has_no_state(file)) return cannot_save(file, "device " + file.link);
  auto& record = *object.mutable_device();
  record.set_path(file.link);
  record.set_device(file.info.st_rdev);
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject& object) {
  const auto& record = object.device();
  Fd fd(::open(record.path().c_str(), static_cast<int>(object.status_flags() & O_ACCMODE) |
                                          O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0)
    return os_failure("open the device", record.path());
  if (info.st_rdev != record.device()) return refusal("this is another device now:", record.path());
  return fd;
}

}  // namespace

const Kind kDeviceKind{"device", image::KernelObject::kDevice, Maker::kAgent, matches,
                       capture, create, nullptr};

}  // namespace cairn::resources
