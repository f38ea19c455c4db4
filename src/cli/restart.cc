#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "agent/agent.h"
#include "cli/chosen.h"
#include "cli/launch.h"
#include "cli/locate.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace cairn::cli {
namespace {

// The store must have no owner that lives, and the generation must exist.
OrRefused<std::uint64_t> choose_generation(const StorePath& where) {
  const auto store = storage::Store::open(where.directory, {});
  if (!store) return stop(ExitCode::kRefused, store.error());
  const auto owner = (*store)->owner();
  if (!owner) return stop(ExitCode::kDamaged, owner.error());
  if (*owner && job_runs(**owner))
    return stop(ExitCode::kRefused,
                Error{0, "the job in " + where.directory + " is still running", {}});
  const auto generations = (*store)->generations();
  if (!generations) return stop(ExitCode::kDamaged, generations.error());
  if (generations->empty())
    return stop(ExitCode::kDamaged, Error{0, "there is no generation in", where.directory});
  const std::uint64_t wanted = where.generation.value_or(generations->back().number);
  for (const storage::GenerationInfo& generation : *generations) {
    if (generation.number != wanted) continue;
    if (!generation.damaged) return wanted;
    return stop(ExitCode::kDamaged, Error{0, "generation " + std::to_string(wanted) +
                                                 " is damaged (" + generation.problem +
                                                 "); earlier ones are listed by cairn ls", {}});
  }
  return stop(ExitCode::kDamaged, Error{0, "there is no generation " + std::to_string(wanted) +
                                               " in", where.directory});
}

OrRefused<std::unique_ptr<restart::Plan>> read_and_check(const StorePath& where,
                                                         const RestartOptions& options) {
  auto moved = restart::PathMap::parse(options.map);
  if (!moved) return stop(ExitCode::kUsage, moved.error());
  const auto generation = choose_generation(where);
  if (!generation) return tl::unexpected(generation.error());
  auto plan = restart::read(where.directory, *generation);
  if (!plan) return stop(ExitCode::kDamaged, plan.error());
  if (const auto possible = restart::move_files(*plan, std::move(*moved)); !possible)
    return stop(ExitCode::kRefused, possible.error());
  if (const auto fits = restart::check_machine(*plan); !fits)
    return stop(ExitCode::kRefused, fits.error());
  if (restart::changes_files_first(*plan)) {
    const auto whole = plan->reader->verify(storage::VerifyLevel::kContents, /*direct=*/false);
    if (!whole) return stop(ExitCode::kDamaged, whole.error());
  }
  return std::make_unique<restart::Plan>(std::move(*plan));
}

// Without a value: that of our own environment, or none.
Result<std::vector<resources::Variable>> read_variables(const std::vector<std::string>& words) {
  std::vector<resources::Variable> variables;
  for (const std::string& word : words) {
    const auto equals = word.find('=');
    resources::Variable variable{word.substr(0, equals), std::nullopt};
    if (variable.name.empty()) return refusal("--env wants NAME or NAME=VALUE, not", word);
    if (equals != std::string::npos)
      variable.value = word.substr(equals + 1);
    else if (const char* own = std::getenv(variable.name.c_str()); own != nullptr)
      variable.value = own;
    variables.push_back(std::move(variable));
  }
  return variables;
}

// What the image does not hold comes from here. Gives the names that were not found.
std::string add_secrets(const std::vector<std::string>& names,
                        std::vector<resources::Variable>& variables) {
  std::string missing;
  for (const std::string& name : names) {
    const auto given = std::find_if(variables.begin(), variables.end(),
                                    [&](const auto& variable) { return variable.name == name; });
    if (given != variables.end()) continue;
    if (const char* own = std::getenv(name.c_str()); own != nullptr)
      variables.push_back({name, own});
    else
      missing += " " + name;
  }
  return missing;
}

// The agent's own copies: it gives them to the program, whose numbers they need not be.
std::array<Fd, 3> copy_stdio() {
  std::array<Fd, 3> copies;
  for (int fd = 0; fd < 3; ++fd)
    copies[static_cast<std::size_t>(fd)] = Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 10));
  return copies;
}

std::string job_name(const RestartOptions& options, const restart::Plan& plan) {
  if (!options.job.name.empty()) return options.job.name;
  if (!plan.name.empty()) return plan.name;
  return std::filesystem::path(plan.directory).filename().string();
}

}  // namespace

ExitCode restart(const RestartOptions& options) {
  const bool json = options.common.json;
  if (const auto moved = restart::PathMap::parse(options.map); !moved)
    return fail(json, ExitCode::kUsage, moved.error());
  auto variables = read_variables(options.env);
  if (!variables) return fail(json, ExitCode::kUsage, variables.error());
  const auto where = find_store(options.generation, options.common.dir);
  if (!where) return fail(json, ExitCode::kRefused, where.error());
  auto plan = read_and_check(*where, options);
  if (!plan) return fail(json, plan.error().code, plan.error().error);

  if (const auto missing = add_secrets((*plan)->secrets, *variables); !missing.empty())
    return fail(json, ExitCode::kRefused,
                Error{0, "set these variables, whose values are not in the image:" + missing, {}});
  JobOptions job_options = options.job;
  if (job_options.mode.empty()) job_options.mode = (*plan)->mode;
  ExitCode code = ExitCode::kOk;
  auto settings = prepare_agent(job_options, code);
  if (!settings) return fail(json, code, settings.error());
  settings->job.name = job_name(options, **plan);
  if (const auto fits = check_job_name(settings->job.name); !fits)
    return fail(json, ExitCode::kUsage, fits.error());
  settings->job.job_id = (*plan)->job_id;
  settings->job.directory = where->directory;
  settings->stdio = copy_stdio();
  settings->moved = options.map;
  for (const std::string& name : (*plan)->secrets) settings->secrets += name + "\n";
  settings->environment = std::move(*variables);
  const std::string executable = (*plan)->records.processes.front().program().executable();
  settings->restart_from = (*plan)->generation;
  plan->reset();

  const std::string runtime = settings->runtime;
  const abi::DoorMode mode = settings->mode;
  const auto segment = agent::start_agent(std::move(*settings));
  if (!segment) {
    const bool owned = segment.error().code == storage::kOwned;
    return fail(json, owned ? ExitCode::kRefused : ExitCode::kInternal, segment.error());
  }
  return fail(json, ExitCode::kInternal,
              become_runtime(runtime, {"restore", *segment, mode}, executable, {executable}));
}

}  // namespace cairn::cli
