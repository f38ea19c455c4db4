// Semaphore sets and message queues of System V.

#include <fmt/format.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>

#include <cstring>

#include "resources/sysv.h"

namespace cairn::resources {
namespace {

constexpr int kCopy = 040000;  // MSG_COPY, Linux 3.8: a message stays where it is

union SemaphoreArgument {
  int value;
  semid_ds* status;
  unsigned short* values;
};

bool never_matches(const OpenFile&) { return false; }  // no descriptor leads to them

Result<> not_captured_here(CaptureContext&, OpenFile& file, image::KernelObject&) {
  return cannot_save(file, file.link);
}

std::string name_of(int id) { return fmt::format("(id {})", id); }

bool are_semaphores_in_use(int id) {
  semid_ds status{};
  if (::semctl(id, 0, IPC_STAT, SemaphoreArgument{.status = &status}) < 0) return false;
  for (int i = 0; i < static_cast<int>(status.sem_nsems); ++i)
    if (is_alive(::semctl(id, i, GETPID))) return true;
  return false;
}

bool is_queue_in_use(int id) {
  msqid_ds status{};
  return ::msgctl(id, IPC_STAT, &status) == 0 &&
         (is_alive(status.msg_lspid) || is_alive(status.msg_lrpid));
}

// Filled by a process of the job, which counts as the last who used the set: that of an agent would
// look like somebody who still does.
Result<Fd> create_semaphores(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.sysv_semaphores();
  const SysvMaker maker{abi::SysvKind::kSemaphores, SYS_semget,
                        static_cast<std::uint64_t>(record.values_size()), are_semaphores_in_use};
  CAIRN_ASSIGN(const int id, make_sysv_set(context, object, record.sysv(), maker));
  if (record.sysv().outside()) return Fd();
  const std::vector<unsigned short> values(record.values().begin(), record.values().end());
  CAIRN_ASSIGN(const auto place,
               context.process.scratch_bytes(std::as_bytes(std::span(values))));
  CAIRN_TRY(context.process.syscall(SYS_semctl, id, 0, SETALL, place.address()));
  CAIRN_TRY(finish_sysv_set(maker, id, record.sysv(), 0));
  return Fd();
}

Result<Fd> create_messages(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.sysv_messages();
  const SysvMaker maker{abi::SysvKind::kMessages, SYS_msgget, 0, is_queue_in_use};
  CAIRN_ASSIGN(const int id, make_sysv_set(context, object, record.sysv(), maker));
  if (record.sysv().outside()) return Fd();
  for (const auto& message : record.messages()) {
    std::string bytes(sizeof(long) + message.text().size(), '\0');
    const long type = message.type();
    std::memcpy(bytes.data(), &type, sizeof type);
    std::memcpy(bytes.data() + sizeof type, message.text().data(), message.text().size());
    CAIRN_ASSIGN(const auto place,
                 context.process.scratch_bytes(std::as_bytes(std::span(bytes))));
    CAIRN_TRY(context.process.syscall(SYS_msgsnd, id, place.address(), message.text().size(),
                                      IPC_NOWAIT));
  }
  CAIRN_TRY(finish_sysv_set(maker, id, record.sysv(), record.capacity()));
  return Fd();
}

}  // namespace

Result<> capture_semaphores(CaptureJob& job, int real_id, image::SysvIdentity identity) {
  semid_ds status{};
  if (::semctl(real_id, 0, IPC_STAT, SemaphoreArgument{.status = &status}) < 0)
    return os_failure("look at the semaphores", name_of(real_id));
  std::vector<unsigned short> values(status.sem_nsems);
  if (::semctl(real_id, 0, GETALL, SemaphoreArgument{.values = values.data()}) < 0)
    return os_failure("read the semaphores", name_of(real_id));
  image::KernelObject object;
  object.set_id(job.new_id());
  auto& record = *object.mutable_sysv_semaphores();
  *record.mutable_sysv() = std::move(identity);
  for (const unsigned short value : values) record.add_values(value);
  job.result.objects.push_back(std::move(object));
  return {};
}

Result<> capture_messages(CaptureJob& job, int real_id, image::SysvIdentity identity) {
  msqid_ds status{};
  if (::msgctl(real_id, IPC_STAT, &status) < 0)
    return os_failure("look at the message queue", name_of(real_id));
  image::KernelObject object;
  object.set_id(job.new_id());
  auto& record = *object.mutable_sysv_messages();
  *record.mutable_sysv() = std::move(identity);
  record.set_capacity(status.msg_qbytes);
  std::string bytes(sizeof(long) + status.__msg_cbytes, '\0');
  for (unsigned long i = 0; i < status.msg_qnum; ++i) {
    const ssize_t got = ::msgrcv(real_id, bytes.data(), status.__msg_cbytes, static_cast<long>(i),
                                 IPC_NOWAIT | kCopy);
    if (got < 0) return os_failure("copy a message of the queue", name_of(real_id));
    long type = 0;
    std::memcpy(&type, bytes.data(), sizeof type);
    auto& message = *record.add_messages();
    message.set_type(type);
    message.set_text(bytes.substr(sizeof type, static_cast<std::size_t>(got)));
  }
  job.result.objects.push_back(std::move(object));
  return {};
}

const Kind kSysvSemaphoresKind{"System V semaphores", image::KernelObject::kSysvSemaphores,
                               Maker::kAgentThenInside, never_matches, not_captured_here,
                               create_semaphores, nullptr};
const Kind kSysvMessagesKind{"System V messages", image::KernelObject::kSysvMessages,
                             Maker::kAgentThenInside, never_matches, not_captured_here,
                             create_messages, nullptr};

}  // namespace cairn::resources
