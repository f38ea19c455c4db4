#include "resources/pipe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace cairn::resources {
namespace {

constexpr int kLargeFile = 0100000;  // set by every open(); the C library's O_LARGEFILE is 0

bool matches(const OpenFile& file) {
  return S_ISFIFO(file.info.st_mode) && file.link.starts_with("pipe:");
}

// A reading end for us, whatever end the process has left: /proc/self/fd opens the other direction.
Result<Fd> reading_end(const OpenFile& file) {
  const auto path = fmt::format("/proc/self/fd/{}", file.copy.get());
  Fd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!reader.valid()) return os_failure("open a reading end of", file.link);
  return reader;
}

// Packets of O_DIRECT pipes keep their borders: read() returns one at a time.
Result<> split_packets(const std::string& data, int copy, image::Pipe& record) {
  std::string packet(PIPE_BUF, '\0');
  std::size_t seen = 0;
  while (seen < data.size()) {
    const ssize_t length = ::read(copy, packet.data(), packet.size());
    if (length <= 0) return os_failure("read a pipe's packets");
    record.add_packets(static_cast<std::uint32_t>(length));
    seen += static_cast<std::size_t>(length);
  }
  return {};
}

}  // namespace

// tee() into a pipe of our own of the same capacity, then read from there.
Result<std::string> copy_pipe_data(int reader) {
  int held = 0;
  if (::ioctl(reader, FIONREAD, &held) != 0) return os_failure("ask how much a pipe holds");
  std::string data;
  if (held == 0) return data;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return os_failure("make a pipe");
  const Fd from(ends[0]);
  const Fd to(ends[1]);
  const int capacity = ::fcntl(reader, F_GETPIPE_SZ);
  if (capacity > ::fcntl(to.get(), F_GETPIPE_SZ) &&
      ::fcntl(to.get(), F_SETPIPE_SZ, capacity) < 0)
    return os_failure("make a pipe as large as the saved one");
  const ssize_t copied = ::tee(reader, to.get(), static_cast<std::size_t>(held), SPLICE_F_NONBLOCK);
  if (copied != held) return os_failure("copy what a pipe holds");
  data.resize(static_cast<std::size_t>(held));
  for (std::size_t at = 0; at < data.size();) {
    const ssize_t got = ::read(from.get(), data.data() + at, data.size() - at);
    if (got <= 0) return os_failure("read what a pipe holds");
    at += static_cast<std::size_t>(got);
  }
  return data;
}

namespace {

Result<> capture_pipe(CaptureContext& context, OpenFile& file, std::uint64_t id) {
  image::KernelObject object;
  object.set_id(id);
  auto& record = *object.mutable_pipe();
  const int capacity = ::fcntl(file.copy.get(), F_GETPIPE_SZ);
  if (capacity < 0) return os_failure("ask for the capacity of", file.link);
  record.set_capacity(static_cast<std::uint64_t>(capacity));
  CAIRN_ASSIGN(const Fd reader, reading_end(file));
  CAIRN_ASSIGN(auto data, copy_pipe_data(reader.get()));
  // Whether the buffers are packets is known by the writing ends' O_DIRECT.
  for (const auto& other : context.job.files)
    if (other.info.st_dev == file.info.st_dev && other.info.st_ino == file.info.st_ino &&
        other.writable() && (other.flags & O_DIRECT))
      record.set_packet_mode(true);
  if (record.packet_mode() && !data.empty()) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0) return os_failure("make a pipe");
    const Fd from(ends[0]);
    const Fd to(ends[1]);
    (void)::fcntl(to.get(), F_SETPIPE_SZ, capacity);
    if (::tee(reader.get(), to.get(), data.size(), SPLICE_F_NONBLOCK) !=
        static_cast<ssize_t>(data.size()))
      return os_failure("copy a pipe's packets");
    CAIRN_TRY(split_packets(data, from.get(), record));
  }
  record.set_data(std::move(data));
  context.job.result.objects.push_back(std::move(object));
  return {};
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  const auto key = std::pair(file.info.st_dev, file.info.st_ino);
  auto found = context.job.pipes.find(key);
  if (found == context.job.pipes.end()) {
    found = context.job.pipes.emplace(key, context.job.new_id()).first;
    CAIRN_TRY(capture_pipe(context, file, found->second));
  }
  auto& end = *object.mutable_pipe_end();
  end.set_pipe_id(found->second);
  end.set_read(file.readable());
  end.set_write(file.writable());
  end.set_opened((::fcntl(file.copy.get(), F_GETFL) & kLargeFile) != 0);
  return {};
}

Result<> write_data(int fd, const image::Pipe& record) {
  std::size_t at = 0;
  int packet = 0;
  const std::string& data = record.data();
  while (at < data.size()) {
    const std::size_t want =
        packet < record.packets_size() ? record.packets(packet++) : data.size() - at;
    const ssize_t put = ::write(fd, data.data() + at, want);
    if (put <= 0) return os_failure("fill a pipe", fmt::format("({} of {})", at, data.size()));
    at += static_cast<std::size_t>(put);
  }
  return {};
}

// The pipe itself: both ends are kept until the records of the ends have asked for them.
Result<Fd> create_pipe(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.pipe();
  int ends[2];
  const int flags = O_CLOEXEC | O_NONBLOCK | (record.packet_mode() ? O_DIRECT : 0);
  if (::pipe2(ends, flags) != 0) return os_failure("make a pipe");
  Fd reader(ends[0]);
  Fd writer(ends[1]);
  if (::fcntl(writer.get(), F_SETPIPE_SZ, static_cast<int>(record.capacity())) < 0)
    return os_failure("give a pipe its capacity", fmt::format("({} bytes)", record.capacity()));
  CAIRN_TRY(write_data(writer.get(), record));
  context.job.pipes[object.id()] = {std::move(reader), std::move(writer)};
  return Fd();
}

// Each record is an open file of its own: one of the two that pipe() made, or opened later by way of
// /proc, which F_GETFL tells.
Result<Fd> create_end(RebuildContext& context, const image::KernelObject& object) {
  const auto& end = object.pipe_end();
  const auto found = context.job.pipes.find(end.pipe_id());
  if (found == context.job.pipes.end())
    return refusal("a pipe's end whose pipe is not in the image");
  if (end.has_opened() && !end.opened()) {
    const auto& made = end.read() ? found->second.first : found->second.second;
    Fd same(::fcntl(made.get(), F_DUPFD_CLOEXEC, 0));
    if (!same.valid()) return os_failure("duplicate an end of a pipe");
    return same;
  }
  const int access = end.read() && end.write() ? O_RDWR : end.read() ? O_RDONLY : O_WRONLY;
  const auto path = fmt::format("/proc/self/fd/{}", found->second.first.get());
  Fd opened(::open(path.c_str(), access | O_NONBLOCK | O_CLOEXEC));
  if (!opened.valid()) return os_failure("open an end of a pipe");
  return opened;
}

bool never_matches(const OpenFile&) { return false; }  // captured with the first of its ends

Result<> not_captured_here(CaptureContext&, OpenFile& file, image::KernelObject&) {
  return cannot_save(file, file.link);
}

}  // namespace

const Kind kPipeKind{"pipe", image::KernelObject::kPipe, Maker::kAgent, never_matches,
                     not_captured_here, create_pipe, nullptr};
const Kind kPipeEndKind{"end of a pipe", image::KernelObject::kPipeEnd, Maker::kAgent, matches,
                        capture, create_end, nullptr};

}  // namespace cairn::resources
