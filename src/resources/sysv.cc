#include "resources/sysv.h"

#include <fmt/format.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <optional>

#include "base/deadline.h"
#include "base/files.h"

namespace cairn::resources {
namespace {

using abi::SysvKind;

union SemaphoreArgument {
  int value;
  semid_ds* status;
};

struct Status {
  ipc_perm permissions{};
  std::int64_t change_time = 0;
  int creator = 0;
};

std::optional<Status> status_of(SysvKind kind, int id) {
  if (kind == SysvKind::kMemory) {
    shmid_ds status{};
    if (::shmctl(id, IPC_STAT, &status) < 0) return std::nullopt;
    return Status{status.shm_perm, status.shm_ctime, status.shm_cpid};
  }
  if (kind == SysvKind::kMessages) {
    msqid_ds status{};
    if (::msgctl(id, IPC_STAT, &status) < 0) return std::nullopt;
    return Status{status.msg_perm, status.msg_ctime};
  }
  semid_ds status{};
  if (::semctl(id, 0, IPC_STAT, SemaphoreArgument{.status = &status}) < 0) return std::nullopt;
  return Status{status.sem_perm, status.sem_ctime};
}

void remove(SysvKind kind, int id) {
  if (kind == SysvKind::kMemory) ::shmctl(id, IPC_RMID, nullptr);
  if (kind == SysvKind::kMessages) ::msgctl(id, IPC_RMID, nullptr);
  if (kind == SysvKind::kSemaphores) ::semctl(id, 0, IPC_RMID);
}

int look_up(const SysvMaker& maker, int key) {
  return static_cast<int>(maker.get == SYS_msgget ? ::syscall(maker.get, key, 0)
                                                  : ::syscall(maker.get, key, 0, 0));
}

// A killed job's own, or one that nobody uses any more.
Result<> clear_remains(const image::SysvIdentity& identity, const SysvMaker& maker) {
  if (identity.key() == IPC_PRIVATE) {
    const auto status = status_of(maker.kind, identity.real_id());
    const bool same = status && status->permissions.__key == IPC_PRIVATE &&
                      status->permissions.uid == identity.uid() &&
                      status->change_time == identity.change_time();
    if (same && !maker.is_in_use(identity.real_id())) remove(maker.kind, identity.real_id());
    return {};
  }
  const int left = look_up(maker, identity.key());
  if (left < 0 && errno == ENOENT) return {};
  const auto status = left < 0 ? std::nullopt : status_of(maker.kind, left);
  if (!status || status->permissions.uid != identity.uid() || maker.is_in_use(left))
    return refusal(fmt::format("the System V key {:#x} of the program is in use here",
                               static_cast<unsigned>(identity.key())));
  remove(maker.kind, left);
  return {};
}

Result<> capture_set(CaptureJob& job, SysvKind kind, int real_id, bool created) {
  const auto status = status_of(kind, real_id);
  if (!status && errno == EACCES)
    return failure(EACCES, "read the System V set", std::to_string(real_id));
  if (!status) return {};  // removed
  if (kind == SysvKind::kMemory) {
    CAIRN_TRY(capture_sysv_memory(job, real_id));
    const auto id = job.sysv_memory.at(real_id);
    for (auto& object : job.result.objects)
      if (object.id() == id) object.mutable_shared_memory()->mutable_sysv()->set_outside(!created);
    return {};
  }
  image::SysvIdentity identity;
  identify(status->permissions, status->change_time, identity);
  identity.set_real_id(real_id);
  identity.set_id(job.options.sysv->to_virtual(kind, real_id));
  identity.set_outside(!created);
  return kind == SysvKind::kSemaphores ? capture_semaphores(job, real_id, std::move(identity))
                                       : capture_messages(job, real_id, std::move(identity));
}

}  // namespace

MadeSysvSets::~MadeSysvSets() {
  for (const auto& [id, set] : sets_)
    if (!kept_ && !set.outside) remove(set.kind, set.real_id);
}

void identify(const ipc_perm& permissions, std::int64_t change_time,
              image::SysvIdentity& identity) {
  identity.set_key(permissions.__key);
  identity.set_mode(permissions.mode & 0777);
  identity.set_uid(permissions.uid);
  identity.set_gid(permissions.gid);
  identity.set_change_time(change_time);
}

bool is_alive(int pid) {
  return pid > 0 && process_lives(pid, 0);
}

Result<> capture_sysv(CaptureJob& job) {
  if (job.options.sysv == nullptr) return {};
  if (job.options.sysv->overflow.load() != 0)
    return refusal("a job that has made more System V sets than can be remembered cannot be saved");
  for (const auto kind : {SysvKind::kMemory, SysvKind::kSemaphores, SysvKind::kMessages})
    for (const auto& slot : job.options.sysv->of(kind).known.slots) {
      const std::uint64_t word = slot.load();
      if (word == 0) continue;
      const bool created = static_cast<abi::SysvOrigin>(static_cast<std::int32_t>(word)) ==
                           abi::SysvOrigin::kCreated;
      CAIRN_TRY(capture_set(job, kind, static_cast<std::int32_t>(word >> 32) - 1, created));
    }
  return {};
}

Result<int> make_sysv_set(RebuildContext& any, const image::KernelObject& object,
                          const image::SysvIdentity& identity, const SysvMaker& maker) {
  RebuildJob& job = any.job;
  if (job.options.sysv == nullptr) return refusal("there is no place for the ids of System V sets");
  int real = -1;
  if (identity.outside()) {
    real = look_up(maker, identity.key());
    if (real < 0)
      return os_failure("find the System V set that was there before the program",
                        fmt::format("(key {:#x})", static_cast<unsigned>(identity.key())));
  } else {
    CAIRN_TRY(clear_remains(identity, maker));
    RebuildContext* creator = job.member(identity.creator());
    RebuildContext& context = creator != nullptr ? *creator : any;
    constexpr int kFlags = IPC_CREAT | IPC_EXCL | 0600;
    CAIRN_ASSIGN(const auto made,
                 maker.get == SYS_msgget
                     ? context.process.syscall(maker.get, identity.key(), kFlags)
                     : context.process.syscall(maker.get, identity.key(), maker.size, kFlags));
    real = static_cast<int>(made);
  }
  job.sysv_sets.add(object.id(), {maker.kind, real, identity.outside()});
  job.options.sysv->note(maker.kind, real, identity.outside() ? abi::SysvOrigin::kFound
                                                              : abi::SysvOrigin::kCreated);
  if (!job.options.sysv->bind(maker.kind, identity.id(), real))
    return refusal("more System V sets than the new job has room for");
  return real;
}

Result<> finish_sysv_set(const SysvMaker& maker, int id, const image::SysvIdentity& identity,
                         std::uint64_t capacity) {
  const auto settle = [&](ipc_perm& permissions) {
    permissions.uid = identity.uid();
    permissions.gid = identity.gid();
    permissions.mode = static_cast<unsigned short>(identity.mode());
  };
  int done = -1;
  if (maker.kind == SysvKind::kMemory) {
    shmid_ds status{};
    settle(status.shm_perm);
    done = ::shmctl(id, IPC_SET, &status);
  } else if (maker.kind == SysvKind::kMessages) {
    msqid_ds status{};
    settle(status.msg_perm);
    status.msg_qbytes = capacity;
    done = ::msgctl(id, IPC_SET, &status);
  } else {
    semid_ds status{};
    settle(status.sem_perm);
    done = ::semctl(id, 0, IPC_SET, SemaphoreArgument{.status = &status});
  }
  if (done < 0) return os_failure("set the owner and mode of a System V set");
  return {};
}

}  // namespace cairn::resources
