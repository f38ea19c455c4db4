#include "resources/rebuild.h"

#include <cstring>

#include "resources/clocks.h"
#include "resources/context.h"
#include "resources/file_locks.h"
#include "resources/file_rewind.h"
#include "resources/inet_socket.h"
#include "resources/inherited.h"
#include "resources/memfd.h"
#include "resources/memory_maps.h"
#include "resources/open_files.h"
#include "resources/process_attributes.h"
#include "resources/signals.h"
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

ProcessRebuild::ProcessRebuild(RemoteProcess& process, const image::ProcessImage& image,
                               const std::vector<image::KernelObject>& objects,
                               RebuildOptions options)
    : context_(std::make_unique<RebuildContext>(
          RebuildContext{.process = process, .image = image, .objects = objects,
                         .options = std::move(options)})) {
  for (const auto& object : objects) context_->by_id[object.id()] = &object;
  for (const auto& descriptor : image.descriptors())
    context_->numbers[descriptor.object_id()].push_back(descriptor.number());
}

ProcessRebuild::~ProcessRebuild() = default;

Result<> ProcessRebuild::create_objects() {
  CAIRN_TRY(raise_file_limit(*context_));
  return create_open_files(*context_);
}

Result<> ProcessRebuild::address_space() { return map_memory(*context_); }

Result<> ProcessRebuild::memory() {
  CAIRN_TRY(write_memory(*context_));
  CAIRN_TRY(finish_memory(*context_));
  return restore_layout(*context_);
}

// The runtime's state comes first, since the threads' numbers are the guest's; and once more at the
// end, since its clocks go on from that moment.
Result<> ProcessRebuild::threads() {
  CAIRN_TRY(give_runtime_its_state(*context_));
  CAIRN_TRY(make_threads(*context_));
  return restore_thread_attributes(*context_);
}

Result<> ProcessRebuild::connect_objects() {
  CAIRN_TRY(seal_memfds(*context_));  // their contents are in place and mapped
  CAIRN_TRY(connect_open_files(*context_));
  CAIRN_TRY(shut_unix_sockets(*context_));
  CAIRN_TRY(shut_inet_sockets(*context_));
  context_->lost_peers.clear();
  return create_posix_timers(*context_);
}

Result<> ProcessRebuild::state() {
  CAIRN_TRY(restore_pending_signals(*context_));
  return restore_attributes(*context_);
}

Result<> ProcessRebuild::rewind_files() {
  CAIRN_TRY(resources::rewind_files(*context_));
  CAIRN_TRY(restore_leases(*context_));
  return restore_terminal_modes(*context_);
}

// Our copies of the open files go too: an end of a pipe must be gone when the process closes its own.
Result<> ProcessRebuild::start_clocks() {
  CAIRN_TRY(give_runtime_its_state(*context_));
  CAIRN_TRY(start_timerfds(*context_));
  CAIRN_TRY(start_timers(*context_));
  context_->made.clear();
  context_->pipes.clear();
  context_->held.clear();
  context_->mapped_files.clear();
  return {};
}

}  // namespace cairn::resources
