#include "resources/fifo.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resources/passing_name.h"
#include "resources/pipe.h"

namespace cairn::resources {
namespace {

bool matches(const OpenFile& file) {
  return S_ISFIFO(file.info.st_mode) && !file.link.starts_with("pipe:");
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_fifo();
  record.set_path(file.link);
  record.set_read(file.readable());
  record.set_write(file.writable());
  record.mutable_file()->set_path(file.link);
  record.mutable_file()->set_mode(file.info.st_mode);
  record.set_unlinked(file.info.st_nlink == 0);
  const auto key = std::pair(file.info.st_dev, file.info.st_ino);
  const auto [first, is_first] = context.job.pipes.emplace(key, file.object_id);
  record.set_pipe_id(first->second);
  if (!is_first) return {};
  const int capacity = ::fcntl(file.copy.get(), F_GETPIPE_SZ);
  if (capacity < 0) return os_failure("ask for the capacity of", file.link);
  record.set_capacity(static_cast<std::uint64_t>(capacity));
  const Fd reader(::open(fmt::format("/proc/self/fd/{}", file.copy.get()).c_str(),
                         O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!reader.valid()) return os_failure("open a reading end of", file.link);
  CAIRN_ASSIGN(auto data, copy_pipe_data(reader.get()));
  record.set_data(std::move(data));
  return {};
}

constexpr int kBothEnds = O_RDWR | O_NONBLOCK | O_CLOEXEC;

Result<Fd> open_named(const image::Fifo& record) {
  const char* path = record.path().c_str();
  if (::mkfifo(path, record.file().mode() & 07777) != 0 && errno != EEXIST)
    return os_failure("make the FIFO", record.path());
  Fd both(::open(path, kBothEnds));
  struct stat info {};
  if (!both.valid() || ::fstat(both.get(), &info) != 0)
    return os_failure("open the FIFO", record.path());
  if (!S_ISFIFO(info.st_mode)) return refusal("this is no FIFO any more:", record.path());
  return both;
}

// It had lost its name, and has one for this moment only.
Result<Fd> open_removed(const image::Fifo& record) {
  CAIRN_ASSIGN(const auto path, passing_name(record.path(), [&](const std::string& name) {
                 return ::mkfifo(name.c_str(), S_IRUSR | S_IWUSR);
               }));
  Fd both(::open(path.c_str(), kBothEnds));
  const int error = errno;
  ::unlink(path.c_str());
  if (!both.valid()) return failure(error, "open the removed FIFO", record.path());
  if (::fchmod(both.get(), record.file().mode() & 07777) != 0)
    return os_failure("set the mode of the removed FIFO", record.path());
  return both;
}

// One end in both directions fills it and opens the others; it goes when the rebuild is done.
Result<> open_fifo(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.fifo();
  CAIRN_ASSIGN(Fd both, record.unlinked() ? open_removed(record) : open_named(record));
  if (::fcntl(both.get(), F_SETPIPE_SZ, static_cast<int>(record.capacity())) < 0)
    return os_failure("set the capacity of", record.path());
  const auto& data = record.data();
  if (!data.empty() && ::write(both.get(), data.data(), data.size()) != std::ssize(data))
    return os_failure("fill the FIFO", record.path());
  context.job.pipes[object.id()].first = std::move(both);
  return {};
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.fifo();
  if (!context.job.pipes.contains(record.pipe_id())) {
    const auto* first = context.job.object(record.pipe_id());
    if (first == nullptr || !first->has_fifo()) return refusal("a FIFO without its first record");
    CAIRN_TRY(open_fifo(context, *first));
  }
  const int access =
      record.read() && record.write() ? O_RDWR : record.read() ? O_RDONLY : O_WRONLY;
  const auto path =
      fmt::format("/proc/self/fd/{}", context.job.pipes[record.pipe_id()].first.get());
  Fd opened(::open(path.c_str(), access | O_NONBLOCK | O_CLOEXEC));
  if (!opened.valid()) return os_failure("open the FIFO", record.path());
  return opened;
}

}  // namespace

const Kind kFifoKind{"FIFO", image::KernelObject::kFifo, Maker::kAgent, matches,
                     capture, create, nullptr};

}  // namespace cairn::resources
