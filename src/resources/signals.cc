#include "resources/signals.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "abi/park.h"
#include "base/files.h"
#include "resources/timers.h"

namespace cairn::resources {
namespace {

constexpr std::size_t kSiginfoBytes = 128;
using Siginfo = std::array<std::byte, kSiginfoBytes>;
constexpr std::size_t kMaskBytes = 8;

// The fields that we look into, as the kernel lays them out for signals sent by processes.
struct SentBy {
  std::int32_t signal, error, code, padding;
  std::int32_t pid;
  std::uint32_t uid;
  std::uint64_t value;
};

Result<std::uint64_t> pending_mask(const RemoteProcess& process, std::int32_t tid,
                                   std::string_view field) {
  CAIRN_ASSIGN(const auto status, read_text_file(process.proc_path(fmt::format("task/{}/status", tid))));
  return std::strtoull(fdinfo_value(status, field).c_str(), nullptr, 16);
}

bool is_park_request(const Siginfo& info) {
  SentBy sent{};
  std::memcpy(&sent, info.data(), sizeof sent);
  return sent.signal == abi::kParkSignal && sent.code == SI_QUEUE &&
         (sent.value >> 32) == (abi::kParkMagic >> 32);
}

// The kernel lets nobody look at pending signals but a ptracer: each is taken and put back at once, in
// order, by the thread it is pending for. Everybody who might notice is frozen.
class PendingSignals {
 public:
  PendingSignals(CaptureContext& context, std::int32_t tid, bool of_process)
      : context_(context), tid_(tid), of_process_(of_process) {}

  Result<std::vector<Siginfo>> copy() {
    auto taken = take();
    const auto put = put_back();
    if (!taken) return Failure(std::move(taken).error());
    CAIRN_TRY(put);
    std::vector<Siginfo> infos;
    for (const auto& taken_one : taken_) infos.push_back(taken_one.info);
    return infos;
  }

 private:
  struct Taken {
    Siginfo info;
    std::optional<PendingExpiration> expiration;
  };

  Result<> take() {
    const char* field = of_process_ ? "ShdPnd" : "SigPnd";
    CAIRN_ASSIGN(auto pending, pending_mask(context_.process, tid_, field));
    CAIRN_ASSIGN(const auto info, context_.process.scratch(kSiginfoBytes));
    CAIRN_ASSIGN(const auto mask, context_.process.scratch(kMaskBytes));
    CAIRN_ASSIGN(const auto no_wait, context_.process.scratch_object(timespec{}));
    while (pending != 0) {
      CAIRN_TRY(context_.process.write_object(mask.address(), pending));
      std::array call{RemoteProcess::make_call(tid_, SYS_rt_sigtimedwait, mask.address(),
                                               info.address(), no_wait.address(), kMaskBytes)};
      CAIRN_TRY(context_.process.syscalls(call));
      // What a timer has sent between its signal and its stop; the kernel forgets it by itself.
      if (call.front().result == -EAGAIN) return {};
      if (call.front().result < 0)
        return failure(static_cast<int>(-call.front().result), "take a pending signal");
      CAIRN_ASSIGN(const auto one, context_.process.read_object<Siginfo>(info.address()));
      if (!is_stopped(one)) {
        CAIRN_ASSIGN(auto expiration, stop_at_pending(context_, one));
        taken_.push_back({one, std::move(expiration)});
      }
      CAIRN_ASSIGN(pending, pending_mask(context_.process, tid_, field));
    }
    return {};
  }

  // The same before Linux 6.13, which hands it out: it is one of the overruns.
  [[nodiscard]] bool is_stopped(const Siginfo& info) const {
    SentBy sent{};
    std::memcpy(&sent, info.data(), sizeof sent);
    return sent.code == SI_TIMER && std::any_of(taken_.begin(), taken_.end(), [&](const Taken& one) {
             return one.expiration && one.expiration->timer == sent.pid;
           });
  }

  Result<> put_back() {
    const auto pid = context_.process.pid().value;
    for (const auto& [info, expiration] : taken_) {
      if (expiration) {
        CAIRN_TRY(expire_again(context_, *expiration));
        continue;
      }
      std::int32_t signal = 0;
      std::memcpy(&signal, info.data(), sizeof signal);
      CAIRN_ASSIGN(const auto place, context_.process.scratch_bytes(info));
      if (of_process_)
        CAIRN_TRY(context_.process.syscall_on(tid_, SYS_rt_sigqueueinfo, pid, signal,
                                              place.address()));
      else
        CAIRN_TRY(context_.process.syscall_on(tid_, SYS_rt_tgsigqueueinfo, pid, tid_, signal,
                                              place.address()));
    }
    return {};
  }

  CaptureContext& context_;
  std::int32_t tid_;
  bool of_process_;
  std::vector<Taken> taken_;
};

// A process' own number in a siginfo is the guest's in the image, the kernel's while it is queued.
void replace_sender(Siginfo& info, std::int32_t from, std::int32_t to) {
  SentBy sent{};
  std::memcpy(&sent, info.data(), sizeof sent);
  if (sent.code != SI_USER && sent.code != SI_TKILL && sent.code != SI_QUEUE) return;
  if (sent.pid != from) return;
  sent.pid = to;
  std::memcpy(info.data(), &sent, sizeof sent);
}

std::string as_bytes(Siginfo info, const abi::RuntimeState& runtime) {
  replace_sender(info, runtime.real_pid, runtime.virtual_pid);
  return {reinterpret_cast<const char*>(info.data()), info.size()};
}

Result<> queue_again(RebuildContext& context, int index, const std::string& saved,
                     bool of_process) {
  Siginfo info{};
  if (saved.size() != info.size()) return refusal("a pending signal of another format");
  std::memcpy(info.data(), saved.data(), saved.size());
  if (is_expiration(context, info)) return {};
  const auto pid = context.process.pid().value;
  replace_sender(info, context.image.pid(), pid);
  std::int32_t signal = 0;
  std::memcpy(&signal, info.data(), sizeof signal);
  CAIRN_ASSIGN(const auto place, context.process.scratch_bytes(info));
  // Only a thread of that very number may pass a kernel's or a kill's siginfo on.
  if (of_process)
    CAIRN_TRY(context.process.syscall_on(0, SYS_rt_sigqueueinfo, pid, signal, place.address()));
  else
    CAIRN_TRY(context.process.syscall_on(index, SYS_rt_tgsigqueueinfo, pid,
                                         context.thread_ids[static_cast<std::size_t>(index)], signal,
                                         place.address()));
  return {};
}

}  // namespace

Result<> capture_signals(CaptureContext& context) {
  auto& signals = *context.image.mutable_signals();
  for (int signal = 1; signal <= 64; ++signal) {
    const auto& action = context.runtime->actions[signal];
    auto& record = *signals.add_actions();
    record.set_handler(action.handler);
    record.set_flags(action.flags);
    record.set_restorer(action.restorer);
    record.set_mask(action.mask);
  }
  // First the threads' own: a thread that takes a signal gets its own before the process' one.
  for (auto& record : *context.image.mutable_threads())
    for (const auto& thread : context.threads) {
      if (thread.virtual_tid != record.tid()) continue;
      CAIRN_ASSIGN(const auto infos, PendingSignals(context, thread.real_tid, false).copy());
      for (const auto& info : infos)
        if (!is_park_request(info)) record.add_pending(as_bytes(info, *context.runtime));
    }
  const auto leader = context.process.task().value;  // or who has outlived it
  CAIRN_ASSIGN(const auto shared, pending_mask(context.process, leader, "ShdPnd"));
  if (shared == 0) return {};
  CAIRN_ASSIGN(const auto own, pending_mask(context.process, leader, "SigPnd"));
  if ((own & shared) != 0)
    return refusal("the same signal is pending for the process and for its first thread: "
                   "that cannot be saved");
  CAIRN_ASSIGN(const auto infos, PendingSignals(context, leader, true).copy());
  for (const auto& info : infos)
    if (!is_park_request(info)) signals.add_pending(as_bytes(info, *context.runtime));
  return {};
}

Result<> restore_pending_signals(RebuildContext& context) {
  for (const auto& info : context.image.signals().pending())
    CAIRN_TRY(queue_again(context, 0, info, true));
  for (int i = 0; i < context.image.threads_size(); ++i)
    for (const auto& info : context.image.threads(i).pending())
      CAIRN_TRY(queue_again(context, i, info, false));
  return {};
}

}  // namespace cairn::resources
