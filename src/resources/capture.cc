#include "resources/capture.h"

#include <fmt/format.h>

#include "abi/arena.h"
#include "abi/export_page.h"
#include "abi/stub_block.h"
#include "base/files.h"
#include "resources/clocks.h"
#include "resources/context.h"
#include "resources/machine.h"
#include "resources/memory_maps.h"
#include "resources/open_files.h"
#include "resources/process_attributes.h"
#include "resources/signals.h"
#include "resources/sysv.h"
#include "resources/threads.h"
#include "resources/timers.h"

namespace cairn::resources {
namespace {

Result<> capture_runtime(CaptureContext& context) {
  auto& state = *context.runtime;
  if (state.start_ticks == 0) state.start_ticks = process_start_time(context.process.pid().value);
  auto& process = context.image;
  process.set_pid(state.virtual_pid);
  process.set_ppid(state.virtual_parent);
  process.set_pgid(state.virtual_group);
  process.set_sid(state.virtual_session);
  auto& record = *process.mutable_runtime();
  record.set_version(state.version);
  record.set_state(std::string(reinterpret_cast<const char*>(&state), sizeof state));
  record.set_slots_version(abi::kSlotsVersion);
  record.set_arena_base(abi::kArenaBase);
  if (state.stub_blocks > std::size(state.stub_block))
    return refusal("the runtime names more stub blocks than it can");
  for (std::uint32_t i = 0; i < state.stub_blocks; ++i) {
    abi::StubBlockHeader header{};
    CAIRN_ASSIGN(header, context.process.read_object<abi::StubBlockHeader>(state.stub_block[i]));
    if (header.magic != abi::kStubMagic)
      return refusal(fmt::format("no stub block is at {:#x}", state.stub_block[i]));
    auto& block = *process.add_stub_blocks();
    block.set_start(state.stub_block[i]);
    block.set_length(header.block_bytes);
    block.set_text_start(header.text_start);
    block.set_text_end(header.text_end);
    block.set_version(header.version);
  }
  return {};
}

void capture_machine(CaptureContext& context) {
  auto& machine = *context.image.mutable_machine();
  const abi::CpuView& told = context.job.options.cpu;
  const bool leaks = context.runtime->cpu_view_leaks != 0;
  describe_machine(machine, leaks ? abi::CpuView{} : told);
  if (told.level != 0) describe_cpu_view(told, machine);
  machine.set_text_unpatched(leaks);
}

// What belongs to one process alone, but for its memory.
Result<> capture_process(CaptureContext& context) {
  CAIRN_TRY(capture_clocks(context));  // first: what follows takes time
  CAIRN_TRY(capture_timers(context));
  CAIRN_TRY(capture_runtime(context));
  CAIRN_TRY(capture_attributes(context));
  CAIRN_TRY(capture_threads(context));
  return capture_signals(context);  // adds to the threads' records
}

}  // namespace

Result<CaptureContext*> add_member(CaptureJob& job, RemoteProcess& process) {
  const std::size_t index = job.members.size();
  auto& context =
      job.members.emplace_back(CaptureContext{job, process, job.result.processes.at(index), index});
  CAIRN_ASSIGN(context.runtime, process.runtime_state());
  CAIRN_ASSIGN(context.threads, process.threads());
  return &context;
}

Result<JobCapture> capture_job(std::span<RemoteProcess* const> processes,
                               const CaptureOptions& options) {
  JobCapture result;
  result.processes.resize(processes.size());
  CaptureJob job{.options = options, .result = result, .moment = read_clocks()};
  for (RemoteProcess* process : processes) CAIRN_TRY(add_member(job, *process));
  for (auto& context : job.members) CAIRN_TRY(refuse_unsupported(context));
  for (auto& context : job.members) CAIRN_TRY(capture_process(context));
  CAIRN_TRY(capture_open_files(job));
  CAIRN_TRY(capture_sysv(job));
  for (auto& context : job.members) {
    CAIRN_TRY(capture_memory(context));  // after the files, which mappings refer to
    CAIRN_TRY(capture_layout(context));
    capture_machine(context);
  }
  join_shared_pages(job);
  return result;
}

}  // namespace cairn::resources
