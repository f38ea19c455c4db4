#include "resources/rebuild.h"

#include <fcntl.h>

#include <cstring>

#include "resources/aio.h"
#include "resources/clocks.h"
#include "resources/context.h"
#include "resources/environment.h"
#include "resources/file_locks.h"
#include "resources/file_rewind.h"
#include "resources/inet_socket.h"
#include "resources/inherited.h"
#include "resources/inotify.h"
#include "resources/memfd.h"
#include "resources/memory_maps.h"
#include "resources/open_files.h"
#include "resources/process_attributes.h"
#include "resources/signals.h"
#include "resources/sysv.h"
#include "resources/threads.h"
#include "resources/timerfd.h"
#include "resources/timers.h"
#include "resources/unix_socket.h"

namespace cairn::resources {
namespace {

Result<> give_runtime_its_state(RebuildContext& context) {
  auto state = std::make_unique<abi::RuntimeState>();
  const auto& saved = context.image.runtime().state();
  if (saved.size() != sizeof *state) return refusal("the runtime's state is of another format");
  std::memcpy(state.get(), saved.data(), sizeof *state);
  state->real_pid = context.process.pid().value;
  state->virtual_pid = context.image.pid();
  const auto& actions = context.image.signals().actions();
  for (int i = 0; i < actions.size() && i < 64; ++i)
    state->actions[i + 1] = {actions[i].handler(), actions[i].flags(), actions[i].restorer(),
                             actions[i].mask()};
  CAIRN_TRY(set_clock_offsets(context, *state));
  return context.process.set_runtime_state(*state);
}

}  // namespace

JobRebuild::JobRebuild(std::span<const Process> processes,
                       const std::vector<image::KernelObject>& objects, RebuildOptions options)
    : job_(new RebuildJob{.objects = objects, .options = std::move(options)}) {
  for (const auto& object : objects) job_->by_id[object.id()] = &object;
  for (const auto& process : processes) add_member(*job_, process.remote, process.image);
}

JobRebuild::~JobRebuild() = default;

Result<> JobRebuild::create_objects() {
  for (auto& member : job_->members) CAIRN_TRY(raise_file_limit(member));
  return create_open_files(*job_);
}

Result<> JobRebuild::address_space() {
  for (auto& member : job_->members) CAIRN_TRY(map_memory(member));
  return remove_sysv_memory(*job_);
}

Result<> JobRebuild::memory() {
  for (auto& member : job_->members) {
    CAIRN_TRY(write_memory(member));
    CAIRN_TRY(renew_environment(member, job_->options.environment));
    CAIRN_TRY(finish_memory(member));
    CAIRN_TRY(restore_layout(member));
  }
  return {};
}

// The runtime's state comes first, since the threads' numbers are the guest's; and once more at the
// end, since its clocks go on from that moment.
Result<> JobRebuild::threads() {
  job_->moment = read_clocks();
  for (auto& member : job_->members) {
    CAIRN_TRY(give_runtime_its_state(member));
    CAIRN_TRY(make_threads(member));
    CAIRN_TRY(restore_thread_attributes(member));
  }
  return {};
}

Result<> JobRebuild::connect_objects() {
  CAIRN_TRY(seal_memfds(*job_));  // their contents are in place and mapped
  CAIRN_TRY(connect_open_files(*job_));
  CAIRN_TRY(shut_unix_sockets(*job_));
  CAIRN_TRY(shut_inet_sockets(*job_));
  job_->lost_peers.clear();
  job_->removed_names.clear();
  for (auto& member : job_->members) {
    CAIRN_TRY(create_posix_timers(member));
    CAIRN_TRY(restore_aio(member));
  }
  return {};
}

Result<> JobRebuild::state() {
  for (auto& member : job_->members) {
    CAIRN_TRY(restore_pending_signals(member));
    CAIRN_TRY(restore_attributes(member));
  }
  return {};
}

Result<> JobRebuild::rewind_files() {
  CAIRN_TRY(resources::rewind_files(*job_));
  CAIRN_TRY(finish_unnamed_files(*job_));
  CAIRN_TRY(restore_leases(*job_));
  return restore_terminal_modes(*job_);
}

// Our copies of the open files go too: an end of a pipe must be gone when a process closes its own.
Result<> JobRebuild::start_clocks() {
  job_->moment = read_clocks();
  for (auto& member : job_->members) CAIRN_TRY(give_runtime_its_state(member));
  CAIRN_TRY(start_timerfds(*job_));
  for (auto& member : job_->members) {
    CAIRN_TRY(start_timers(member));
    member.mapped_files.clear();
  }
  job_->sysv_sets.keep();
  WatchRebuild watches(*job_);
  job_->made.clear();
  job_->pipes.clear();
  job_->held.clear();
  return watches.make();
}

RebuildContext& add_member(RebuildJob& job, RemoteProcess& process,
                           const image::ProcessImage& image) {
  const std::size_t index = job.members.size();
  for (const auto& descriptor : image.descriptors())
    job.numbers[descriptor.object_id()].push_back(
        {index, descriptor.number(), descriptor.close_on_exec() ? std::uint32_t{FD_CLOEXEC} : 0U});
  return job.members.emplace_back(RebuildContext{job, process, image, index});
}

}  // namespace cairn::resources
