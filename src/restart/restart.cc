// Steps, and what holds after each:
//
//   read       every record of the generation is whole, and the references between them hold
//   check      this machine has what the image needs; until here nothing was started or changed
//   connect    the fresh process, nothing but a runtime, waits for requests
//   names      names and files that changed after the commit are what they were: the journals are
//              undone, since a descriptor can be opened only where its file is
//   memory     its address space is laid out and all pages are in place, each verified by its hash
//   objects    every descriptor number holds its open file, then what refers to numbers and to
//   other
//              objects is connected
//   threads    all threads exist, parked, with their registers; clocks, handlers, limits are set
//   files      open files are what they were at the commit, too
//   go         timers run, all threads enter the guest
//
// All or nothing: a failure in any step ends the new process and leaves the image as it was.

#include "restart/restart.h"

#include <signal.h>
#include <sys/syscall.h>

#include <nlohmann/json.hpp>

#include "base/exit_code.h"
#include "base/files.h"
#include "resources/journal_undo.h"
#include "resources/rebuild.h"
#include "resources/remote_process.h"

namespace cairn::restart {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout{30'000};

microseconds since(Clock::time_point& last) {
  const auto now = Clock::now();
  const auto passed = std::chrono::duration_cast<microseconds>(now - last);
  last = now;
  return passed;
}

Result<resources::RemoteProcess> connect(ConnectionQueue& connections, RealPid pid) {
  CAIRN_ASSIGN(Fd link, connections.wait_for(pid, Deadline{kConnectTimeout}));
  CAIRN_ASSIGN(auto process, resources::RemoteProcess::open(std::move(link)));
  if (process.hello().purpose != abi::LinkPurpose::kRestore)
    return refusal("the new process did not come for a restore");
  return process;
}

std::string undo_directory(const Plan& plan) {
  return plan.directory + "/undo";
}

// From the connected process to the running one.
Result<Outcome> build(const Plan& plan, resources::RemoteProcess& process, abi::SysvTable& sysv,
                      std::array<int, 3> stdio, bool bring_back_files, std::uint64_t journal) {
  Outcome outcome;
  auto last = Clock::now();
  const image::ProcessImage& image = plan.records.processes.front();
  resources::RebuildOptions options;
  options.stdio = stdio;
  options.sysv = &sysv;
  options.restore_files = bring_back_files;
  options.undo_directory = undo_directory(plan);
  options.open_content =
      [&plan](const std::string& text) -> Result<std::unique_ptr<storage::MemoryReader>> {
    CAIRN_ASSIGN(const storage::PageDataRef ref, storage::PageDataRef::decode(text));
    return plan.reader->memory(ref);
  };
  const std::array processes{resources::JobRebuild::Process{process, image}};
  resources::JobRebuild rebuild(processes, plan.records.objects, std::move(options));
  if (bring_back_files)
    CAIRN_TRY(resources::undo_journals({.directory = plan.directory + "/journal",
                                        .positions = plan.journals,
                                        .without = journal,
                                        .undo_directory = undo_directory(plan)}));
  CAIRN_TRY(rebuild.create_objects());
  CAIRN_TRY(rebuild.address_space());
  outcome.objects = since(last);
  CAIRN_TRY(rebuild.memory());
  outcome.memory = since(last);
  CAIRN_TRY(rebuild.threads());
  CAIRN_TRY(rebuild.connect_objects());
  outcome.objects += since(last);
  CAIRN_TRY(rebuild.state());
  CAIRN_TRY(rebuild.rewind_files());
  CAIRN_TRY(rebuild.start_clocks());
  CAIRN_TRY(process.go());
  outcome.resume = since(last);
  outcome.threads = static_cast<std::uint32_t>(image.threads_size());
  return outcome;
}

// The one line on the restart command's standard error.
void complain(int standard_error, const Error& error) {
  if (standard_error < 0) return;
  // Nobody may read it any more; the log has it too.
  (void)write_all(standard_error, "cairn: restart failed: " + error.message() + "\n");
}

Result<> decode(const storage::Record& record, const std::string& where,
                image::Generation& records) {
  switch (static_cast<image::RecordKind>(record.kind)) {
    case image::RecordKind::kProcess: {
      CAIRN_ASSIGN(auto process, image::decode_process(record.payload, where));
      records.processes.push_back(std::move(process));
      return {};
    }
    case image::RecordKind::kObject: {
      CAIRN_ASSIGN(auto object, image::decode_object(record.payload, where));
      records.objects.push_back(std::move(object));
      return {};
    }
  }
  return refusal("unknown kind of record " + std::to_string(record.kind) + " in", where);
}

}  // namespace

Result<image::Generation> decode_records(const storage::GenerationReader& reader) {
  image::Generation records;
  for (const storage::Record& record : reader.records())
    CAIRN_TRY(decode(record,
                     "record " + std::to_string(record.id) + " of generation " +
                         std::to_string(reader.info().number),
                     records));
  CAIRN_TRY(image::check_references(records));
  return records;
}

resources::JournalPositions journals_of(const storage::GenerationInfo& generation) {
  const auto json = nlohmann::json::parse(generation.info, nullptr, false);
  return resources::positions_from_text(json.is_object() ? json.value("journals", "") : "");
}

Result<Plan> read(const std::string& directory, std::uint64_t generation) {
  Plan plan;
  plan.directory = directory;
  plan.generation = generation;
  CAIRN_ASSIGN(plan.reader, storage::open_generation(directory + "/" + std::to_string(generation),
                                                     storage::VerifyLevel::kStructure));
  const storage::GenerationInfo& info = plan.reader->info();
  plan.job_id = info.job_id;
  const auto json = nlohmann::json::parse(info.info, nullptr, false);
  if (json.is_object()) {
    plan.name = json.value("name", "");
    plan.mode = json.value("mode", "auto");
  }
  plan.journals = journals_of(info);
  CAIRN_ASSIGN(plan.records, decode_records(*plan.reader));
  return plan;
}

Result<> check_machine(const Plan& plan) {
  if (plan.records.processes.size() != 1)
    return refusal("generation " + std::to_string(plan.generation) + " holds " +
                   std::to_string(plan.records.processes.size()) +
                   " processes; only jobs of one process can be restarted");
  std::string lacking;
  for (const image::ProcessImage& process : plan.records.processes)
    for (const std::string& line : resources::check_machine(process, plan.records.objects))
      lacking += (lacking.empty() ? "" : "; ") + line;
  if (!lacking.empty()) return refusal("this machine does not fit: " + lacking);
  return {};
}

Result<Outcome> restart(const Plan& plan, ConnectionQueue& connections, RealPid pid,
                        abi::SysvTable& sysv, std::array<int, 3> stdio, bool bring_back_files,
                        std::uint64_t journal) {
  const auto begun = Clock::now();
  const std::uint64_t started = process_start_time(pid.value);
  auto process = connect(connections, pid);
  if (!process) {
    complain(stdio[2], process.error());
    ::kill(pid.value, SIGKILL);
    return Failure(process.error());
  }
  auto outcome = build(plan, *process, sysv, stdio, bring_back_files, journal);
  if (outcome) {
    outcome->total = std::chrono::duration_cast<microseconds>(Clock::now() - begun);
    return outcome;
  }
  complain(stdio[2], outcome.error());
  // Gives no answer: its end is the end of the link. Whatever else may have happened to the link,
  // the process must not stay.
  (void)process->syscall(SYS_exit_group, static_cast<int>(ExitCode::kFailed));
  if (process_start_time(pid.value) == started) ::kill(pid.value, SIGKILL);
  return outcome;
}
}  // namespace cairn::restart
