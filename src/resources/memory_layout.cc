// What the kernel remembers of an address space besides its mappings: prctl(PR_SET_MM_MAP).

#include <fmt/format.h>
#include <linux/prctl.h>

#include <cstdlib>
#include <sstream>

#include "base/files.h"
#include "resources/memory_maps.h"

namespace cairn::resources {
namespace {

// /proc/PID/stat from field 3 on; the name in field 2 may hold blanks and brackets.
Result<std::vector<std::uint64_t>> stat_fields(const RemoteProcess& process) {
  CAIRN_ASSIGN(const auto text, read_text_file(process.proc_path("stat")));
  std::istringstream words(text.substr(text.rfind(')') + 2));
  std::vector<std::uint64_t> fields(3, 0);  // numbered as in proc(5)
  for (std::string word; words >> word;) fields.push_back(std::strtoull(word.c_str(), nullptr, 10));
  if (fields.size() < 52) return refusal("read", process.proc_path("stat"));
  return fields;
}

}  // namespace

Result<> capture_layout(CaptureContext& context) {
  CAIRN_ASSIGN(const auto fields, stat_fields(context.process));
  auto& layout = *context.image.mutable_layout();
  layout.set_start_code(fields[26]);
  layout.set_end_code(fields[27]);
  layout.set_start_stack(fields[28]);
  layout.set_start_data(fields[45]);
  layout.set_end_data(fields[46]);
  layout.set_start_brk(fields[47]);
  layout.set_arg_start(fields[48]);
  layout.set_arg_end(fields[49]);
  layout.set_env_start(fields[50]);
  layout.set_env_end(fields[51]);
  CAIRN_ASSIGN(const auto brk, context.process.syscall(SYS_brk, 0));
  layout.set_brk(brk);
  CAIRN_ASSIGN(auto auxv, read_text_file(context.process.proc_path("auxv")));
  layout.set_auxv(std::move(auxv));
  return {};
}

// In one call, since the kernel checks the addresses against each other. The auxiliary vector here is
// what /proc/PID/auxv shows; the one the guest reads lies in its stack.
Result<> restore_layout(RebuildContext& context) {
  const auto& layout = context.image.layout();
  const std::span auxv_bytes(reinterpret_cast<const std::byte*>(layout.auxv().data()),
                             layout.auxv().size());
  CAIRN_ASSIGN(const auto auxv, context.process.scratch_bytes(auxv_bytes));
  prctl_mm_map map{};
  map.start_code = layout.start_code();
  map.end_code = layout.end_code();
  map.start_data = layout.start_data();
  map.end_data = layout.end_data();
  map.start_brk = layout.start_brk();
  map.brk = layout.brk();
  map.start_stack = layout.start_stack();
  map.arg_start = layout.arg_start();
  map.arg_end = layout.arg_end();
  map.env_start = layout.env_start();
  map.env_end = layout.env_end();
  map.auxv = reinterpret_cast<decltype(map.auxv)>(auxv.address());
  map.auxv_size = static_cast<std::uint32_t>(layout.auxv().size());
  map.exe_fd = static_cast<std::uint32_t>(-1);
  CAIRN_ASSIGN(const auto place, context.process.scratch_object(map));
  CAIRN_TRY(context.process.syscall(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, place.address(),
                                    sizeof map, 0));
  return {};
}

}  // namespace cairn::resources
