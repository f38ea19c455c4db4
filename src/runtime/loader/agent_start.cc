#include "runtime/loader/agent_start.h"

#include "abi/boot.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kPatienceMs = 30'000;

// Exactly so many bytes, or the end of the process: no message is longer than a pipe holds.
void read_report(int report, void* to, std::uint64_t bytes) {
  struct {
    int fd;
    std::int16_t wanted, happened;
  } entry{report, 1 /* POLLIN */, 0};
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    auto ready = sys::call(__NR_poll, sys::address(&entry), 1, kPatienceMs);
    if (ready.ok() && ready.value() == 0) die("the agent was not ready in time");
    auto got = sys::call(__NR_read, static_cast<std::uint64_t>(report), sys::address(at), bytes);
    if (!got.ok() && got.error() == kEINTR) continue;
    if (!got.ok() || got.value() == 0) die("the agent ended while it was being started");
    at += got.value();
    bytes -= got.value();
  }
}

void pass_text_on(int report, std::uint64_t bytes, std::uint64_t to) {
  char piece[512];
  while (bytes > 0) {
    std::uint64_t n = bytes < sizeof(piece) ? bytes : sizeof(piece);
    read_report(report, piece, n);
    (void)sys::call(__NR_write, to, sys::address(piece), n);
    bytes -= n;
  }
}

[[noreturn]] void end_as_reported(int report) {
  abi::AgentFailure failure;
  read_report(report, &failure, sizeof(failure));
  pass_text_on(report, failure.error_bytes, 2);
  pass_text_on(report, failure.output_bytes, 1);
  for (;;) (void)sys::call(__NR_exit_group, failure.exit_code);
}

void expect(int report, char wanted) {
  char kind = 0;
  read_report(report, &kind, 1);
  if (kind == abi::kAgentFailed) end_as_reported(report);
  if (kind != wanted) die("the agent's report is damaged");
}

}  // namespace

void wait_for_segment(int report) {
  if (report >= 0) expect(report, abi::kSegmentThere);
}

void wait_for_agent(int report) {
  if (report < 0) return;
  expect(report, abi::kAgentReady);
  (void)sys::call(__NR_close, static_cast<std::uint64_t>(report));
}

}  // namespace cairn::runtime
