#include "agent/segment_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/files.h"

namespace cairn::agent {
namespace {

constexpr std::size_t kBytes = sizeof(abi::JobSegment);

template <std::size_t N>
Result<> set_text(char (&field)[N], const std::string& text) {
  if (text.size() >= N) return failure(ENAMETOOLONG, "put into the job segment", text);
  std::memcpy(field, text.c_str(), text.size() + 1);
  return {};
}

}  // namespace

Result<SegmentFile> SegmentFile::map(int fd, const std::filesystem::path& path) {
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return os_failure("mmap", path);
  return SegmentFile(static_cast<abi::JobSegment*>(memory));
}

Result<SegmentFile> SegmentFile::open(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return os_failure("open", path);
  if (static_cast<std::size_t>(info.st_size) != kBytes)
    return refusal("no job segment of this version:", path);
  CAIRN_ASSIGN(SegmentFile file, map(fd.get(), path));
  if (file->magic != abi::kSegmentMagic || file->version != abi::kSegmentVersion)
    return refusal("no job segment of this version:", path);
  return file;
}

Result<SegmentFile> SegmentFile::create(const std::filesystem::path& path,
                                        const SegmentSettings& settings) {
  CAIRN_ASSIGN(const Fd fd, create_private_file(path, O_RDWR));
  if (::ftruncate(fd.get(), kBytes) != 0) return os_failure("ftruncate", path);
  // A fresh file is zero, which is the right beginning of every field: constructing nothing keeps
  // the pages of unused slots unallocated.
  CAIRN_ASSIGN(SegmentFile file, map(fd.get(), path));
  CAIRN_TRY(set_text(file->agent_socket, settings.socket));
  CAIRN_TRY(set_text(file->runtime_path, settings.runtime_path));
  CAIRN_TRY(set_text(file->plan_cache, settings.plan_cache));
  CAIRN_TRY(set_text(file->job_name,
                     settings.job_name.substr(0, sizeof(abi::JobSegment::job_name) - 1)));
  file->agent_pid = ::getpid();
  const auto scope = read_text_file("/proc/sys/kernel/yama/ptrace_scope");
  file->yama = scope && scope->starts_with('1') ? 1 : 0;
  file->door_mode = static_cast<std::uint32_t>(settings.mode);
  file->bytes = kBytes;
  file->version = abi::kSegmentVersion;
  file->magic = abi::kSegmentMagic;
  return file;
}

SegmentFile::~SegmentFile() {
  if (segment_ != nullptr) ::munmap(segment_, sizeof *segment_);
}

std::vector<abi::ProcessSlot*> SegmentFile::slots() const {
  std::vector<abi::ProcessSlot*> used;
  const std::uint32_t count = std::min(segment_->slots_used.load(), abi::kMaxProcesses);
  for (std::uint32_t i = 0; i < count; ++i) used.push_back(&segment_->slots[i]);
  return used;
}

}  // namespace cairn::agent
