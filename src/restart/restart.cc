// Steps, and what holds after each:
//
//   read       every record of the generation is whole, and the references between them hold
//   check      this machine has what the image needs; until here nothing was started or changed
//   connect    the fresh process, nothing but a runtime, waits for requests
//   tree       so does every other one, at its place in the tree of processes
//   names      names and files that changed after the commit are what they were: the journals are
//              undone, since a descriptor can be opened only where its file is
//   memory     each one's address space is laid out and all pages are in place; every chunk of the
//              generation was found whole
//   objects    every descriptor number holds its open file, then what refers to numbers and to other
//              objects is connected
//   threads    all threads exist, parked, with their registers; clocks, handlers, limits are set
//   files      open files are what they were at the commit, too
//   go         timers run, who was stopped is stopped again, all other threads enter the guest
//
// All or nothing: a failure in any step ends the new processes and leaves the image as it was.

#include "restart/restart.h"

#include <signal.h>
#include <sys/syscall.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/exit_code.h"
#include "base/fault.h"
#include "base/files.h"
#include "resources/journal_undo.h"
#include "resources/rebuild.h"
#include "resources/remote_process.h"
#include "restart/stop_again.h"
#include "restart/tree.h"

namespace cairn::restart {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout{30'000};
constexpr milliseconds kEndTimeout{5'000};

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

// `without`: the journal that this restart has begun itself, if it has.
resources::UndoRequest undo_request(const Plan& plan, std::uint64_t without = 0) {
  return {.directory = plan.directory + "/journal",
          .positions = plan.journals,
          .without = without,
          .undo_directory = undo_directory(plan),
          .moved = plan.moved};
}

resources::RebuildOptions rebuild_options(const Plan& plan, abi::JobSegment& segment,
                                          const Surroundings& around) {
  resources::RebuildOptions options;
  options.stdio = around.stdio;
  options.sysv = &segment.sysv;
  options.notices = &segment.notices;
  options.ptys = &segment.ptys;
  options.environment = around.environment;
  options.restore_files = around.bring_back_files;
  options.undo_directory = undo_directory(plan);
  for (const image::ProcessImage& process : plan.records.processes)
    if (process.zombie()) options.ended[process.pid()] = segment.ids.to_real(process.pid());
  options.open_content =
      [&plan](const std::string& text) -> Result<std::unique_ptr<storage::MemoryReader>> {
    CAIRN_ASSIGN(const storage::PageDataRef ref, storage::PageDataRef::decode(text));
    return plan.reader->memory(ref);
  };
  return options;
}

Result<> undo_names(const Plan& plan, const Surroundings& around) {
  if (!around.bring_back_files) return {};
  return resources::undo_journals(undo_request(plan, around.journal));
}

// Nobody runs before everybody can.
Result<> go(const Plan& plan, Tree& tree, abi::JobSegment& segment) {
  for (resources::RemoteProcess& process : tree.processes) CAIRN_TRY(process.prepare());
  CAIRN_ASSIGN(const std::vector<bool> stopped, stop_again(plan, tree, segment));
  for (std::size_t i = 0; i < tree.processes.size(); ++i) {
    if (stopped[i]) continue;
    resources::RemoteProcess& process = tree.processes[i];
    const auto gone = process.go();
    // Those that run already may have killed it: that is the job's own business.
    if (!gone && !wait_for_process_end(process.pid().value, 0, Deadline{kEndTimeout})) return gone;
  }
  if (tree.stand_in) (void)tree.stand_in->syscall(SYS_exit_group, 0);  // no answer comes
  return {};
}

// From the fresh tree to the running one: each step is done in every process before the next.
Result<Outcome> build(const Plan& plan, Tree& tree, abi::JobSegment& segment,
                      const Surroundings& around) {
  Outcome outcome;
  auto last = Clock::now();
  std::vector<resources::JobRebuild::Process> processes;
  for (std::size_t i = 0; i < tree.processes.size(); ++i)
    processes.push_back({tree.processes[i], plan.records.processes[i]});
  resources::JobRebuild rebuild(processes, plan.records.objects,
                                rebuild_options(plan, segment, around));
  CAIRN_TRY(fault_step(FaultPoint::kRestartNames, "undo what was done to names"));
  CAIRN_TRY(undo_names(plan, around));
  CAIRN_TRY(fault_step(FaultPoint::kRestartObjects, "create the kernel objects"));
  CAIRN_TRY(rebuild.create_objects());
  CAIRN_TRY(rebuild.address_space());
  outcome.objects = since(last);
  CAIRN_TRY(fault_step(FaultPoint::kRestartMemory, "bring the memory back"));
  CAIRN_TRY(rebuild.memory());
  CAIRN_TRY(plan.reader->verify_unread());
  outcome.memory = since(last);
  CAIRN_TRY(fault_step(FaultPoint::kRestartThreads, "make the threads"));
  CAIRN_TRY(rebuild.threads());
  CAIRN_TRY(rebuild.connect_objects());
  outcome.objects += since(last);
  CAIRN_TRY(fault_step(FaultPoint::kRestartState, "set the state of the processes"));
  CAIRN_TRY(rebuild.state());
  CAIRN_TRY(fault_step(FaultPoint::kRestartFiles, "bring files back"));
  CAIRN_TRY(rebuild.rewind_files());
  CAIRN_TRY(rebuild.start_clocks());
  CAIRN_TRY(fault_step(FaultPoint::kRestartGo, "let the job run"));
  CAIRN_TRY(go(plan, tree, segment));
  outcome.resume = since(last);
  outcome.processes = static_cast<std::uint32_t>(tree.processes.size());
  for (const image::ProcessImage& process : plan.records.processes)
    outcome.threads += static_cast<std::uint32_t>(process.threads_size());
  return outcome;
}

// The restart command, which has become `pid`, ends with the code for it.
void end_as_damaged(Tree& tree, RealPid pid) {
  const auto end = [&](resources::RemoteProcess& process) {
    if (process.pid() == pid)
      (void)process.syscall(SYS_exit_group, static_cast<int>(ExitCode::kDamaged));
  };
  for (resources::RemoteProcess& process : tree.processes) end(process);
  if (tree.stand_in) end(*tree.stand_in);
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
  CAIRN_TRY(fault_step(FaultPoint::kRestartRead, "read the generation"));
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
    plan.secrets = json.value("secrets", std::vector<std::string>());
    plan.origin = {json.value("origin_session", 0), json.value("origin_group", 0)};
  }
  plan.journals = journals_of(info);
  CAIRN_ASSIGN(plan.records, decode_records(*plan.reader));
  resources::order_processes(plan.records.processes);
  // An image from before trees were saved holds one process, which stood where it was started.
  if (plan.origin.session == 0 && !plan.records.processes.empty()) {
    image::ProcessImage& first = plan.records.processes.front();
    first.set_first_of_job(true);
    plan.origin = {first.sid(), first.pgid()};
  }
  return plan;
}

Result<> move_files(Plan& plan, PathMap moved) {
  CAIRN_TRY(move_paths(moved, plan.records));
  plan.moved = std::move(moved);
  return {};
}

namespace {

// What was removed since the commit is brought back before anything is opened. If the journals
// cannot be read, the step that undoes them says so.
std::function<bool(const std::string&)> what_comes_back(const Plan& plan) {
  const auto names = resources::names_in_journals(undo_request(plan));
  if (!names) return [](const std::string&) { return true; };
  return [names = *names](const std::string& path) {
    for (std::string part = path; part.size() > 1; part.resize(part.rfind('/'))) {
      if (names.contains(part)) return true;
      if (part.find('/') == std::string::npos) break;
    }
    return false;
  };
}

}  // namespace

bool changes_files_first(const Plan& plan) {
  const auto names = resources::names_in_journals(undo_request(plan));
  return !names || !names->empty();
}

Result<> check_machine(const Plan& plan) {
  CAIRN_TRY(resources::plan_tree(plan.records.processes, plan.origin));
  std::set<std::string> seen;
  std::string lacking;
  const auto add = [&](const std::string& line) {
    if (seen.insert(line).second) lacking += (lacking.empty() ? "" : "; ") + line;
  };
  for (const image::ProcessImage& process : plan.records.processes)
    if (!process.zombie())
      for (const std::string& line : resources::check_machine(process)) add(line);
  const auto comes_back = what_comes_back(plan);
  for (const std::string& line :
       resources::missing_places(plan.records.processes, plan.records.objects, comes_back))
    add(line);
  if (!lacking.empty()) return refusal("this machine does not fit: " + lacking);
  return {};
}

Result<Outcome> restart(const Plan& plan, ConnectionQueue& connections, RealPid pid,
                        abi::JobSegment& segment, const Surroundings& around) {
  const auto begun = Clock::now();
  const std::uint64_t started = process_start_time(pid.value);
  Newborns newborns;
  Tree tree;
  const auto attempt = [&]() -> Result<Outcome> {
    CAIRN_ASSIGN(auto starter, connect(connections, pid));
    CAIRN_TRY(fault_step(FaultPoint::kRestartTree, "make the processes"));
    CAIRN_TRY(build_tree(plan, connections, std::move(starter), segment.ids, newborns, tree));
    return build(plan, tree, segment, around);
  };
  auto outcome = attempt();
  if (outcome) {
    newborns.keep();
    outcome->total = std::chrono::duration_cast<microseconds>(Clock::now() - begun);
    return outcome;
  }
  complain(around.stdio[2], outcome.error());
  if (!plan.reader->verify(storage::VerifyLevel::kContents, /*direct=*/false))
    end_as_damaged(tree, pid);
  // The end of its link ends a process, unless something is wrong with it.
  tree = {};
  if (!wait_for_process_end(pid.value, started, Deadline{kEndTimeout})) ::kill(pid.value, SIGKILL);
  return outcome;
}
}  // namespace cairn::restart
