#include "agent/agent.h"
#include "base/daemon.h"
#include "cli/command_line.h"
#include "cli/verbs.h"

namespace {

using namespace cairn;
using namespace cairn::cli;

ExitCode dispatch(const CommandLine& command) {
  const std::string& verb = command.verb;
  if (verb == "run") return run(command.run);
  if (verb == "checkpoint") return checkpoint(command.checkpoint);
  if (verb == "restart") return restart(command.restart);
  if (verb == "ps") return ps(command.ps);
  if (verb == "ls") return ls(command.ls);
  if (verb == "status") return status(command.status);
  if (verb == "inspect") return inspect(command.inspect);
  if (verb == "core") return core(command.core);
  if (verb == "doctor") return doctor(command.doctor);
  if (verb == "support") return support(command.support);
  if (verb == "prune") return prune(command.prune);
  return verify(command.verify);
}

}  // namespace

int main(int argc, char** argv) {
  remember_arguments(argc, argv);
  if (agent::is_agent(argc, argv)) return agent::continue_agent(argv);
  const auto command = parse_command_line(argc, argv);
  if (!command) return command.error();
  return static_cast<int>(dispatch(*command));
}
