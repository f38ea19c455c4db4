#include "resources/memory_policy.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <sstream>

#include "base/files.h"

namespace cairn::resources {
namespace {

constexpr unsigned long kNodes = 1024;  // MAX_NUMNODES of all kernels
constexpr std::size_t kMaskBytes = kNodes / 8;
constexpr std::size_t kAtOnce = 1024;

struct Answer {
  std::int32_t mode;
  std::uint32_t pad;
  unsigned char nodes[kMaskBytes];
};

// Of each of `count` questions: a call whose first two arguments are where the answer goes.
using Ask =
    std::function<abi::LinkSyscall(std::size_t index, std::uint64_t mode, std::uint64_t nodes)>;
using Take = std::function<void(std::size_t index, const Answer& answer)>;

// An answer that is the default is not taken; nor is one where the kernel has no policies.
Result<> ask_all(RemoteProcess& process, std::size_t count, const Ask& ask, const Take& take) {
  for (std::size_t begin = 0; begin < count; begin += kAtOnce) {
    const std::size_t some = std::min(kAtOnce, count - begin);
    std::vector<Answer> answers(some);
    CAIRN_ASSIGN(const auto place, process.scratch_bytes(std::as_bytes(std::span(answers))));
    std::vector<abi::LinkSyscall> calls;
    for (std::size_t i = 0; i < some; ++i) {
      const std::uint64_t at = place.address() + i * sizeof(Answer);
      calls.push_back(ask(begin + i, at, at + offsetof(Answer, nodes)));
    }
    CAIRN_TRY(process.syscalls(calls));
    CAIRN_TRY(process.read(place.address(), std::as_writable_bytes(std::span(answers))));
    for (std::size_t i = 0; i < some; ++i)
      if (calls[i].result == 0 && answers[i].mode != MPOL_DEFAULT) take(begin + i, answers[i]);
  }
  return {};
}

std::string nodes_of(const Answer& answer) {
  return {reinterpret_cast<const char*>(answer.nodes), sizeof answer.nodes};
}

// The kernel takes one bit less than it is told, and no nodes at all for some modes.
std::uint64_t bits_of(const std::string& nodes) {
  const bool none = std::all_of(nodes.begin(), nodes.end(), [](char byte) { return byte == 0; });
  return none ? 0 : nodes.size() * 8 + 1;
}

// Lines "ADDRESS POLICY ..."; where a mapping has none of its own, that of the first thread stands.
Result<bool> has_policies(const CaptureContext& context) {
  const auto text = read_text_file(context.process.proc_path("numa_maps"));
  if (!text) return false;  // a kernel without NUMA
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const auto blank = line.find(' ');
    if (blank != std::string::npos && line.compare(blank + 1, 7, "default") != 0) return true;
  }
  return false;
}

}  // namespace

Result<> capture_memory_policies(CaptureContext& context) {
  CAIRN_ASSIGN(const bool any, has_policies(context));
  if (!any) return {};
  auto& regions = *context.image.mutable_regions();
  const auto ask = [&](std::size_t index, std::uint64_t mode, std::uint64_t nodes) {
    return RemoteProcess::make_call(0, SYS_get_mempolicy, mode, nodes, kNodes,
                                    regions[static_cast<int>(index)].start(), MPOL_F_ADDR);
  };
  return ask_all(context.process, static_cast<std::size_t>(regions.size()), ask,
                 [&](std::size_t index, const Answer& answer) {
                   auto& region = regions[static_cast<int>(index)];
                   region.set_memory_policy(answer.mode);
                   region.set_memory_policy_nodes(nodes_of(answer));
                 });
}

Result<> capture_thread_policies(CaptureContext& context) {
  const auto ask = [&](std::size_t index, std::uint64_t mode, std::uint64_t nodes) {
    return RemoteProcess::make_call(context.threads[index].real_tid, SYS_get_mempolicy, mode, nodes,
                                    kNodes, 0, 0);
  };
  return ask_all(context.process, context.threads.size(), ask,
                 [&](std::size_t index, const Answer& answer) {
                   for (auto& record : *context.image.mutable_threads())
                     if (record.tid() == context.threads[index].virtual_tid) {
                       record.set_memory_policy(answer.mode);
                       record.set_memory_policy_nodes(nodes_of(answer));
                     }
                 });
}

namespace {

// A place for the nodes of a policy, and how the kernel is told of them: those modes that have none
// want a null.
struct Nodes {
  Scratch place;
  std::uint64_t address;
  std::uint64_t bits;
};

Result<Nodes> nodes_for(RemoteProcess& process, const std::string& nodes) {
  CAIRN_ASSIGN(auto place, process.scratch_bytes(std::as_bytes(std::span(nodes))));
  const std::uint64_t bits = bits_of(nodes);
  const std::uint64_t address = bits == 0 ? 0 : place.address();
  return Nodes{std::move(place), address, bits};
}

}  // namespace

Result<> restore_memory_policies(RebuildContext& context) {
  for (const auto& region : context.image.regions()) {
    if (!region.has_memory_policy()) continue;
    CAIRN_ASSIGN(const auto nodes, nodes_for(context.process, region.memory_policy_nodes()));
    std::array calls{RemoteProcess::make_call(0, SYS_mbind, region.start(), region.length(),
                                              region.memory_policy(), nodes.address, nodes.bits,
                                              0)};
    CAIRN_TRY(context.process.syscalls(calls));
  }
  return {};
}

Result<> restore_thread_policies(RebuildContext& context) {
  for (int i = 0; i < context.image.threads_size(); ++i) {
    const auto& record = context.image.threads(i);
    if (!record.has_memory_policy()) continue;
    CAIRN_ASSIGN(const auto nodes, nodes_for(context.process, record.memory_policy_nodes()));
    std::array calls{RemoteProcess::make_call(i, SYS_set_mempolicy, record.memory_policy(),
                                              nodes.address, nodes.bits)};
    CAIRN_TRY(context.process.syscalls(calls));
  }
  return {};
}

}  // namespace cairn::resources
