#include "agent/requests.h"

#include <cstring>

#include <fmt/format.h>

namespace cairn::agent {
namespace {

double as_ms(std::chrono::microseconds duration) {
  return static_cast<double>(duration.count()) / 1000.0;
}

}  // namespace

Json to_json(const CheckpointRequest& request) {
  return {{"request", "checkpoint"},
          {"timeout_ms", request.timeout.count()},
          {"freeze_timeout_ms", request.freeze_timeout.count()},
          {"kill", request.kill}};
}

CheckpointRequest parse_checkpoint_request(const Json& message) {
  CheckpointRequest request;
  const auto duration = [&message](const char* key, std::chrono::milliseconds fallback) {
    const auto found = message.find(key);
    if (found == message.end() || !found->is_number_integer()) return fallback;
    return std::chrono::milliseconds(found->get<std::int64_t>());
  };
  request.timeout = duration("timeout_ms", request.timeout);
  request.freeze_timeout = duration("freeze_timeout_ms", request.freeze_timeout);
  const auto kill = message.find("kill");
  request.kill = kill != message.end() && kill->is_boolean() && kill->get<bool>();
  return request;
}

Json prune_request(unsigned keep) { return {{"request", "prune"}, {"keep", keep}}; }

unsigned parse_prune_request(const Json& message) {
  const auto keep = message.find("keep");
  return keep != message.end() && keep->is_number_unsigned() ? keep->get<unsigned>() : 0;
}

Json prune_answer(const storage::RetentionReport& report) {
  return {{"event", "result"},
          {"ok", true},
          {"removed", report.removed},
          {"packs_removed", report.packs_removed},
          {"packs_compacted", report.packs_compacted},
          {"bytes_freed", report.bytes_freed}};
}

Json failure_answer(const Error& error) {
  return {{"event", "result"}, {"ok", false}, {"error", error.message()}, {"code", error.code}};
}

Error error_of(const Json& answer) {
  // The text already names the errno's meaning, so the code is not put into the Error again.
  return Error{0, answer.value("error", "the agent gave no reason"), {}};
}

Json checkpoint_answer(const checkpoint::Outcome& outcome) {
  const storage::GenerationInfo& generation = outcome.generation;
  const checkpoint::Phases& phases = outcome.phases;
  return {{"event", "result"},
          {"ok", true},
          {"generation", generation.number},
          {"processes", outcome.processes},
          {"threads", outcome.threads},
          {"memory_bytes", generation.memory_bytes()},
          {"new_bytes", generation.new_bytes()},
          {"stored_bytes", generation.stored_bytes()},
          {"committed_ns", generation.committed_ns},
          {"ms",
           {{"freeze", as_ms(phases.freeze)},
            {"capture", as_ms(phases.capture)},
            {"memory", as_ms(phases.memory)},
            {"sync", as_ms(phases.sync)},
            {"commit", as_ms(phases.commit)},
            {"frozen", as_ms(phases.frozen)}}}};
}

Json progress_message(std::string_view phase, std::uint64_t done, std::uint64_t total) {
  return {{"event", "progress"}, {"phase", phase}, {"done", done}, {"total", total}};
}

Json describe_process(const abi::ProcessSlot& slot) {
  Json process{{"pid", slot.real_pid.load()}, {"virtual_pid", slot.virtual_pid.load()}};
  if (slot.state.load() == static_cast<std::uint32_t>(abi::SlotState::kUnsupported))
    process["cannot_be_saved"] =
        std::string(slot.reason, ::strnlen(slot.reason, sizeof slot.reason));
  return process;
}

std::string checkpoint_log_fields(const checkpoint::Outcome& outcome) {
  const checkpoint::Phases& phases = outcome.phases;
  return fmt::format(
      "committed={} processes={} threads={} memory_bytes={} stored_bytes={} freeze_ms={:.1f} "
      "capture_ms={:.1f} memory_ms={:.1f} sync_ms={:.1f} commit_ms={:.1f} frozen_ms={:.1f}",
      outcome.generation.number, outcome.processes, outcome.threads,
      outcome.generation.memory_bytes(), outcome.generation.stored_bytes(), as_ms(phases.freeze),
      as_ms(phases.capture), as_ms(phases.memory), as_ms(phases.sync), as_ms(phases.commit),
      as_ms(phases.frozen));
}

std::string restart_log_fields(const restart::Plan& plan, const restart::Outcome& outcome) {
  return fmt::format("from={} threads={} memory_ms={:.1f} objects_ms={:.1f} resume_ms={:.1f} "
                     "total_ms={:.1f}",
                     plan.generation, outcome.threads, as_ms(outcome.memory),
                     as_ms(outcome.objects), as_ms(outcome.resume), as_ms(outcome.total));
}

bool ProgressFilter::worth_telling(std::string_view phase, std::uint64_t done,
                                   std::uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  const bool last = total != 0 && done == total;
  if (phase == phase_ && !last && now - last_ < std::chrono::milliseconds(200)) return false;
  phase_ = phase;
  last_ = now;
  return true;
}

}  // namespace cairn::agent
