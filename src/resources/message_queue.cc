#include "resources/message_queue.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <mqueue.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "resources/open_files.h"
#include "resources/registry.h"

namespace cairn::resources {
namespace {

constexpr long kMqueueMagic = 0x19800202;  // no header has it
constexpr std::size_t kEventBytes = 64;    // struct sigevent as the kernel has it

using Event = std::array<std::byte, kEventBytes>;
constexpr std::string_view kDeleted = " (deleted)";

bool matches(const OpenFile& file) {
  struct statfs system {};
  return S_ISREG(file.info.st_mode) && ::fstatfs(file.copy.get(), &system) == 0 &&
         system.f_type == kMqueueMagic;
}

std::string own_link(int fd) {
  return fmt::format("/proc/self/fd/{}", fd);
}

// Takes all messages and puts them back.
Result<> copy_messages(int queue, image::MessageQueue& record) {
  std::string text(static_cast<std::size_t>(record.most_bytes()), '\0');
  const timespec now{};  // long past: nothing is waited for
  for (;;) {
    unsigned priority = 0;
    const ssize_t got = ::mq_timedreceive(queue, text.data(), text.size(), &priority, &now);
    if (got < 0 && (errno == EAGAIN || errno == ETIMEDOUT)) break;
    if (got < 0) return os_failure("take a message of the queue", record.name());
    auto& message = *record.add_messages();
    message.set_priority(priority);
    message.set_text(text.substr(0, static_cast<std::size_t>(got)));
  }
  for (const auto& message : record.messages())
    if (::mq_timedsend(queue, message.text().data(), message.text().size(), message.priority(),
                       &now) != 0)
      return os_failure("put back a message of the queue", record.name());
  return {};
}

struct Registration {
  CaptureContext* member = nullptr;
  int number = -1;
};

Result<> notify(RemoteProcess& process, int number, const Event* event) {
  if (event == nullptr) {
    CAIRN_TRY(process.syscall(SYS_mq_notify, number, 0));
    return {};
  }
  CAIRN_ASSIGN(const auto place, process.scratch_object(*event));
  CAIRN_TRY(process.syscall(SYS_mq_notify, number, place.address()));
  return {};
}

// "QSIZE:0  NOTIFY:0  SIGNO:10  NOTIFY_PID:4711"
Result<Registration> registration_of(CaptureContext& context, const OpenFile& file, int readable,
                                     image::MessageQueue& record) {
  char text[160] = {};
  if (::pread(readable, text, sizeof text - 1, 0) < 0)
    return os_failure("look at the queue", record.name());
  const char* at = std::strstr(text, "NOTIFY_PID:");
  const int pid = at == nullptr ? 0 : std::atoi(at + std::strlen("NOTIFY_PID:"));
  if (pid == 0) return Registration{};
  const auto* noted = context.job.options.notices == nullptr
                          ? nullptr
                          : context.job.options.notices->messages_of(file.info.st_ino);
  for (auto& member : context.job.members) {
    if (member.process.pid().value != pid || noted == nullptr) continue;
    record.set_notified(member.runtime->virtual_pid);
    record.set_event(std::string(reinterpret_cast<const char*>(noted->event), kEventBytes));
    for (const auto& other : context.job.files)
      if (other.info.st_ino == file.info.st_ino && other.info.st_dev == file.info.st_dev)
        for (const auto& number : other.numbers)
          if (number.process == member.index) return Registration{&member, number.fd};
  }
  return cannot_save(file, fmt::format("the message queue {}, which tells process {} of messages,",
                                       record.name(), pid));
}

Event event_of(const image::MessageQueue& record) {
  Event event{};
  std::memcpy(event.data(), record.event().data(), std::min(record.event().size(), event.size()));
  return event;
}

// While messages are put back, nobody is told of them.
Result<> copy_unnoticed(CaptureContext& context, const OpenFile& file,
                        image::MessageQueue& record) {
  const Fd queue(::open(own_link(file.copy.get()).c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!queue.valid())
    return cannot_save(file, "the message queue " + file.link + ", not readable,");
  CAIRN_ASSIGN(const auto told, registration_of(context, file, queue.get(), record));
  if (told.member != nullptr) CAIRN_TRY(notify(told.member->process, told.number, nullptr));
  const auto copied = copy_messages(queue.get(), record);
  const Event event = event_of(record);
  if (told.member != nullptr) CAIRN_TRY(notify(told.member->process, told.number, &event));
  return copied;
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_message_queue();
  record.set_open_flags(file.flags & (O_ACCMODE | O_NONBLOCK));
  const auto key = std::pair(file.info.st_dev, file.info.st_ino);
  const auto [first, is_first] = context.job.shared.emplace(key, file.object_id);
  if (!is_first) {
    record.set_same_queue_as(first->second);
    return {};
  }
  mq_attr attributes{};
  if (::mq_getattr(file.copy.get(), &attributes) != 0)
    return os_failure("look at the queue", file.link);
  record.set_most_messages(attributes.mq_maxmsg);
  record.set_most_bytes(attributes.mq_msgsize);
  record.set_mode(file.info.st_mode & 07777);
  record.set_unlinked(file.info.st_nlink == 0);
  record.set_name(record.unlinked() && file.link.ends_with(kDeleted)
                      ? file.link.substr(0, file.link.size() - kDeleted.size())
                      : file.link);
  return copy_unnoticed(context, file, record);
}

Result<> fill(int queue, const image::MessageQueue& record) {
  std::string text(static_cast<std::size_t>(record.most_bytes()), '\0');
  while (::mq_receive(queue, text.data(), text.size(), nullptr) >= 0) {
  }
  if (errno != EAGAIN) return os_failure("empty the queue", record.name());
  for (const auto& message : record.messages())
    if (::mq_send(queue, message.text().data(), message.text().size(), message.priority()) != 0)
      return os_failure("fill the queue", record.name());
  return {};
}

bool fits(int queue, const image::MessageQueue& record) {
  mq_attr attributes{};
  return ::mq_getattr(queue, &attributes) == 0 && attributes.mq_maxmsg == record.most_messages() &&
         attributes.mq_msgsize == record.most_bytes();
}

// What is left of the job that was there before is filled again; one that another program uses
// meanwhile under this name, and that is of another shape, stays as it is.
Result<Fd> make(const image::MessageQueue& record) {
  const std::string name = record.unlinked() ? fmt::format("/cairn-{}", ::getpid()) : record.name();
  constexpr int kFlags = O_RDWR | O_NONBLOCK | O_CLOEXEC;
  mq_attr attributes{};
  attributes.mq_maxmsg = record.most_messages();
  attributes.mq_msgsize = record.most_bytes();
  Fd queue(::mq_open(name.c_str(), kFlags | O_CREAT, record.mode(), &attributes));
  if (!queue.valid()) return os_failure("make the message queue", name);
  if (record.unlinked()) ::mq_unlink(name.c_str());
  if (!fits(queue.get(), record))
    return refusal("there is another message queue of the name", name);
  (void)::fchmod(queue.get(), record.mode());  // its owner's, if that is somebody else
  CAIRN_TRY(fill(queue.get(), record));
  return queue;
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.message_queue();
  const auto first_id = record.same_queue_as() != 0 ? record.same_queue_as() : object.id();
  const auto* first = context.job.object(first_id);
  if (first == nullptr || !first->has_message_queue())
    return refusal("an open message queue whose first record is not in the image");
  auto& path = context.job.file_paths[first_id];
  if (path.empty()) {
    CAIRN_ASSIGN(Fd queue, make(first->message_queue()));
    path = own_link(queue.get());
    context.job.held.push_back(std::move(queue));
  }
  Fd fd(::open(path.c_str(), static_cast<int>(record.open_flags()) | O_CLOEXEC));
  if (!fd.valid()) return os_failure("open the message queue", first->message_queue().name());
  return fd;
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.message_queue();
  if (record.notified() == 0) return {};
  RebuildContext* member = context.job.member(record.notified());
  if (member == nullptr) return refusal("who is told of messages is not in the image");
  struct stat info {};
  if (::fstat(context.job.made.at(object.id()).get(), &info) != 0)
    return os_failure("look at the queue", record.name());
  const Event event = event_of(record);
  if (context.job.options.notices != nullptr)
    context.job.options.notices->note_messages(
        info.st_ino, reinterpret_cast<const std::uint64_t*>(record.event().data()));
  for (const auto& [id, numbers] : context.job.numbers) {
    const auto* other = context.job.object(id);
    if (id != object.id() &&
        (other == nullptr || other->message_queue().same_queue_as() != object.id()))
      continue;
    if (const int number = member->number_of(id); number >= 0)
      return notify(member->process, number, &event);
  }
  return refusal("who is told of messages has not got the queue", record.name());
}

}  // namespace

const Kind kMessageQueueKind{"message queue",
                             image::KernelObject::kMessageQueue,
                             Maker::kAgentThenInside,
                             matches,
                             capture,
                             create,
                             connect};

}  // namespace cairn::resources
