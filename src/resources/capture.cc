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
#include "resources/threads.h"
#include "resources/timers.h"

namespace cairn::resources {
namespace {

Result<> capture_runtime(CaptureContext& context) {
  auto& state = *context.runtime;
  if (state.start_ticks == 0) state.start_ticks = process_start_time(context.process.pid().value);
  auto& process = context.result.process;
  process.set_pid(state.virtual_pid);
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

}  // namespace

Result<ProcessCapture> capture_process(RemoteProcess& process, const CaptureOptions& options) {
  ProcessCapture result;
  CaptureContext context{.process = process, .options = options, .result = result};
  context.next_id = options.first_object_id;
  CAIRN_TRY(refuse_unsupported(context));
  CAIRN_ASSIGN(const auto runtime, process.runtime_state());
  context.runtime = runtime.get();
  CAIRN_ASSIGN(context.threads, process.threads());

  CAIRN_TRY(capture_clocks(context));     // first: what follows takes time
  CAIRN_TRY(capture_timers(context));
  CAIRN_TRY(capture_runtime(context));
  CAIRN_TRY(capture_attributes(context));
  CAIRN_TRY(capture_threads(context));
  CAIRN_TRY(capture_signals(context));    // adds to the threads' records
  CAIRN_TRY(capture_open_files(context));
  CAIRN_TRY(capture_memory(context));     // after the files, which mappings refer to
  CAIRN_TRY(capture_layout(context));
  describe_machine(*result.process.mutable_machine());
  return result;
}

}  // namespace cairn::resources
