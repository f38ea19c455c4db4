// inspect: what is in a generation

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>

#include "abi/link.h"
#include "cli/chosen.h"
#include "cli/guest_memory.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/verbs.h"

namespace cairn::cli {
namespace {

using Process = image::ProcessImage;
using Rows = std::vector<std::vector<std::string>>;

// What the records do not tell but the pages do.
struct Inside {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<std::uint64_t> saved_bytes;  // of each region
};

Result<std::vector<storage::PageRun>> saved_pages(const restart::Plan& plan,
                                                  const Process& process) {
  if (process.page_data().empty()) return std::vector<storage::PageRun>();
  CAIRN_ASSIGN(const auto ref, storage::PageDataRef::decode(process.page_data()));
  CAIRN_ASSIGN(const auto reader, plan.reader->memory(ref));
  return reader->pages();
}

// Both are ascending.
std::vector<std::uint64_t> bytes_by_region(const Process& process,
                                           const std::vector<storage::PageRun>& runs) {
  std::vector<std::uint64_t> bytes;
  auto run = runs.begin();
  for (const auto& region : process.regions()) {
    const std::uint64_t end = region.start() + region.length();
    std::uint64_t sum = 0;
    for (; run != runs.end() && run->address < end; ++run) {
      const std::uint64_t run_end = run->address + run->pages * storage::kPageBytes;
      if (run_end > region.start())
        sum += std::min(run_end, end) - std::max(run->address, region.start());
      if (run_end > end) break;  // it goes on in the next region
    }
    bytes.push_back(sum);
  }
  return bytes;
}

Result<Inside> look_inside(const restart::Plan& plan, const Process& process, bool mask) {
  Inside inside;
  const auto& layout = process.layout();
  CAIRN_ASSIGN(inside.arguments,
               read_guest_strings(plan, process, layout.arg_start(), layout.arg_end()));
  CAIRN_ASSIGN(inside.environment,
               read_guest_strings(plan, process, layout.env_start(), layout.env_end()));
  if (mask)
    for (std::string& variable : inside.environment) variable = mask_secret(variable);
  CAIRN_ASSIGN(const auto runs, saved_pages(plan, process));
  inside.saved_bytes = bytes_by_region(process, runs);
  return inside;
}

Result<Json> record_json(const google::protobuf::Message& record) {
  CAIRN_ASSIGN(const std::string text, image::to_json(record, false));
  return Json::parse(text, nullptr, false);
}

Result<Json> process_json(const restart::Plan& plan, const Process& process, bool mask) {
  CAIRN_ASSIGN(Json json, record_json(process));
  CAIRN_ASSIGN(const Inside inside, look_inside(plan, process, mask));
  json["arguments"] = inside.arguments;
  json["environment"] = inside.environment;
  for (std::size_t i = 0; i < inside.saved_bytes.size(); ++i)
    json["regions"][i]["saved_bytes"] = inside.saved_bytes[i];
  return json;
}

// Records as JSON: the generation, its processes, its objects.
Result<Json> describe(const restart::Plan& plan, bool mask) {
  Json result = to_json(plan.reader->info());
  result["processes"] = Json::array();
  result["objects"] = Json::array();
  for (const auto& process : plan.records.processes) {
    CAIRN_ASSIGN(Json json, process_json(plan, process, mask));
    result["processes"].push_back(std::move(json));
  }
  for (const auto& object : plan.records.objects) {
    CAIRN_ASSIGN(Json json, record_json(object));
    result["objects"].push_back(std::move(json));
  }
  return result;
}

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

void print_section(const std::string& title, const Rows& rows) {
  print_line("");
  print_line(title);
  print_table(rows);
}

std::uint64_t instruction_pointer(const image::Thread& thread) {
  std::uint64_t registers[abi::kGeneralRegisters] = {};
  std::memcpy(registers, thread.registers().data(),
              std::min(sizeof registers, thread.registers().size()));
  return registers[abi::kRip];
}

void print_threads(const Process& process) {
  Rows rows{{"TID", "NAME", "AT", "NICE", "CPU", "MASK"}};
  for (const auto& thread : process.threads())
    rows.push_back({std::to_string(thread.tid()), thread.name(),
                    fmt::format("{:#x}", instruction_pointer(thread)),
                    std::to_string(thread.nice()),
                    fmt::format("{}.{:03} s", thread.cpu_time().seconds(),
                                thread.cpu_time().nanoseconds() / 1'000'000),
                    fmt::format("{:016x}", thread.signal_mask())});
  print_section("threads", rows);
}

std::string protection(const image::MemoryRegion& region) {
  std::string text = "---p";
  if ((region.protection() & PROT_READ) != 0) text[0] = 'r';
  if ((region.protection() & PROT_WRITE) != 0) text[1] = 'w';
  if ((region.protection() & PROT_EXEC) != 0) text[2] = 'x';
  if ((region.flags() & MAP_TYPE) != MAP_PRIVATE) text[3] = 's';
  return text;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c == '_' ? ' ' : static_cast<char>(c | 0x20); });
  return text;
}

void print_map(const Process& process, const Inside& inside) {
  Rows rows{{"ADDRESS", "ACCESS", "SIZE", "SAVED", "WHAT"}};
  for (int i = 0; i < process.regions_size(); ++i) {
    const auto& region = process.regions(i);
    const std::string& file = region.file().path();
    const std::string name = region.name().empty() ? "" : " [" + region.name() + "]";
    rows.push_back(
        {fmt::format("{:012x}-{:012x}", region.start(), region.start() + region.length()),
         protection(region), format_bytes(region.length()),
         format_bytes(inside.saved_bytes[static_cast<std::size_t>(i)]),
         file.empty() ? lower(image::MemoryRegion::Kind_Name(region.kind())) + name : file});
  }
  print_section("memory", rows);
}

// What a person would call the object by.
std::string object_detail(const image::KernelObject& object) {
  if (object.has_regular_file())
    return fmt::format("{} at {}", object.regular_file().file().path(),
                       object.regular_file().offset());
  if (object.has_directory()) return object.directory().path();
  if (object.has_path_only()) return object.path_only().file().path();
  if (object.has_proc_file()) return object.proc_file().path();
  if (object.has_fifo()) return object.fifo().path();
  if (object.has_device()) return object.device().path();
  if (object.has_terminal()) return object.terminal().path();
  if (object.has_inherited()) return object.inherited().description();
  if (object.has_memfd()) return object.memfd().name();
  if (object.has_pipe_end())
    return fmt::format("of pipe {}, {}", object.pipe_end().pipe_id(),
                       object.pipe_end().write() ? "writing" : "reading");
  if (object.has_eventfd()) return fmt::format("count {}", object.eventfd().count());
  if (object.has_epoll()) return fmt::format("{} entries", object.epoll().entries_size());
  if (object.has_pidfd()) return fmt::format("process {}", object.pidfd().pid());
  if (object.has_unix_socket())
    return lower(image::UnixSocket::State_Name(object.unix_socket().state()));
  if (object.has_inet_socket())
    return lower(image::InetSocket::State_Name(object.inet_socket().state()));
  return {};
}

void print_descriptors(const restart::Plan& plan, const Process& process) {
  Rows rows{{"FD", "OBJECT", "KIND", "WHAT"}};
  for (const auto& descriptor : process.descriptors()) {
    const image::KernelObject* object = plan.records.object(descriptor.object_id());
    if (object == nullptr) continue;
    rows.push_back({std::to_string(descriptor.number()), std::to_string(object->id()),
                    lower(std::string(image::kind_name(*object))), object_detail(*object)});
  }
  print_section("descriptors", rows);
}

const char* stop_name(int signal) {
  if (signal == SIGTSTP) return "SIGTSTP";
  if (signal == SIGTTIN) return "SIGTTIN";
  return signal == SIGTTOU ? "SIGTTOU" : "SIGSTOP";
}

void print_process(const restart::Plan& plan, const Process& process, const Inside& inside) {
  const auto& program = process.program();
  std::uint64_t mapped = 0;
  std::uint64_t saved = 0;
  for (const auto& region : process.regions()) mapped += region.length();
  for (const std::uint64_t bytes : inside.saved_bytes) saved += bytes;
  print_line("");
  print_line(fmt::format("process {}  {}", process.pid(), program.name()));
  print_line("  program    " + program.executable());
  print_line("  arguments  " + joined(inside.arguments));
  print_line("  directory  " + program.working_directory());
  print_line(fmt::format("  ids        parent {}, group {}, session {}, user {}, group {}",
                         process.ppid(), process.pgid(), process.sid(),
                         process.credentials().euid(), process.credentials().egid()));
  print_line(
      fmt::format("  memory     {} mapped, {} saved", format_bytes(mapped), format_bytes(saved)));
  if (process.has_stop_signal())
    print_line(fmt::format("  stopped    by {}", stop_name(process.stop_signal())));
  print_threads(process);
  print_map(process, inside);
  print_descriptors(plan, process);
  print_line("");
  print_line("environment");
  for (const std::string& variable : inside.environment) print_line(variable);
}

Result<> print_generation(const restart::Plan& plan, bool mask) {
  const storage::GenerationInfo& info = plan.reader->info();
  print_line(fmt::format("generation {} of job {} ({})", info.number, plan.name, info.job_id));
  print_line("committed   " + format_time(info.committed_ns));
  print_line(fmt::format("incarnation {}", info.incarnation));
  print_line(fmt::format("memory      {}, of it new {}, stored in {}",
                         format_bytes(info.memory_bytes()), format_bytes(info.new_bytes()),
                         format_bytes(info.stored_bytes())));
  if (!plan.records.processes.empty()) {
    const auto& machine = plan.records.processes.front().machine();
    print_line(fmt::format("saved on    {}, Linux {}, {}", machine.node_name(),
                           machine.kernel_release(), machine.cpu_model()));
  }
  for (const auto& process : plan.records.processes) {
    CAIRN_ASSIGN(const Inside inside, look_inside(plan, process, mask));
    print_process(plan, process, inside);
  }
  return {};
}

}  // namespace

ExitCode inspect(const InspectOptions& options) {
  const bool json = options.common.json;
  const auto plan = read_chosen(options.generation, options.common.dir);
  if (!plan) return fail(json, plan.error().code, plan.error().error);
  if (!json) {
    const auto printed = print_generation(*plan, options.mask_secrets);
    return printed ? ExitCode::kOk : fail(json, ExitCode::kDamaged, printed.error());
  }
  const auto described = describe(*plan, options.mask_secrets);
  if (!described) return fail(json, ExitCode::kDamaged, described.error());
  print_json(*described);
  return ExitCode::kOk;
}

}  // namespace cairn::cli
